"""The decisions that facts record, read in bulk: a few git processes, whatever their number.

Facts, requests and commits are read from the control repository alone; `pipeline audit verify`
proves them. What only other clones hold is taken from the facts, or left out: see `LEFT_OUT`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from pipeline.control.parsed import PARSED
from pipeline.errors import CouldNotCheck
from pipeline.git.commits import Commit, account_of_email, parse_commit
from pipeline.git.history import read_changed_paths
from pipeline.git.repository import GitRepository
from pipeline.models.facts import (
    Cause,
    Fact,
    HoldLifted,
    Promoted,
    PromotionRefused,
    UsedWaiver,
)
from pipeline.models.requests import Request
from pipeline.requests.layout import draft_path
from pipeline.requests.snapshot import LoadedRequest
from pipeline.state.facts import FACTS, LATER_FACTS

DECIDING = (Promoted, PromotionRefused, HoldLifted)
_TYPES = tuple(str(body.model_fields["type"].default) for body in DECIDING)
_FACT = re.compile(rf"([^/]+)/(?:{FACTS}|{LATER_FACTS})/.*?([0-9]{{6}})-([a-z-]+)\.json\Z")
_STATE = "state/"
_MOST_COMMITS = 200  # of one pull request, to look for committers in


@dataclass(frozen=True)
class RecordedDraft:
    """One draft with decisions: the types and stored bytes of its facts, in order."""

    draft: str
    types: tuple[str, ...]
    facts: tuple[bytes, ...]

    def deciding(self) -> list[Fact]:
        """The facts that record a decision. Raises CouldNotCheck."""
        return self._parsed(c for t, c in zip(self.types, self.facts, strict=True) if t in _TYPES)

    def accepted(self) -> list[Fact]:
        """The facts of its acceptances. Raises CouldNotCheck."""
        found = zip(self.types, self.facts, strict=True)
        return self._parsed(content for type, content in found if type == "accepted")

    def parsed(self) -> list[Fact]:
        """All facts, in order. Raises CouldNotCheck."""
        return self._parsed(self.facts)

    def _parsed(self, contents: Iterable[bytes]) -> list[Fact]:
        try:
            return [Fact.model_validate_json(content) for content in contents]
        except ValidationError as error:
            raise CouldNotCheck(
                f"the facts of `{self.draft}` are damaged",
                help="`pipeline audit verify` says where",
            ) from error


@dataclass
class Sources:
    """What the causes of facts name: requests by blob, and commits with what they changed."""

    contents: dict[str, bytes] = field(default_factory=dict)  # of requests, by blob
    changed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    committers: dict[str, frozenset[int]] = field(default_factory=dict)  # by head
    unreviewed: set[tuple[str, str]] = field(default_factory=set)  # head, path of another content
    firsts: set[str] = field(default_factory=set)  # commits without a parent
    # Commit → path and blob of the other requests that it brought, and of their drafts.
    beside: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def loaded(self, path: str, blob: str) -> LoadedRequest | None:
        """The request in a blob; None for none. Parsed when it is asked for."""
        if blob not in self.contents:
            return None
        read = PARSED.parse(path, blob, self.contents[blob])[0]
        if read is None or read.model is None:
            return None
        return LoadedRequest(path, read.meaning, read.model, blob)

    def request(self, path: str, blob: str) -> Request | None:
        """The request in a blob, without its place."""
        found = self.loaded(path, blob)
        return found.model if found else None


def read_recorded(git: GitRepository, prefix: str) -> list[RecordedDraft]:
    """Every draft whose facts record a decision; `prefix` is that of the state branches' refs.

    Raises CouldNotCheck where a fact cannot be read.
    """
    listed: dict[str, dict[int, tuple[str, str]]] = {}
    below = f"{prefix}{_STATE}"
    for ref, head in sorted(git.read_refs((below,)).items()):
        tenant = ref.removeprefix(below)
        for path, (_, id) in git.list_files(head, "drafts").items():
            found = _FACT.match(path.removeprefix("drafts/"))
            if found is not None:
                facts = listed.setdefault(f"{tenant}/{found[1]}", {})
                facts[int(found[2])] = (found[3], id)
    chosen = {
        draft: [facts[number] for number in sorted(facts)]
        for draft, facts in listed.items()
        if any(type in _TYPES for type, _ in facts.values())
    }
    ids = [id for facts in chosen.values() for _, id in facts]
    contents = iter(git.read_objects(ids))
    recorded = []
    for draft, stored_facts in chosen.items():
        read = [next(contents) for _ in stored_facts]
        if any(item is None for item in read):
            raise CouldNotCheck(f"a fact of `{draft}` is not in this repository")
        stored = tuple(item.content for item in read if item is not None)
        recorded.append(RecordedDraft(draft, tuple(type for type, _ in stored_facts), stored))
    return recorded


def read_changed(git: GitRepository, facts: Iterable[Fact]) -> dict[str, tuple[str, ...]]:
    """Commit → what it changed, for the commits that brought the requests of facts."""
    commits = list(dict.fromkeys(fact.cause.commit for fact in facts))
    return read_changed_paths(git.path, list(_commits(git, commits)))


def read_sources(
    git: GitRepository,
    facts: Iterable[Fact],
    accepted: Iterable[Fact],
    changed: Mapping[str, tuple[str, ...]],
) -> Sources:
    """What the causes of decisions and acceptances name, in a few round trips."""
    causes: dict[str, Cause | UsedWaiver] = {}
    blobs: list[str] = []
    for fact in facts:
        waived = fact.body.waived if isinstance(fact.body, Promoted) else ()
        named: tuple[Cause | UsedWaiver, ...] = (fact.cause, *waived)
        for cause in named:
            causes.setdefault(f"{cause.commit} {cause.request}", cause)
            blobs.append(cause.blob)
    blobs += (fact.cause.blob for fact in accepted)
    sources = Sources()
    commits = list(dict.fromkeys(cause.commit for cause in causes.values()))
    present = _commits(git, commits)
    sources.firsts = {id for id, commit in present.items() if not commit.parents}
    sources.changed = dict(changed)
    left = [commit for commit in present if commit not in changed]
    if left:
        sources.changed |= read_changed_paths(git.path, left)
    _read_requests(git, sources, blobs, causes.values())
    _read_revisions(git, sources, present, causes.values())
    return sources


def _commits(git: GitRepository, ids: Sequence[str]) -> dict[str, Commit]:
    """The commits among these ids that the repository has."""
    found = git.read_objects(ids)
    return {
        id: parse_commit(item.id, item.content)
        for id, item in zip(ids, found, strict=True)
        if item is not None and item.type == "commit"
    }


def _read_requests(
    git: GitRepository,
    sources: Sources,
    blobs: Iterable[str],
    causes: Collection[Cause | UsedWaiver],
) -> None:
    """Read the requests of causes, and the others that their pull requests brought."""
    others: dict[tuple[str, str], None] = {}
    for cause in causes:
        for path in sources.changed.get(cause.commit, ()):
            if path != cause.request:
                others |= {
                    (cause.commit, needed): None for needed in (path, _draft_of(path)) if needed
                }
    own = list(dict.fromkeys(blobs))
    items = git.read_objects([*own, *(f"{commit}:{path}" for commit, path in others)])
    sources.contents = {i.id: i.content for i in items if i is not None and i.type == "blob"}
    for (commit, path), item in zip(others, items[len(own) :], strict=True):
        if item is not None:
            sources.beside.setdefault(commit, []).append((path, item.id))


def _draft_of(path: str) -> str:
    """The path of the draft that a request at a path is about; empty for policy."""
    parts = path.split("/")
    is_of_draft = len(parts) > 4 and parts[0] == "tenants" and parts[2] == "drafts"
    return draft_path(f"{parts[1]}/{parts[3]}") if is_of_draft else ""


def _read_revisions(
    git: GitRepository,
    sources: Sources,
    merges: Mapping[str, Commit],
    causes: Collection[Cause | UsedWaiver],
) -> None:
    """Read who committed each revision, and whether it holds the request that was merged."""
    told = [(cause, cause.brought) for cause in causes if cause.brought]
    heads = _commits(git, list(dict.fromkeys(brought.head for _, brought in told)))
    # Most are merged onto the main that they were made from: the whole tree is the same.
    asked = [
        (brought.head, cause.request, cause.blob)
        for cause, brought in told
        if brought.head in heads
        and (cause.commit not in merges or heads[brought.head].tree != merges[cause.commit].tree)
    ]
    items = git.read_objects([f"{head}:{path}" for head, path, _ in asked])
    for (at, path, blob), item in zip(asked, items, strict=True):
        if item is None or item.id != blob:
            sources.unreviewed.add((at, path))
    known: dict[str, Commit] = dict(heads)
    line = {*merges, *(brought.base for _, brought in told)}
    level: dict[str, list[str]] = {
        head: [p for p in commit.parents if p not in line] for head, commit in heads.items()
    }
    people = {head: set(_people(commit)) for head, commit in heads.items()}
    seen: dict[str, set[str]] = {head: {head} for head in heads}
    while any(level.values()):
        wanted = {above for ids in level.values() for above in ids} - known.keys()
        known |= _commits(git, sorted(wanted))
        for head, ids in level.items():
            new = [known[id] for id in ids if id in known and id not in seen[head]]
            seen[head] |= {str(commit.id) for commit in new}
            people[head] |= {user for commit in new for user in _people(commit)}
            behind = {str(parent) for commit in new for parent in commit.parents}
            level[head] = (
                sorted(behind - line - seen[head]) if len(seen[head]) < _MOST_COMMITS else []
            )
    sources.committers = {head: frozenset(found) for head, found in people.items()}


def _people(commit: Commit) -> Iterator[int]:
    for person in (commit.author, commit.committer):
        account = account_of_email(person.email)
        if account:
            yield account
