"""Reading the world for planning: everything a draft's stages look at, as values.

The core decides what is due by comparing blob ids with a draft's status; only what is due is
read further, so a run with nothing to do reads one status a draft and no history. Statuses are
small and found by path; facts are read only when a promotion rests on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline import names
from pipeline.apply import read_fact_files
from pipeline.diagnostics import Finding, Location
from pipeline.errors import CouldNotCheck, Unrenderable
from pipeline.facts import BrokenChain, fold, parse_chain, parse_status, status_path
from pipeline.forges.port import Forge, PullRequest, PullState, RepoView
from pipeline.gitcli import GitRepository
from pipeline.githistory import read_newest_touching
from pipeline.hydrate import Hydrator
from pipeline.layout import draft_path, tenant_path
from pipeline.models.base import CommitId, TreeId
from pipeline.models.evidence import BuildRecord, Observation
from pipeline.models.facts import Built, Cause, Fact, Release
from pipeline.models.requests import DraftPatch, Environment, Promotion, ReplaceText
from pipeline.models.status import DraftState, DraftStatus
from pipeline.overlays import (
    Overlay,
    base_tree_of,
    has_runtime,
    parse_overlay,
    render_overlay,
)
from pipeline.provenance import Verified
from pipeline.pushes import read_parents
from pipeline.rules.manifests import MANIFEST_NOT_RENDERED
from pipeline.snapshot import LoadedRequest, Snapshot
from pipeline.stages.patch import followup_branch, is_followup, patch_key, patched_folder
from pipeline.stages.promote import promotion_key
from pipeline.stages.scaffold import scaffold_key
from pipeline.stages.view import Caused, DraftView, Existing, PatchInput, PromotionInput
from pipeline.templating import Template

ScanSecrets = Callable[[Mapping[str, bytes]], Sequence[str]]
Verify = Callable[[str, str], Verified]  # bundle, signers as JSON
_NOREPLY = re.compile(r"([0-9]+)(?:\+[^@]*)?@users\.noreply\.")


@dataclass
class World:
    """One look at the world: the control commit, the forge, and what was read so far."""

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
    # Drafts that could not be looked at: draft, error code, message.
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    _repos: dict[str, RepoView | None] = field(default_factory=dict)
    # Repository → branch → its pull request; commit of main → the one that brought it.
    _pulls: dict[str, dict[str, PullRequest | None]] = field(default_factory=dict)
    _merged: dict[str, PullRequest | None] = field(default_factory=dict)
    _teams: dict[str, frozenset[int] | None] = field(default_factory=dict)
    _asked_for: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)  # tenants looked at that had nothing due
    resting: set[str] = field(default_factory=set)  # drafts looked at that had nothing due
    _brought: dict[str, str] = field(default_factory=dict)  # request path → commit of main
    # Tree id of a draft's folder → its status: most are the same in the next look.
    _statuses: dict[str, DraftStatus] = field(default_factory=dict)

    # -- the forge, each thing read once -------------------------------------------------

    def repo(self, name: str) -> RepoView | None:
        """A repository as of this look."""
        self._asked_for.add(name)
        if name not in self._repos:
            self._repos[name] = self.forge.read_repo(name)
        return self._repos[name]

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
        found = (
            self.forge.read_pulls_of_branches(repo, new, base_branch=view.default_branch)
            if view
            else {}
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

    def members(self, view: DraftView, environment: str) -> Mapping[str, frozenset[int]]:
        """By the forge, the members of each team whose approval an environment asks for."""
        policy = view.environments[environment].approval_for(view.risk_tier)
        found = {}
        for team in policy.teams if policy else ():
            if team not in self._teams:
                self._teams[team] = self.forge.read_team(team)
            members = self._teams[team]
            if members is not None:
                found[team] = members
        return found

    def git(self, repo: str) -> GitRepository:
        """A repository's objects."""
        return self.forge.open_repository(repo)

    # -- causes ------------------------------------------------------------------------

    def _read_brought(self, folder: str, paths: Collection[str]) -> None:
        head = self.snapshot.commit
        self._brought.update(read_newest_touching(self.control.path, head, folder, paths))

    def caused(self, path: str, blob: str) -> Caused:
        """Why a request is as it is: the commit of main that brought it, and who asked."""
        if path not in self._brought:
            self._read_brought(path, [path])
        commit = self.control.read_commit(self._brought.get(path, self.snapshot.commit))
        pull = self.pull_of_request(commit.id)
        match = _NOREPLY.match(commit.author.email)
        actor = pull.author_id if pull else int(match.group(1)) if match else 0
        run = self.run_id or f"local-{self.snapshot.commit[:12]}"
        cause = Cause(
            request=path,
            commit=CommitId(commit.id),
            blob=blob,  # type: ignore[arg-type]  # a blob id by construction
            run=run,
            actor=actor,
        )
        return Caused(cause, commit.committer.time_s)

    # -- state -------------------------------------------------------------------------

    def state_head(self, tenant: str) -> str | None:
        """The head of the tenant's state branch."""
        view = self.repo(self.control_repo)
        return view.branches.get(names.state_branch(tenant)) if view else None

    def statuses(self, tenant: str, primitives: Sequence[str]) -> dict[str, DraftStatus]:
        """The recorded status of each of a tenant's primitives that has one."""
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
            if item is not None:
                self._statuses[trees[primitive]] = parse_status(item.content)
        return {p: self._statuses[trees[p]] for p in there if trees[p] in self._statuses}

    def chain(self, tenant: str, status: DraftStatus) -> tuple[tuple[Fact, ...], str]:
        """A draft's facts, and why they do not add up to its status; empty when they do."""
        head = self.state_head(tenant)
        if head is None:
            return (), "there is no state branch"
        try:
            facts = parse_chain(status.id, read_fact_files(self.control, head, status.primitive_id))
            folded = fold(facts)
        except BrokenChain as broken:
            return (), str(broken)
        if folded != status:
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

    # -- views -------------------------------------------------------------------------

    def views(
        self,
        tenant: str,
        observations: Collection[Observation] = (),
        *,
        leave_out: Collection[str] = (),
        at_most: int | None = None,
    ) -> tuple[DraftView, ...]:
        """What planning needs of each of a tenant's drafts that has something due.

        Some are left out, and with `at_most` the others are looked at until so many are due.
        """
        self._asked_for.clear()
        drafts = [d for d in self.snapshot.drafts_of(tenant) if d not in leave_out]
        statuses = self.statuses(tenant, [d.split("/")[1] for d in drafts])
        self._read_pulls_that_matter(statuses.values())
        paths = {d: self._due_paths(d, statuses.get(d.split("/")[1])) for d in drafts}
        due = {path for found in paths.values() for path in found}
        if not due <= self._brought.keys():
            self._read_brought(f"tenants/{tenant}", due)
        self.read_merged([self._brought.get(path, self.snapshot.commit) for path in due])
        views: list[DraftView] = []
        for draft in drafts:
            if len(views) == at_most:
                break
            seen = tuple(o for o in observations if o.draft == draft)
            if not (paths[draft] or seen):
                self.resting.add(draft)
                continue
            try:
                view = self.view(draft, statuses.get(draft.split("/")[1]), seen)
            except CouldNotCheck as error:
                # One draft that cannot be looked at keeps no other from going on.
                self.failures.append((draft, error.code, error.message))
                continue
            if view is None:
                self.resting.add(draft)
            else:
                views.append(view)
        looked_at_all = not leave_out and not self.failures
        if not views and looked_at_all and not self._has_findings(tenant):
            self.settled.add(tenant)
        return tuple(views)

    def _has_findings(self, tenant: str) -> bool:
        """Whether anything is said of the tenant's requests or of policy."""
        return any(p.startswith((f"tenants/{tenant}/", "environments/")) for p in self.findings)

    def _due_paths(self, draft: str, status: DraftStatus | None) -> set[str]:
        """Paths of a draft's requests that have something due, and then of the draft's own."""
        done = status.requests if status else {}
        due = {r.path for r in self.snapshot.requests_of(draft) if done.get(r.path) != r.blob}
        return {*due, draft_path(draft)} if due or not self._is_settled(status) else due

    def view(
        self,
        draft: str,
        status: DraftStatus | None,
        observations: tuple[Observation, ...] = (),
        *,
        force: bool = False,
    ) -> DraftView | None:
        """One draft's view; None when its request is refused, or it has nothing due.

        `force` gives a view even then, for questions about a draft. An invalid draft is never
        planned on: `validate` reports it.
        """
        loaded = self.snapshot.requests[draft_path(draft)]
        request = self.snapshot.draft(draft)
        tenant = self.snapshot.tenant(draft.split("/")[0])
        platform = self.snapshot.platform
        if request is None or tenant is None or platform is None or self._is_blocked(loaded.path):
            return None
        due_patches = self._due(self.snapshot.patches_of(draft), status)
        due_promotions = self._due(self.snapshot.promotions_of(draft), status)
        is_new = status is None or status.requests.get(loaded.path) != loaded.blob
        due = is_new or due_patches or due_promotions or observations or force
        if not due and self._is_settled(status):
            return None
        view = DraftView(
            request=request,
            caused=self.caused(loaded.path, loaded.blob),
            tenant=tenant,
            platform=platform,
            environments=self.snapshot.environments,
            blocked_digests=self.snapshot.blocked_digests,
            signers=self.snapshot.signers,
            template=self.templates[request.template_id.split("@")[0]],
            status=status,
            is_new_revision=is_new,
            observations=observations,
        )
        view = self._with_repos(view)
        if due_promotions or force:
            view = replace(view, gitops=self.repo(view.gitops_repo))
        if due_patches and status and status.branch_name:
            view = replace(view, patch=self._patch(view, due_patches[0]))
        if due_promotions and status and status.branch_name and view.patch is None:
            found = tuple(self.promotion(view, r) for r in due_promotions)
            view = replace(view, promotions=found)
        return view

    def _is_settled(self, status: DraftStatus | None) -> bool:
        """Whether only a new request could give this draft something to do."""
        if status is None or not _is_complete(status):
            return False
        if not _rests_on_pull(status):
            return True
        pull = self.pull_of_branch(status.target_repo, status.branch_name)
        return pull is None or pull.state is not PullState.CLOSED

    def _read_pulls_that_matter(self, statuses: Collection[DraftStatus]) -> None:
        """Have at hand what `_is_settled` asks for of each, at one question a repository."""
        branches: dict[str, list[str]] = {}
        for status in statuses:
            if _is_complete(status) and _rests_on_pull(status):
                branches.setdefault(status.target_repo, []).append(status.branch_name)
        for repo, wanted in branches.items():
            self.read_pulls(repo, wanted)

    def _is_blocked(self, path: str) -> bool:
        """Whether the request, or policy that it is judged by, is invalid."""
        tenant = tenant_path(path.split("/")[1])
        policy = (p for p in self.findings if p.startswith("environments/"))
        return any(self._is_refused(p) for p in (path, tenant, *policy))

    def _is_refused(self, path: str) -> bool:
        return any(f.severity == "error" for f in self.findings.get(path, ()))

    def _due(
        self, requests: Sequence[LoadedRequest], status: DraftStatus | None
    ) -> list[LoadedRequest]:
        done = status.requests if status else {}
        return [
            r
            for r in requests
            if done.get(r.path) != r.blob
            and (isinstance(r.model, DraftPatch) or not self._is_refused(r.path))
        ]

    def _with_repos(self, view: DraftView) -> DraftView:
        target = self.repo(view.target_repo)
        view = replace(view, target=target)
        status = view.status
        if status and status.branch_name:
            return replace(view, pull=self.pull_of_branch(view.target_repo, status.branch_name))
        if target is None or target.head is None:
            return view
        branch = names.draft_branch(view.instance, scaffold_key(view))
        existing = self._existing(view.target_repo, target, branch, view.folder, scaffold_key(view))
        parents = read_parents(self.git(view.target_repo), target.head, view.folder)
        return replace(view, existing=existing, base_parents=parents)

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

    # -- patches -----------------------------------------------------------------------

    def _patch(self, view: DraftView, loaded: LoadedRequest) -> PatchInput:
        patch = loaded.model
        assert isinstance(patch, DraftPatch) and view.status and view.target
        git = self.git(view.target_repo)
        caused = self.caused(loaded.path, loaded.blob)
        existing, followup = self._begun(view, view.target, view.status, caused)
        head = (view.target.head if followup else None) or view.status.head
        if existing:
            # Judged on what it was begun on, whatever people merged since.
            head = git.read_commit(existing.commit).parents[0]
        listing = git.list_files(head, view.folder)
        base = git.read_object(patch.base_commit)
        base_listing = git.list_files(patch.base_commit, view.folder) if base else None
        replaced = [
            c.path for c in patch.changes if isinstance(c, ReplaceText) and c.path in listing
        ]
        found = git.read_objects([listing[p][1] for p in replaced])
        contents = {p: o.content for p, o in zip(replaced, found, strict=True) if o}
        due = PatchInput(
            number=loaded.meaning.name,
            patch=patch,
            caused=caused,
            head=head,
            listing=listing,
            base_listing=base_listing,
            contents=contents,
            parents=read_parents(git, head, view.folder),
            findings=self.findings.get(loaded.path, ()),
            secrets=(),
            is_followup=followup,
            existing=existing,
        )
        result = patched_folder(due, listing)
        written = {
            p: result.blobs[id] for p, (_, id) in result.entries.items() if id in result.blobs
        }
        secrets = tuple(self.scan_secrets(written)) if written else ()
        return replace(due, secrets=secrets)

    def _begun(
        self, view: DraftView, target: RepoView, status: DraftStatus, caused: Caused
    ) -> tuple[Existing | None, bool]:
        """What a broken-off run made of a patch, and whether the patch is one after the merge.

        A patch that reached the draft's own branch stays there though it was merged since.
        """
        key, own = patch_key(caused), status.branch_name
        if target.branches.get(own) != status.head:
            found = self._existing(view.target_repo, target, own, view.folder, key)
            if found:
                return found, False
        if not is_followup(view):
            return None, False
        branch = followup_branch(view, caused)
        return self._existing(view.target_repo, target, branch, view.folder, key), True

    # -- promotions --------------------------------------------------------------------

    def promotion(self, view: DraftView, loaded: LoadedRequest) -> PromotionInput:
        """Everything the decision on one promotion request rests on."""
        promotion = loaded.model
        assert isinstance(promotion, Promotion) and view.status
        caused = self.caused(loaded.path, loaded.blob)
        pull = self.pull_of_request(caused.cause.commit)
        approved_blob = None
        if pull:
            found = self.control.read_object(f"{pull.head}:{loaded.path}")
            approved_blob = found.id if found else None
        return self.promotion_input(view, promotion, caused, pull, approved_blob)

    def promotion_input(
        self,
        view: DraftView,
        promotion: Promotion,
        caused: Caused,
        pull: PullRequest | None,
        approved_blob: str | None,
    ) -> PromotionInput:
        """The same for a request that may not be merged yet (`promote request`, `why`)."""
        status = view.status
        assert status is not None
        source_commit = promotion.release.source_commit
        git = self.git(view.target_repo)
        source = git.read_object(f"{source_commit}:{view.folder}") if view.target else None
        tree = source.id if source and source.type == "tree" else None
        overlay, findings = self._overlay(view, promotion, tree, git)
        facts, chain_problem = self.chain(view.request.tenant_id, status)
        due = PromotionInput(
            promotion=promotion,
            caused=caused,
            source_tree=tree,
            source_on_default=self._is_on_default(view, git, tree),
            overlay=overlay,
            manifest_findings=findings,
            pull=pull,
            approved_blob=approved_blob,
            chain_problem=chain_problem,
            provenance=self.provenance(facts, tree),
            teams=self.members(view, promotion.environment) if pull else {},
        )
        if view.gitops is None or view.gitops.head is None:
            return due
        gitops = self.git(view.gitops_repo)
        key = promotion_key(caused)
        branch = names.promotion_branch(promotion.environment, view.instance, key)
        folder = names.overlay_folder(promotion.environment, view.instance)
        existing = self._existing(view.gitops_repo, view.gitops, branch, folder, key)
        opened = self.pull_of_branch(view.gitops_repo, branch) if existing else None
        queued = opened is not None and opened.is_queued
        due = replace(due, existing=existing, opened=opened is not None, is_queued=queued)
        if existing and opened and opened.state is PullState.MERGED:
            files = gitops.read_files(existing.commit, folder)
            there = parse_overlay(folder, {path: content for path, (_, content) in files.items()})
            return replace(due, overlay=there, manifest_findings=(), merged=True)
        if overlay is None:
            return due
        # Begun with another tree, before policy changed: the same branch goes on from there.
        begun = existing and existing.folder_tree != overlay.tree
        base = existing.commit if existing and begun else view.gitops.head
        return replace(due, gitops_base=base, gitops_parents=read_parents(gitops, base, folder))

    def _overlay(
        self, view: DraftView, promotion: Promotion, tree: str | None, git: GitRepository
    ) -> tuple[Overlay | None, tuple[Finding, ...]]:
        status = view.status
        build = status.build_of_tree(tree) if status and tree else None
        environment = view.environments.get(promotion.environment)
        if status is None or tree is None or build is None or environment is None:
            return None, ()
        files = git.read_files(promotion.release.source_commit, view.folder)
        try:
            return self._rendered(view, status, environment, build, tree, files)
        except Unrenderable as error:
            at = Location(f"{view.target_repo}:{view.folder}/chart")
            return None, (MANIFEST_NOT_RENDERED.finding(error.message, at),)

    def _rendered(
        self,
        view: DraftView,
        status: DraftStatus,
        environment: Environment,
        build: BuildRecord,
        tree: str,
        files: Mapping[str, tuple[int, bytes]],
    ) -> tuple[Overlay, tuple[Finding, ...]]:
        base = self.hydrator.read_base(
            tree,
            {path: content for path, (_, content) in files.items()},
            release=view.instance,
            image=f"{view.image}@{build.digest}",
            kubernetes_version=view.platform.kubernetes_version,
        )
        # The record's own commit: another commit of the same tree is the same release.
        release = Release(
            source_commit=build.source_commit,
            source_tree=TreeId(tree),
            digest=build.digest,
            base_tree=base_tree_of(base),
        )
        overlay = render_overlay(status, view.tenant, view.platform, environment, release, base)
        if not has_runtime(overlay.files, environment.runtime):
            return overlay, ()  # there is nothing to build; `clause_runtime` refuses it
        return overlay, self.hydrator.read_findings(overlay, view.image)

    def _is_on_default(self, view: DraftView, git: GitRepository, tree: str | None) -> bool:
        """Whether the source tree is the one on the target's default branch (design §6)."""
        if tree is None or view.target is None or view.target.head is None:
            return False
        found = git.read_object(f"{view.target.head}:{view.folder}")
        return found is not None and found.id == tree


def _is_complete(status: DraftStatus) -> bool:
    """Whether a draft has its repositories and its branch, and its newest patch was checked."""
    if not (status.repos and status.branch_name):
        return False
    patched = any(p.outcome == "applied" for p in status.patches)
    return not patched or status.checks_of_tree(status.head_tree) is not None


def _rests_on_pull(status: DraftStatus) -> bool:
    """Whether closing its pull request would still end a draft."""
    return not status.promotions and status.state is not DraftState.REJECTED
