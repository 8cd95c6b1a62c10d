"""What an audit reads, and what it has found so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.control import read_snapshot
from pipeline.diagnostics import Finding, Location
from pipeline.facts import fact_path
from pipeline.gitcli import GitRepository
from pipeline.models.facts import Fact, Promoted
from pipeline.models.requests import Platform
from pipeline.models.status import DraftStatus
from pipeline.rules import audit as rule
from pipeline.snapshot import Snapshot

_ORIGIN = "refs/remotes/origin/"
OpenRepository = Callable[[str], GitRepository | None]


@dataclass(frozen=True)
class Chain:
    """One draft as its state branch records it."""

    draft: str
    branch: str
    facts: tuple[Fact, ...]
    status: DraftStatus
    hashes: frozenset[str]

    def location(self, fact: Fact) -> Location:
        """Where a fact lies, for a finding that names it."""
        path = fact_path(self.status.primitive_id, fact.sequence, fact.body.type)
        return Location(f"{self.branch}:{path}")


@dataclass
class Audit:
    """One audit under way: the clones, the policy of main, and what was read and found."""

    control: GitRepository
    open_repository: OpenRepository
    platform: Platform
    snapshot: Snapshot
    main: frozenset[str]  # every commit of main: an object that only another branch holds is none
    findings: list[Finding] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    # Overlay folders of drafts whose chain is broken: that is the finding, not what follows.
    unreadable: set[str] = field(default_factory=set)
    facts: int = 0
    overlays: int = 0
    policies: dict[str, Snapshot] = field(default_factory=dict)

    def policy_at(self, commit: str) -> Snapshot | None:
        """The policy at a commit of the control repo; None where there is no such commit."""
        if commit not in self.policies:
            if self.control.read_object(commit) is None:
                return None
            self.policies[commit] = read_snapshot(self.control, commit, paths=()).snapshot
        return self.policies[commit]


def read_branches(git: GitRepository) -> dict[str, str]:
    """Branch → head: local branches, and above them what a clone last saw of its origin."""
    local = {n.removeprefix("refs/heads/"): id for n, id in git.read_refs(("refs/heads/",)).items()}
    remote = git.read_refs((_ORIGIN,))
    seen = {n.removeprefix(_ORIGIN): id for n, id in remote.items() if not n.endswith("/HEAD")}
    return {**local, **seen}


def read_strayed(git: GitRepository) -> dict[str, str]:
    """Branch → local head of those that hold commits which origin, as last seen, does not.

    Somebody committed in this clone, or origin was put back or rewritten since it was made.
    """
    strayed = {}
    for ref, head in git.read_refs(("refs/heads/",)).items():
        branch = ref.removeprefix("refs/heads/")
        seen = git.resolve(_ORIGIN + branch)
        if seen is not None and seen != head and not git.is_ancestor(head, seen):
            strayed[branch] = head
    return strayed


def check_strayed(repo: str, strayed: Mapping[str, str]) -> Iterator[Finding]:
    """A finding for each branch that `read_strayed` named."""
    for branch, head in strayed.items():
        yield rule.FOREIGN_COMMIT.finding(
            f"`{branch}` at {head[:12]} holds commits that origin does not have: they were made "
            "in this clone, or origin was rewritten since",
            Location(f"{repo}:{branch}"),
        )


def promotions(chains: Iterable[Chain]) -> Iterator[tuple[Chain, Fact, Promoted]]:
    """Every promotion of every draft, in the order of its chain."""
    for chain in chains:
        for fact in chain.facts:
            if isinstance(fact.body, Promoted):
                yield chain, fact, fact.body
