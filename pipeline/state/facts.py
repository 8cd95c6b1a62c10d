"""The chain of facts and its fold into a status: pure, and the only source of a state.

Invariants (docs/model.md §9): a fact's file name, sequence and type agree; sequences have no gap;
each fact names the hash of the one before it; `fold(facts)` equals the recorded status byte
for byte. Canonical JSON: UTF-8, keys sorted, no spaces, no floats, one newline at the end.

Decision: a commit rewrites the folder of its facts, so folders are kept small. A draft's first 99
facts lie in `facts/`, which once held all of them; later ones lie in folders of fifty below folders
of a thousand: `later-facts/012/012350/012399-built.json`. So the cost of a fact does not grow with
its number. Facts beyond the 99th that older tools wrote stay in `facts/`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from pipeline.documents import parse_document
from pipeline.documents.writer import (
    Entry,
    list_entry,
    mapping_entry,
    render_entries,
    render_entry,
    render_item,
)
from pipeline.models.base import FactHash, Model, Moment, canonical_json, first_problem
from pipeline.models.draft_id import DraftId
from pipeline.models.facts import Accepted, Cause, Fact, FactBody
from pipeline.models.status import DraftStatus
from pipeline.state.bounds import bounded, is_bounded
from pipeline.state.fact_types import first_status, type_of
from pipeline.state.runs import lacks_runs, without_runs

STATUS_HEADER = "The fold of the facts beside it; written by the pipeline, never by hand."
_IN_FACTS = 99  # facts in the first folder; further ones lie in folders of fifty
_IN_FOLDER = 50
FACTS, LATER_FACTS = "facts", "later-facts"  # the folders of facts in a draft's folder
# Fields added to a status later: left out if empty, so older statuses keep their bytes.
_ADDED = ("earlier_patches", "runs", "holds", "superseded", "decided_at")
ReadFacts = Callable[[], Sequence[Fact]]


class BrokenChain(ValueError):
    """Facts that cannot be folded, with the file and the reason."""

    def __init__(self, file: str, message: str) -> None:
        super().__init__(f"{file}: {message}")
        self.file = file
        self.message = message


@dataclass(frozen=True, slots=True)
class FactFile:
    """One stored fact: its path on the state branch and its bytes."""

    path: str
    content: bytes


def facts_folder(primitive_id: str) -> str:
    """The folder of a draft's first facts on its tenant's state branch."""
    return f"drafts/{primitive_id}/{FACTS}"


def later_facts_folder(primitive_id: str) -> str:
    """The folder above the folders of a draft's later facts."""
    return f"drafts/{primitive_id}/{LATER_FACTS}"


def status_path(primitive_id: str) -> str:
    """The path of a draft's status on its tenant's state branch."""
    return f"drafts/{primitive_id}/status.yaml"


def fact_path(primitive_id: str, sequence: int, type: str) -> str:
    """The path of one fact on its tenant's state branch."""
    folder = facts_folder(primitive_id)
    if sequence > _IN_FACTS:
        first = sequence // _IN_FOLDER * _IN_FOLDER
        folder = f"{later_facts_folder(primitive_id)}/{sequence // 1000:03d}/{first:06d}"
    return f"{folder}/{_file_name(sequence, type)}"


def _file_name(sequence: int, type: str) -> str:
    return f"{sequence:06d}-{type}.json"


def _is_path_of(path: str, primitive_id: str, fact: Fact) -> bool:
    """Whether a fact lies where it must, or where older tools put all of them."""
    sequence, type = fact.sequence, fact.body.type
    old = f"{facts_folder(primitive_id)}/{_file_name(sequence, type)}"
    return path in (fact_path(primitive_id, sequence, type), old)


def _place(file: FactFile) -> tuple[str, str]:
    """The sort key of fact files: the name, which begins with the sequence, then the path."""
    return file.path.rpartition("/")[2], file.path


