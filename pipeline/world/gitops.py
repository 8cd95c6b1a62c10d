"""GitOps repositories as of one look: what facts record, what is there, and what people propose.

Overlays in a tenant's own repository are recorded by that tenant's facts alone, those in the
platform's by the facts of all tenants. One tenant checks the platform's for all: `platform`, else
the first by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline import names
from pipeline.diagnostics import Finding
from pipeline.documents import parse_document
from pipeline.errors import CouldNotCheck, NotFound, PipelineError, StalePlan
from pipeline.forges.port import Forge, PullRequest, PullState, RepoView
from pipeline.git.repository import GitRepository
from pipeline.gitops.proposals import MAX_FILES, Proposal, is_plain
from pipeline.gitops.reading import is_sealed, read_differences, require_trees
from pipeline.gitops.sealed import ROOT, Recorded, check_gitops
from pipeline.models.draft_id import DraftId
from pipeline.models.requests import CodeOrigin
from pipeline.requests.snapshot import Snapshot
from pipeline.stages.gitops import GitopsView
from pipeline.state.facts import status_path
from pipeline.world.failures import Failures
from pipeline.world.repositories import OpenRepositories
from pipeline.world.revisions import Revisions, read_committers
from pipeline.world.states import States


@dataclass(frozen=True, slots=True)
class RecordedState:
    """The overlays that one state branch records in GitOps repositories.

    `unknown` are the drafts whose status cannot be read, so their overlays are unknown.
    """

    repos: frozenset[str]  # repositories that were created
    overlays: Mapping[str, Mapping[str, Recorded]]  # repository → folder → promoted overlay
    unknown: frozenset[str]


@dataclass
class GitopsRepositories:
    """The GitOps repositories as of one look, each compared once with what was promoted."""

    forge: Forge
    control: GitRepository
    snapshot: Snapshot
    repositories: OpenRepositories
    states: States
    revisions: Revisions
    failures: Failures
    # State commit → what it records; valid for every look.
    recorded: dict[str, RecordedState] = field(default_factory=dict)
    _views: dict[str, GitopsView | None] = field(default_factory=dict)

    def kept_for(
        self, tenant: str, leave_out: Collection[str] = ()
    ) -> tuple[tuple[GitopsView, ...], bool]:
        """The GitOps repositories that this tenant's look checks, with people's proposals; and
        whether all are as promoted, with nothing to do or to wait for.

        A repository that cannot be read is recorded as a failure.
        """
        views, are_clean = [], True
        for repo in self.repos_of(tenant):
            view, is_clean = None, False
            try:
                if repo not in leave_out:
                    found = self.view(repo)
                    view = self._with_proposals(found, tenant) if found else None
                    is_clean = not (view and (view.findings or view.proposals or view.unrecorded))
            except StalePlan:
                raise
            except Exception as error:
                self.failures.add(repo, error)
            are_clean = are_clean and is_clean
            if view:
                views.append(view)
        return tuple(views), are_clean

    def findings_of(self, repo: str) -> tuple[Finding, ...]:
        """How a repository differs from what was promoted; empty if that could not be read."""
        try:
            found = self.view(repo)
        except StalePlan:
            raise
        except PipelineError as error:
            self.failures.add(repo, error)
            return ()
        return found.findings if found else ()

    def repos_of(self, tenant: str) -> tuple[str, ...]:
        """The GitOps repositories that this tenant's look checks."""
        platform = self.snapshot.platform
        if platform is None:
            return ()
        own = names.gitops_repo(platform.platform, tenant, CodeOrigin.TENANT)
        shared = names.gitops_repo(platform.platform, tenant, CodeOrigin.PLATFORM)
        state = self._state_of(tenant)
        found = [own] if own in state.repos or state.unknown else []
        if tenant == self._keeper and any(
            shared in self._state_of(other).repos for other in self.states.tenants
        ):
            found.append(shared)
        return tuple(found)

    @property
    def _keeper(self) -> str:
        """The tenant whose look checks the platform's repository."""
        folders = self.control.read_tree(f"{self.snapshot.commit}:tenants") or ()
        tenants = sorted(entry.name for entry in folders)
        platform = names.PLATFORM_TENANT
        return platform if platform in tenants else next(iter(tenants), platform)

    def view(self, repo: str) -> GitopsView | None:
        """A GitOps repository, compared once per look; None if it neither exists nor should.

        Raises what the forge raised, CouldNotCheck, and NotFound if facts say it was created.
        """
        if repo not in self._views:
            self._views[repo] = self._read(repo)
        return self._views[repo]

    def _with_proposals(self, view: GitopsView, tenant: str) -> GitopsView:
        """The view with people's proposals and the repository's owners.

        `tenant` is the one that checks it; the platform's owners own the platform's repository.
        """
        platform, owner = self.snapshot.platform, self.snapshot.tenant(tenant)
        if platform is None or owner is None:
            return view
        pulls = self.forge.read_open_pulls(view.repo, base_branch=view.default_branch)
        proposed = [p for p in pulls if p.author_id != platform.pipeline_account.id]
        if not proposed:
            return view
        own = names.gitops_repo(platform.platform, tenant, CodeOrigin.TENANT)
        teams = owner.owners if view.repo == own else platform.owners
        git = self.repositories.git(view.repo)
        return replace(
            view,
            proposals=tuple(self._proposal(git, view.head, pull) for pull in proposed),
            owners=teams,
            people=platform.held_to(self.revisions.read_members(teams)),
        )

    def _proposal(self, git: GitRepository, head: str, pull: PullRequest) -> Proposal:
        """A person's pull request as a proposal: what merging it into `head` changes, by whom."""
        try:
            git.read_commit(pull.head)  # raises NotFound if it is not in this copy
            merged = git.merge_tree(head, pull.head)
            changed = git.diff_names(head, merged)
            plain = [path for path in changed if is_plain(path)]
            if len(changed) > MAX_FILES:
                problem, listed = f"it changes {len(changed)} files", {}
            else:
                problem, listed = "", git.list_folders(merged, plain) if plain else {}
            return Proposal(
                pull,
                {path: listed.get(path) for path in changed},
                problem,
                self.forge.read_pushes(pull.repo, pull.head_branch),
                read_committers(git, head, pull.head),
            )
        except (StalePlan, CouldNotCheck, NotFound) as error:
            return Proposal(pull, {}, error.message)

    def _read(self, repo: str) -> GitopsView | None:
        platform, view = self.snapshot.platform, self.repositories.view(repo)
        states = [self._state_of(tenant) for tenant in self._tenants_of(repo)]
        if view is None or view.head is None:
            if any(repo in state.repos for state in states):
                raise NotFound(
                    f"`{repo}` is gone, or has no branch `main`",
                    help="facts say that it was made: push it back from a clone",
                )
            return None
        recorded = {
            folder: item
            for state in states
            for folder, item in state.overlays.get(repo, {}).items()
        }
        unknown = {draft for state in states for draft in state.unknown}
        git = self.repositories.git(repo)
        head = git.read_commit(view.head)
        clean = GitopsView(
            repo=repo,
            default_branch=view.default_branch,
            head=view.head,
            time_s=head.committer.time_s,
            root=git.read_tree(view.head) or (),
            branches=view.branches,
            findings=(),
            overlays={folder: item.tree for folder, item in recorded.items()},
            restores=platform is not None and platform.gitops_drift == "restore" and not unknown,
        )
        if is_sealed(git, view.head, recorded):
            return clean
        differences, unrecorded = read_differences(
            git,
            view.head,
            recorded,
            unknown=_folder_names(unknown),
            is_own=lambda folder, tree: self._is_own(git, view, folder, tree, recorded),
        )
        found = replace(
            clean,
            findings=check_gitops(repo, differences),
            overlays={
                folder: tree
                for folder, tree in {**clean.overlays, **unrecorded}.items()
                if tree is not None
            },
            unrecorded=bool(unrecorded),
        )
        if found.findings and found.restores:
            require_trees(git, repo, found.overlays)
        return found

    def _tenants_of(self, repo: str) -> list[str]:
        """The tenants whose facts may name a GitOps repository."""
        owner = repo.removeprefix("tenant-").removesuffix("-gitops")
        if repo == f"tenant-{owner}-gitops":
            return [owner]
        return self.states.tenants

    def _state_of(self, tenant: str) -> RecordedState:
        head = self.states.head(tenant)
        if head is None:
            return RecordedState(frozenset(), {}, frozenset())
        if head not in self.recorded:
            self.recorded[head] = _read_state(self.control, tenant, head)
        return self.recorded[head]

    def _is_own(
        self,
        git: GitRepository,
        view: RepoView,
        folder: str,
        tree: str | None,
        recorded: Mapping[str, Recorded],
    ) -> bool:
        """Whether the pipeline merged what is there, or took it out, and only its fact is missing.

        As the forge reports it: the newest commit that touched the folder merged a pull request
        that the pipeline opened and merged, from a branch that only the pipeline may push to.
        """
        platform, head = self.snapshot.platform, str(view.head)
        commit = next(iter(git.commits_touching(head, folder)), None)
        if platform is None or commit is None:
            return False
        before = recorded.get(folder)
        if before and (before.commit == commit or not _follows(git, before.commit, commit)):
            return False
        pull = self.forge.read_pulls_of_commits(view.repo, [commit]).get(commit)
        if pull is None or pull.state is not PullState.MERGED:
            return False
        account = platform.pipeline_account.id
        branch = f"promote/{folder.removeprefix(f'{ROOT}/')}/"
        merged = git.read_object(f"{pull.head}:{folder}")
        return (
            pull.author_id == pull.merged_by == account
            and pull.head_branch.startswith(branch)
            and (merged.id if merged else None) == tree
        )


