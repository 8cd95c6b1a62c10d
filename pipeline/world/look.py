"""One look at the world: the forge, causes and state, each thing read once and only when asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline import names
from pipeline.diagnostics import Finding
from pipeline.errors import CouldNotCheck, ForgeRefused, NotFound, PipelineError, failure_of
from pipeline.forges.port import Forge, PullRequest, RepoView
from pipeline.gate.standing import Standing, check_deleted
from pipeline.git.commits import account_of_email
from pipeline.git.history import read_newest_touching
from pipeline.git.repository import GitRepository
from pipeline.models.base import BlobId, CommitId
from pipeline.models.facts import Built, Cause, Fact
from pipeline.models.provenance import Verified
from pipeline.models.requests import Platform, RiskTier
from pipeline.models.status import DraftStatus
from pipeline.plan.view import Caused, Existing
from pipeline.requests.layout import draft_path, tenant_path
from pipeline.requests.snapshot import Snapshot
from pipeline.state.bounds import requests_due
from pipeline.state.facts import BrokenChain, is_fold_of, parse_chain, parse_status, status_path
from pipeline.state.store import read_fact_files
from pipeline.templating import Template
from pipeline.tools.gitleaks import SecretHit
from pipeline.world.hydrate import Hydrator
from pipeline.world.revisions import Revisions


def damaged_status(draft: str) -> CouldNotCheck:
    """What stops whoever needs the status of a draft that cannot be read."""
    return CouldNotCheck(
        f"the status of `{draft}` is damaged", help="`pipeline audit verify` says where"
    )


ScanSecrets = Callable[[Mapping[str, bytes]], Sequence[SecretHit]]
Verify = Callable[[str, str], Verified]  # bundle, signers as JSON


@dataclass
class Sight:
    """The control commit, the forge, and what was read so far."""

    forge: Forge
    control_repo: str
    control: GitRepository
    snapshot: Snapshot
    findings: Mapping[str, tuple[Finding, ...]]  # by request path
    templates: Mapping[str, Template]
    hydrator: Hydrator
    scan_secrets: ScanSecrets
    verify: Verify
    run_id: str
    revisions: Revisions
    # What could not be looked at: draft, repository or tenant, error code, message.
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)  # drafts whose recorded status is damaged
    _repos: dict[str, RepoView | None] = field(default_factory=dict)
    # Repositories that could not be asked; each is asked once a look, whoever rests on it.
    _broken: dict[str, PipelineError] = field(default_factory=dict)
    # Repository → branch → its pull request; commit of main → the one that brought it.
    _pulls: dict[str, dict[str, PullRequest | None]] = field(default_factory=dict)
    _merged: dict[str, PullRequest | None] = field(default_factory=dict)
    _asked_for: set[str] = field(default_factory=set)
    # Tenant looked at → what stands of it though its file is gone from main.
    standing: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)  # tenants looked at that had nothing due
    resting: set[str] = field(default_factory=set)  # drafts looked at that had nothing due
    _brought: dict[str, str] = field(default_factory=dict)  # request path → commit of main
    # Draft → the status that it was asked for with, and the paths of its requests that are due.
    _known_due: dict[str, tuple[DraftStatus | None, frozenset[str]]] = field(default_factory=dict)
    # Tree id of a draft's folder → its status: most are the same in the next look.
    _statuses: dict[str, DraftStatus] = field(default_factory=dict)

    def repo(self, name: str) -> RepoView | None:
        """A repository as of this look. Raises what the forge raised when it was asked."""
        self._asked_for.add(name)
        if name not in self._repos:
            with self._once(name):
                self._repos[name] = self.forge.read_repo(name)
        return self._repos[name]

    @contextmanager
    def _once(self, repo: str) -> Iterator[None]:
        """Ask the forge about a repository, unless asking failed before in this look."""
        if repo in self._broken:
            raise self._broken[repo]
        try:
            yield
        except (CouldNotCheck, ForgeRefused, NotFound) as error:
            self._broken[repo] = error
            raise

    def fail(self, subject: str, error: Exception) -> None:
        """Keep that a draft, repository or tenant cannot be looked at; the others go on."""
        self.failures.append((subject, *failure_of(error)))

    @property
    def asked_for(self) -> frozenset[str]:
        """The repositories, beside the control repo, that the look at the last tenant rests on."""
        return frozenset(self._asked_for - {self.control_repo})

    def read_pulls(self, repo: str, branches: Collection[str]) -> None:
        """Have the pull requests of these branches at hand, at the cost of one question."""
        self._asked_for.add(repo)
        known = self._pulls.setdefault(repo, {})
        new = [branch for branch in branches if branch not in known]
        view = self.repo(repo) if new else None
        found: Mapping[str, PullRequest] = {}
        if view:
            with self._once(repo):
                found = self.forge.read_pulls_of_branches(
                    repo, new, base_branch=view.default_branch
                )
        known.update({branch: found.get(branch) for branch in new})

    def pull_of_branch(self, repo: str, branch: str) -> PullRequest | None:
        """The pull request of a branch into the default branch, as of this look."""
        self.read_pulls(repo, [branch])
        return self._pulls[repo][branch]

    def read_merged(self, commits: Collection[str]) -> None:
        """Have the pull requests that brought these commits to main at hand, by one question."""
        new = [commit for commit in dict.fromkeys(commits) if commit not in self._merged]
        found = self.forge.read_pulls_of_commits(self.control_repo, new) if new else {}
        self._merged.update({commit: found.get(commit) for commit in new})

    def pull_of_request(self, commit: str) -> PullRequest | None:
        """The merged pull request of the control repo that brought `commit` to main."""
        self.read_merged([commit])
        return self._merged[commit]

    def owners(self, platform: Platform, teams: Collection[str]) -> frozenset[int]:
        """The people of any of these teams, by policy and by the forge."""
        return platform.held_to(self.revisions.read_members(teams)).members(tuple(teams))

    def git(self, repo: str) -> GitRepository:
        """A repository's objects."""
        return self.forge.open_repository(repo)

    def _read_brought(self, folder: str, paths: Collection[str]) -> None:
        head = self.snapshot.commit
        self._brought.update(read_newest_touching(self.control.path, head, folder, paths))

    def caused(self, path: str, blob: str, *, tier: RiskTier = "LOW") -> Caused:
        """Why a request is as it is: the commit of main that brought it, who asked, and whether
        they and the reviewers had the authority. `tier` is that of an accepted draft.
        """
        if path not in self._brought:
            self._read_brought(path, [path])
        commit = self.control.read_commit(self._brought.get(path, self.snapshot.commit))
        pull = self.pull_of_request(commit.id)
        brought = self.revisions.read_brought(commit.id, pull) if pull else None
        actor = pull.author_id if pull else account_of_email(commit.author.email) or 0
        cause = Cause(
            request=path,
            commit=CommitId(commit.id),
            blob=BlobId(blob),
            run=self.run_id or f"local-{self.snapshot.commit[:12]}",
            actor=actor,
            brought=brought,
        )
        authority = self.revisions.read_authority(
            [path], commit.id, brought, now=self.snapshot, tier=tier
        )
        return Caused(cause, commit.committer.time_s, authority)

    def state_head(self, tenant: str) -> str | None:
        """The head of the tenant's state branch."""
        view = self.repo(self.control_repo)
        return view.branches.get(names.state_branch(tenant)) if view else None

    def statuses(self, tenant: str, primitives: Sequence[str]) -> dict[str, DraftStatus]:
        """The recorded status of each of a tenant's primitives that has one.

        A damaged one is a failure of its draft, which is then among `unreadable`.
        """
        head = self.state_head(tenant)
        folders = self.control.read_tree(f"{head}:drafts") or () if head else ()
        trees = {entry.name: entry.id for entry in folders}
        # What no draft's folder is any more is forgotten.
        for gone in self._statuses.keys() - set(trees.values()):
            del self._statuses[gone]
        there = [p for p in primitives if p in trees]
        new = [p for p in there if trees[p] not in self._statuses]
        found = self.control.read_objects([f"{head}:{status_path(p)}" for p in new])
        for primitive, item in zip(new, found, strict=True):
            try:
                if item is not None:
                    self._statuses[trees[primitive]] = parse_status(item.content)
            except ValueError:
                draft = f"{tenant}/{primitive}"
                self.unreadable.add(draft)
                self.fail(draft, damaged_status(draft))
        return {p: self._statuses[trees[p]] for p in there if trees[p] in self._statuses}

    def requests_due(self, draft: str, status: DraftStatus | None) -> frozenset[str]:
        """The paths of a draft's requests on main that were not dealt with as they are there.

        Raises CouldNotCheck where that rests on facts which are damaged.
        """
        known = self._known_due.get(draft)
        if known is None or known[0] != status:
            asked = {r.path: r.blob for r in self.snapshot.requests_of(draft)}
            tenant, primitive = draft.split("/")
            head = self.state_head(tenant)

            def read_facts() -> tuple[Fact, ...]:
                files = read_fact_files(self.control, head, primitive) if head else ()
                return parse_chain(draft, files)

            try:
                known = (status, requests_due(status, asked, read_facts))
            except BrokenChain as broken:
                raise CouldNotCheck(
                    f"the facts of `{draft}` are damaged: {broken}",
                    help="`pipeline audit verify` says more",
                ) from broken
            self._known_due[draft] = known
        return known[1]

    def deleted(self, tenant: str, paths: Collection[str]) -> tuple[Finding, ...]:
        """Findings of a tenant's drafts that stand, and have no file among `paths` of main."""
        head = self.state_head(tenant)
        folders = self.control.read_tree(f"{head}:drafts") or () if head else ()
        names_ = [entry.name for entry in folders]
        if tenant_path(tenant) in paths:
            names_ = [name for name in names_ if draft_path(f"{tenant}/{name}") not in paths]
        found = self.statuses(tenant, names_).values() if names_ else ()
        standings = [Standing.of_status(status) for status in found]
        return tuple(check_deleted(standings, paths))

    def chain(self, tenant: str, status: DraftStatus) -> tuple[tuple[Fact, ...], str]:
        """A draft's facts, and why they do not add up to its status; empty when they do."""
        head = self.state_head(tenant)
        if head is None:
            return (), "there is no state branch"
        try:
            facts = parse_chain(status.id, read_fact_files(self.control, head, status.primitive_id))
            is_fold = is_fold_of(status, facts)
        except BrokenChain as broken:
            return (), str(broken)
        if not is_fold:
            return facts, f"{status_path(status.primitive_id)} is not the fold"
        return facts, ""

    def provenance(self, facts: Iterable[Fact], tree: str | None) -> Verified | None:
        """What comes of the statement of a source tree's image; None where a fact holds none.

        Raises CouldNotCheck.
        """
        bundles = [
            fact.body.build.bundle
            for fact in facts
            if isinstance(fact.body, Built) and fact.body.build.source_tree == tree
        ]
        signers = self.snapshot.signers
        if signers is None or not (bundles and bundles[-1]):
            return None
        return self.verify(bundles[-1], signers.model_dump_json(by_alias=True))

    def _existing(
        self, repo: str, view: RepoView, branch: str, folder: str, key: str
    ) -> Existing | None:
        """The branch that a broken-off run made for this key, if its head carries the key."""
        head = view.branches.get(branch)
        if head is None:
            return None
        git = self.git(repo)
        if ("Key", key) not in git.read_commit(head).trailers:
            return None
        tree = git.read_object(f"{head}:{folder}")
        return Existing(head, tree.id if tree else None)