def fact_bytes(fact: Fact) -> bytes:
    """The canonical bytes of a fact, as stored and hashed."""
    return canonical_json(fact.model_dump(mode="json", by_alias=True))


def hash_of(content: bytes) -> FactHash:
    """The SHA-256 of a fact's bytes, as the next fact names it."""
    return FactHash("sha256:" + hashlib.sha256(content).hexdigest())


def next_fact(
    draft: str,
    status: DraftStatus | None,
    cause: Cause,
    body: FactBody,
    *,
    decided_at: Moment | None = None,
) -> Fact:
    """The fact that follows the newest one of `status`, or a draft's first."""
    return Fact(
        draft=DraftId(draft),
        sequence=status.facts + 1 if status else 1,
        previous=status.newest_fact if status else FactHash(""),
        decided_at=decided_at,
        cause=cause,
        body=body,
    )


def parse_chain(
    draft: str, files: Sequence[FactFile], *, after: DraftStatus | None = None
) -> tuple[Fact, ...]:
    """The facts of one draft, in order, with every link checked; those `after` a status, if given.

    Raises BrokenChain naming the first file that does not fit.
    """
    facts: list[Fact] = []
    previous = after.newest_fact if after else FactHash("")
    previous_path = f"fact {after.facts}" if after else ""
    primitive_id = DraftId(draft).primitive
    first = after.facts + 1 if after else 1
    for position, file in enumerate(sorted(files, key=_place), start=first):
        try:
            fact = Fact.model_validate_json(file.content)
        except ValidationError as error:
            raise BrokenChain(file.path, f"is not a fact: {first_problem(error)}") from error
        if fact_bytes(fact) != file.content:
            raise BrokenChain(file.path, "is not canonical JSON")
        if fact.draft != draft:
            raise BrokenChain(file.path, f"belongs to {fact.draft}, not to {draft}")
        if fact.sequence != position:
            raise BrokenChain(file.path, f"has sequence {fact.sequence} where {position} is due")
        if not _is_path_of(file.path, primitive_id, fact):
            raise BrokenChain(file.path, "has a file name that its content does not have")
        if fact.previous != previous:
            # Either of the two may have been changed, so name both.
            before = f"{previous_path} is {previous}" if previous else "that is none"
            raise BrokenChain(
                file.path, f"names {fact.previous or 'nothing'} as the fact before it; {before}"
            )
        previous, previous_path = hash_of(file.content), file.path
        facts.append(fact)
    return tuple(facts)


def fold(facts: Sequence[Fact]) -> DraftStatus | None:
    """The status that the facts fold to; None for no facts.

    Raises BrokenChain when the first fact is not `accepted`.
    """
    *_, status = (None, *statuses_after(None, facts))
    return status


def statuses_after(status: DraftStatus | None, facts: Sequence[Fact]) -> Iterator[DraftStatus]:
    """The status after each of some facts, which follow each other from `status` on.

    Raises BrokenChain as `fold`, and ValueError where a fact rests on facts before `status`.
    """
    is_whole = status is None
    for position, fact in enumerate(facts):
        before = partial(_first, facts, position) if is_whole else _unread
        # Its hash stands in the fact after it; to compute it takes as long as all the rest.
        is_last = position + 1 == len(facts)
        hash = None if is_last else facts[position + 1].previous
        status = fold_one(status, fact, before, hash=hash)
        yield status


def _first(facts: Sequence[Fact], count: int) -> Sequence[Fact]:
    return facts[:count]


def _unread() -> Sequence[Fact]:
    raise ValueError("the status after this fact rests on all facts before it")


def fold_one(
    status: DraftStatus | None,
    fact: Fact,
    before: ReadFacts = _unread,
    *,
    hash: FactHash | None = None,
) -> DraftStatus:
    """The status after one more fact, whose hash may be known already.

    `before` returns all facts before it. It is called only for a patch numbered below those that
    the status lists, and for a status of a tool that listed everything, or no runs; without it
    these cases raise ValueError.
    """
    if status is not None and (lacks_runs(status) or not is_bounded(status)):
        status = fold(before())
    return bounded(fold_one_unbounded(status, fact, hash=hash), fact, before)


