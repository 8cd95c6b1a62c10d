"""The state of one audit: what it has read, found, proved and taken on trust so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.audit import rules as rule
from pipeline.audit.objects import Objects, Tree
from pipeline.audit.policy import MainLine
from pipeline.control.repo import MAIN
from pipeline.diagnostics import Finding, Location
from pipeline.git.repository import GitRepository
from pipeline.models.facts import Built, Fact
from pipeline.models.provenance import Verified
from pipeline.models.requests import Platform, Signers
from pipeline.models.status import DraftStatus
from pipeline.models.trust import Trust
from pipeline.requests.snapshot import Snapshot
from pipeline.state.facts import fact_path
from pipeline.tools.bundlecheck import verify_bundles

_ORIGIN = "refs/remotes/origin/"
OpenRepository = Callable[[str], GitRepository | None]


@dataclass(frozen=True)
class Chain:
    """One draft as its state branch records it, and how far it was verified before."""

    draft: str
    branch: str
    facts: tuple[Fact, ...]
    hashes: tuple[str, ...]  # of the facts, in order
    status: DraftStatus
    since: int = 0  # an earlier audit verified the facts up to this one

    def location(self, fact: Fact) -> Location:
        """The location of a fact, for findings."""
        path = fact_path(self.status.primitive_id, fact.sequence, fact.body.type)
        return Location(f"{self.branch}:{path}")

    def before(self, fact: Fact) -> tuple[Fact, ...]:
        """The facts before this one."""
        return self.facts[: fact.sequence - 1]

    @property
    def new_facts(self) -> tuple[Fact, ...]:
        """The facts that no earlier audit verified."""
        return self.facts[self.since :]


@dataclass(frozen=True)
class Sealed:
    """The required content of an overlay's folder: its newest promotion, by the fact."""

    tree: str
    digest: str
    image: str
    location: Location
    draft: str


@dataclass
class Audit:
    """One audit in progress: the clones, main's policy, and what was read and found."""

    control: Objects
    open_repository: OpenRepository
    platform: Platform
    snapshot: Snapshot  # policy on main now
    main: MainLine
    findings: list[Finding] = field(default_factory=list)
    proved: Counter[str] = field(default_factory=Counter)
    trusted: Counter[Trust] = field(default_factory=Counter)
    # Of the gate: how many were `made`, and how many are `equal` when made again.
    decisions: Counter[str] = field(default_factory=Counter)
    chains: dict[str, Chain] = field(default_factory=dict)
    # Drafts with a broken chain: only the break is a finding, not its consequences.
    unreadable: set[str] = field(default_factory=set)
    sealed: dict[tuple[str, str], Sealed] = field(default_factory=dict)  # by repository, folder
    sealed_before: dict[tuple[str, str], Sealed] = field(default_factory=dict)  # by earlier audits
    instances: set[tuple[str, str]] = field(default_factory=set)  # code repository, instance
    read_other_chain: Callable[[str], Chain | None] = lambda draft: None
    repositories: dict[str, Objects | None] = field(default_factory=dict)
    bundles: dict[tuple[str, str], Verified] = field(default_factory=dict)
    _others: dict[str, Chain | None] = field(default_factory=dict)
    _followed: dict[str, frozenset[str]] = field(default_factory=dict)
    _lines: dict[str, frozenset[str]] = field(default_factory=dict)
    _on_main: dict[tuple[str, str], dict[str, set[str]]] = field(default_factory=dict)
    possible_repos: set[str] = field(default_factory=set)  # every derived repository name
    drafts: int = 0
    facts: int = 0
    overlays: int = 0

    def proves(self, what: str, count: int = 1) -> None:
        """Count something computed again with the same result."""
        self.proved[what] += count

    def trusts(self, what: str, whose: str, count: int = 1) -> None:
        """Count something that clones cannot prove."""
        self.trusted[Trust(what, whose)] += count

    def chain_of(self, draft: str) -> Chain | None:
        """A draft's chain, read now if no step read it yet; None if there is none."""
        if draft not in self.chains and draft not in self._others:
            self._others[draft] = self.read_other_chain(draft)
        return self.chains.get(draft) or self._others.get(draft)

    def repository(self, name: str) -> Objects | None:
        """The clone of a repository, opened once; None if there is none."""
        if name not in self.repositories:
            git = self.open_repository(name)
            self.repositories[name] = Objects(git, name) if git is not None else None
        return self.repositories[name]

    def line_of(self, objects: Objects) -> frozenset[str]:
        """The first-parent line of a repository's main, as last seen."""
        if objects.name not in self._lines:
            head = read_branches(objects.git).get(MAIN)
            line = objects.git.list_line(head) if head else []
            self._lines[objects.name] = frozenset(line)
        return self._lines[objects.name]

    def requests_followed(self, objects: Objects) -> frozenset[str]:
        """`path@commit` of each request named by a commit on any branch of a repository."""
        if objects.name not in self._followed:
            commits = objects.history(dict.fromkeys(read_branches(objects.git).values()))
            self._followed[objects.name] = frozenset(
                value for c in commits for name, value in c.trailers if name == "Request"
            )
        return self._followed[objects.name]

    def trees_on_main(self, objects: Objects, folder: str) -> frozenset[str]:
        """Every tree that a second-level folder ever had on the default branch."""
        top, _, name = folder.partition("/")
        key = (objects.name, top)
        if key not in self._on_main:
            self._on_main[key] = _trees_below(objects, top)
        return frozenset(self._on_main[key].get(name, ()))

    def verified(self, bundle: str, signers: Signers) -> Verified | None:
        """The result of verifying a bundle; None if it is empty. Raises CouldNotCheck."""
        if not bundle:
            return None
        key = (bundle, signers.model_dump_json(by_alias=True))
        if key not in self.bundles:
            self.verify_together([(bundle, signers)])
        return self.bundles[key]

    def verify_together(self, asked: Iterable[tuple[str, Signers]]) -> None:
        """Prefetch the results of many bundles, in one call of the tool."""
        new = {(b, s.model_dump_json(by_alias=True)): (b, s) for b, s in asked if b}
        left = [key for key in new if key not in self.bundles]
        if left:
            found = verify_bundles([new[key] for key in left])
            self.bundles |= dict(zip(left, found, strict=True))


