"""The part of a long history that a status lists; the rest is found in the facts. Pure.

Decision: a status is read at each look at a draft and written with each fact, so its size must not
grow with the number of facts. It lists the newest 10 patches, check reports and builds, the newest
10 runs of each environment, and the first 10 reasons of a refusal. Facts hold the rest and are read
on demand:

- A promotion may name any source that was ever merged. `with_evidence` finds its checks, its build
  and where it has run in the facts, which a promotion reads anyway.
- A request is due unless its newest content was handled. Unlisted patches are compared with main by
  one hash over all their requests (`requests_due`): if it matches, none is due; otherwise the facts
  say which. So each look costs one hash and stays exact.

Older tools listed no runs, and those before 0.1.0 listed everything else. Their statuses are read
and audited as other folds of the same facts (`pipeline.state.facts.older_folds`); the next fact
folds such a status again from all facts. A short history without promotions gives the same bytes in
all forms, so statuses carry no format number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from pipeline.models.base import FactHash
from pipeline.models.facts import (
    Fact,
    PatchApplied,
    PatchRefused,
)
from pipeline.models.status import DraftStatus, EarlierPatches, PatchRecord, RefusedPromotion
from pipeline.requests.kinds import request_path
from pipeline.requests.layout import patch_path
from pipeline.state.runs import listed_runs

R = TypeVar("R", PatchRecord, RefusedPromotion)

LISTED = 10  # patches, check reports and builds, each; reasons of one refusal


def is_bounded(status: DraftStatus) -> bool:
    """Whether a status lists no more than this version would."""
    lists: list[Sequence[object]] = [status.patches, status.checks, status.builds]
    lists += [patch.reasons for patch in status.patches]
    lists += [refused.reasons for refused in status.refused_promotions]
    is_short = all(len(listed) <= LISTED for listed in lists)
    return is_short and listed_runs(status.runs) == status.runs


def bounded(status: DraftStatus, fact: Fact, before: Callable[[], Sequence[Fact]]) -> DraftStatus:
    """The status after a fact, with its lists cut to their bounds.

    `before` returns the facts before this one; it is called only for a patch that is not among the
    newest.
    """
    if is_bounded(status):
        return status
    status = status.model_copy(
        update={
            "checks": status.checks[-LISTED:],
            "builds": status.builds[-LISTED:],
            "runs": listed_runs(status.runs),
            "patches": tuple(map(_shortened, status.patches)),
            "refused_promotions": tuple(map(_shortened, status.refused_promotions)),
        }
    )
    if len(status.patches) <= LISTED:
        return status
    # A fact adds at most one patch, so the list is at most one too long.
    oldest, *listed = status.patches
    requests = dict(status.requests)
    blob = requests.pop(patch_path(status.id, oldest.patch), "")
    earlier = status.earlier_patches
    if earlier is None or oldest.patch > earlier.through:
        known = earlier or EarlierPatches(count=0, applied=0, through="", requests=FactHash(""))
        earlier = _with_patch(known, oldest.patch, blob, is_applied=oldest.outcome == "applied")
    else:
        earlier = _earlier_of((*before(), fact), {p.patch for p in listed})
    return status.model_copy(
        update={"patches": tuple(listed), "requests": requests, "earlier_patches": earlier}
    )


def _shortened(record: R) -> R:
    if len(record.reasons) <= LISTED:
        return record  # a copy of each would take as long as all the rest of a fold
    return record.model_copy(update={"reasons": record.reasons[:LISTED]})


def _with_patch(
    earlier: EarlierPatches, number: str, blob: str, *, is_applied: bool
) -> EarlierPatches:
    return EarlierPatches(
        count=earlier.count + 1,
        applied=earlier.applied + is_applied,
        through=number,
        requests=_chained(earlier.requests, number, blob),
    )


def _chained(hash: FactHash, number: str, blob: str) -> FactHash:
    line = f"{hash} {number} {blob}\n"
    return FactHash("sha256:" + hashlib.sha256(line.encode()).hexdigest())


def requests_hash(blobs: Mapping[str, str]) -> FactHash:
    """One hash over these requests (patch number → blob), in any order."""
    found = FactHash("")
    for number in sorted(blobs):
        found = _chained(found, number, blobs[number])
    return found


def _earlier_of(facts: Iterable[Fact], listed: set[str]) -> EarlierPatches:
    """The unlisted patches of `facts`, for patches that came out of order."""
    newest = {
        fact.body.patch: fact
        for fact in facts
        if isinstance(fact.body, PatchApplied | PatchRefused)
    }
    numbers = sorted(newest.keys() - listed)
    blobs = {number: str(newest[number].cause.blob) for number in numbers}
    return EarlierPatches(
        count=len(numbers),
        applied=sum(isinstance(newest[number].body, PatchApplied) for number in numbers),
        through=numbers[-1],
        requests=requests_hash(blobs),
    )


def requests_due(
    status: DraftStatus | None,
    asked: Mapping[str, str],
    read_facts: Callable[[], Sequence[Fact]],
) -> frozenset[str]:
    """The paths in `asked` (path → blob) whose current content no fact has handled yet.

    Facts are read only if main's requests differ from those the status was folded from: an
    unlisted one was changed or deleted, or came after later ones.
    """
    done = status.requests if status else {}
    due = frozenset(path for path, blob in asked.items() if done.get(path) != blob)
    earlier = status.earlier_patches if status else None
    if status is None or earlier is None:
        return due
    old = {path: number for path in due if (number := _patch_number(path)) <= earlier.through}
    if requests_hash({number: asked[path] for path, number in old.items()}) == earlier.requests:
        return due - old.keys()
    dealt_with = {
        fact.cause.request: fact.cause.blob
        for fact in read_facts()
        if isinstance(fact.body, PatchApplied | PatchRefused)
    }
    return frozenset(path for path in due if dealt_with.get(path) != asked[path])


def _patch_number(path: str) -> str:
    """The number in a patch's path; `~`, which sorts after all numbers, for any other path."""
    meaning = request_path(path)
    return meaning.name if meaning is not None and meaning.kind == "DraftPatch" else "~"