def older_folds(facts: Sequence[Fact]) -> Iterator[tuple[DraftStatus, DraftStatus]]:
    """The status after each fact, in the two forms of older tools, which listed no runs.

    The first form lists everything else, the second is bounded like this tool's.
    """
    unbounded: DraftStatus | None = None
    status: DraftStatus | None = None
    for position, fact in enumerate(facts):
        unbounded = fold_one_unbounded(unbounded, fact)
        status = fold_one(status, fact, partial(_first, facts, position))
        yield without_runs(unbounded), without_runs(status)


def is_fold_of(status: DraftStatus, facts: Sequence[Fact]) -> bool:
    """Whether the facts fold to this status, in the current form or in an older one."""
    if fold(facts) == status:
        return True
    *_, older = ((), *older_folds(facts))
    return status in older


def fold_one_unbounded(
    status: DraftStatus | None, fact: Fact, *, hash: FactHash | None = None
) -> DraftStatus:
    """The status after one more fact, with all lists unbounded."""
    body, row = fact.body, type_of(fact.body)
    if status is not None:
        base, changes = status, row.fold(status, fact, body)
    elif isinstance(body, Accepted):
        base, changes = first_status(fact, body), {}
    else:
        path = fact_path(fact.draft.primitive, fact.sequence, body.type)
        raise BrokenChain(path, "a draft's first fact must be `accepted`")
    requests = changes.get("requests", base.requests)
    assert isinstance(requests, dict)  # whatever a row folds into it
    if row.settles_request:
        requests = dict(sorted({**requests, fact.cause.request: fact.cause.blob}.items()))
    always: dict[str, object] = {
        "requests": requests,
        "facts": fact.sequence,
        "newest_fact": hash or hash_of(fact_bytes(fact)),
        "decided_at": fact.decided_at or base.decided_at,
    }
    return base.model_copy(update={**changes, **always})


def status_bytes(status: DraftStatus) -> bytes:
    """The bytes of `status.yaml`; equal statuses give equal bytes."""
    return render_entries(
        (_status_entry(name, value) for name, value in status if name not in _ADDED or value),
        header=STATUS_HEADER,
    )


def _status_entry(name: str, value: object) -> Entry:
    """One field of a status, as text. Each record that a fact adds is rendered once."""
    name = DraftStatus.model_fields[name].alias or name
    if isinstance(value, tuple) and value and all(isinstance(v, Model) for v in value):
        items = [_record_item(record) for record in value]
        return list_entry(name, items)
    if isinstance(value, dict) and value:
        return mapping_entry(name, [_pair_entry(k, str(v)) for k, v in value.items()])
    if isinstance(value, str | int):
        return _plain_entry(name, value)
    return render_entry(name, to_jsonable_python(value, by_alias=True))


# Statuses of one tenant share values, and one draft's differ by what a fact adds. At some 40
# entries per status this holds 400 drafts, more than a run writes between two statuses of one.
@lru_cache(maxsize=16_384)
def _pair_entry(key: str, value: str) -> Entry:
    return render_entry(key, value)


# Size as for `_pair_entry`.
@lru_cache(maxsize=16_384)
def _plain_entry(name: str, value: str | int) -> Entry:
    return render_entry(name, to_jsonable_python(value))


# Size as for `_pair_entry`: a status is written after each fact, and only one record is new.
@lru_cache(maxsize=16_384)
def _record_item(record: Model) -> Entry:
    return render_item(record.model_dump(mode="json", by_alias=True))


# Planning and applying parse the same few, one after the other.
@lru_cache(maxsize=128)
def parse_status(content: bytes) -> DraftStatus:
    """The status in bytes that `status_bytes` wrote. Raises ValueError."""
    document = parse_document("status.yaml", content)
    return DraftStatus.model_validate_json(json.dumps(document.value))