def _trees_below(objects: Objects, top: str) -> dict[str, set[str]]:
    """Name → every tree it had below a folder, along the line of main."""
    found: dict[str, set[str]] = {}
    head = read_branches(objects.git).get(MAIN)
    before: Tree = {}
    for commit in objects.line(head) if head else ():
        entry = objects.tree(commit.tree).get(top)
        now: Tree = objects.tree(entry.id) if entry is not None and entry.is_tree else {}
        if now is not before:
            for name, inner in now.items():
                if inner.is_tree and before.get(name) != inner:
                    found.setdefault(name, set()).add(inner.id)
        before = now
    return found


def read_branches(git: GitRepository) -> dict[str, str]:
    """Branch → head: local branches, overridden by what the clone last saw at its origin."""
    local = {n.removeprefix("refs/heads/"): id for n, id in git.read_refs(("refs/heads/",)).items()}
    remote = git.read_refs((_ORIGIN,))
    seen = {n.removeprefix(_ORIGIN): id for n, id in remote.items() if not n.endswith("/HEAD")}
    return {**local, **seen}


def read_strayed(git: GitRepository) -> dict[str, str]:
    """Branch → local head, for branches with commits that origin, as last seen, does not have.

    Somebody committed in this clone, or origin was reset or rewritten since.
    """
    strayed = {}
    for ref, head in git.read_refs(("refs/heads/",)).items():
        branch = ref.removeprefix("refs/heads/")
        seen = git.resolve(_ORIGIN + branch)
        if seen is not None and seen != head and not git.is_ancestor(head, seen):
            strayed[branch] = head
    return strayed


def check_strayed(repo: str, strayed: Mapping[str, str]) -> Iterator[Finding]:
    """One finding for each branch that `read_strayed` returned."""
    for branch, head in strayed.items():
        yield rule.AUDIT_FOREIGN_COMMIT.finding(
            f"`{branch}` at {head[:12]} holds commits that origin does not have: they were made "
            "in this clone, or origin was rewritten since",
            Location(f"{repo}:{branch}"),
        )


def build_of(chain: Chain, tree: str, before: int) -> Built | None:
    """The fact of a source tree's build, with its bundle, if it is before a sequence."""
    for fact in chain.facts:
        if isinstance(fact.body, Built) and fact.body.build.source_tree == tree:
            return fact.body if fact.sequence < before else None
    return None