def _follows(git: GitRepository, before: str, commit: str) -> bool:
    return git.read_object(before) is not None and git.is_ancestor(before, commit)


def _folder_names(drafts: Collection[str]) -> set[str]:
    """The names that overlays of these drafts may have."""
    found = set()
    for draft in drafts:
        id = DraftId(draft)
        for origin in (CodeOrigin.TENANT, CodeOrigin.PLATFORM):
            with suppress(names.NameRefused):
                found.add(names.instance(id.tenant, id.primitive, origin))
    return found


def _read_state(control: GitRepository, tenant: str, head: str) -> RecordedState:
    """What the statuses on a state branch record; drafts without a readable one are unknown."""
    primitives = [entry.name for entry in control.read_tree(f"{head}:drafts") or ()]
    found = control.read_objects([f"{head}:{status_path(p)}" for p in primitives])
    repos: set[str] = set()
    overlays: dict[str, dict[str, Recorded]] = {}
    unknown: set[str] = set()
    for primitive, item in zip(primitives, found, strict=True):
        try:
            # Not validated as a model: a look at the platform's repository reads all tenants'.
            status: Any = parse_document("status.yaml", item.content if item else b"").value
            repo, made = str(status["gitops_repo"]), list(status["repos"])
            there = {
                str(p["overlay_folder"]): Recorded(str(p["overlay_tree"]), str(p["gitops_commit"]))
                for p in status["promotions"]
            }
        except (ValueError, KeyError, TypeError):
            unknown.add(f"{tenant}/{primitive}")
            continue
        repos |= {repo} & set(made)
        overlays.setdefault(repo, {}).update(there)
    return RecordedState(frozenset(repos), overlays, frozenset(unknown))
