"""Reading the world for planning: everything a draft's stages look at, as values.

The core decides what is due by comparing blob ids with a draft's status; only what is due is
read further, so a run with nothing to do reads one status a draft and no history. Statuses are
small and found by path; facts are read only when a promotion rests on them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from pipeline import names
from pipeline.diagnostics import Finding, Location, Severity
from pipeline.errors import CouldNotCheck, OverBound, PipelineError, StalePlan
from pipeline.forges.port import PullState, RepoView
from pipeline.git.repository import read_parents
from pipeline.models.evidence import Observation
from pipeline.models.requests import DraftPatch, ReplaceText
from pipeline.models.status import DraftState, DraftStatus
from pipeline.plan.bounds import PATCH_OVER_BOUND
from pipeline.plan.view import Caused, DraftView, Existing, PatchInput, owners_of
from pipeline.requests.layout import draft_path, tenant_path
from pipeline.requests.snapshot import LoadedRequest
from pipeline.stages.gitops import GitopsView
from pipeline.stages.patch import followup_branch, is_followup, patch_key, patched_folder
from pipeline.stages.provision import keepers, rules_key
from pipeline.stages.scaffold import scaffold_key
from pipeline.world.gitops import GitopsSight


class World(GitopsSight):
    """A look in which every draft with something due is seen, with all that its stages need."""

    _keepers: frozenset[str] = frozenset()

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
        failed_before = len(self.failures)
        drafts = [d for d in self.snapshot.drafts_of(tenant) if d not in leave_out]
        statuses = self.statuses(tenant, [d.split("/")[1] for d in drafts])
        self._keepers = keepers(statuses.values())
        self.standing[tenant] = self.deleted(tenant, self.snapshot.blobs)
        self._read_pulls_that_matter(statuses.values())
        paths: dict[str, set[str]] = {}
        for draft in drafts:
            try:
                if draft not in self.unreadable:
                    paths[draft] = self._due_paths(draft, statuses.get(draft.split("/")[1]))
            except PipelineError as error:
                self.fail(draft, error)
        due = {path for found in paths.values() for path in found}
        if not due <= self._brought.keys():
            self._read_brought(f"tenants/{tenant}", due)
        asked = [path for found in paths.values() for path in _next_paths(found)]
        commits = [self._brought.get(path, self.snapshot.commit) for path in asked]
        self.read_merged(commits)
        self.revisions.read_changed(commits)
        views: list[DraftView] = []
        for draft in paths:
            if len(views) == at_most:
                break
            seen = tuple(o for o in observations if o.draft == draft)
            if not (paths[draft] or seen):
                self.resting.add(draft)
                continue
            try:
                view = self.view(draft, statuses.get(draft.split("/")[1]), seen)
            except StalePlan:
                raise
            except Exception as error:
                # One draft that cannot be looked at keeps no other from going on.
                self.fail(draft, error)
                continue
            if view is None:
                self.resting.add(draft)
            else:
                views.append(view)
        looked_at_all = not leave_out and len(self.failures) == failed_before
        if not views and looked_at_all and not self._has_findings(tenant):
            self.settled.add(tenant)
        return tuple(views)

    def _has_findings(self, tenant: str) -> bool:
        """Whether anything is said of the tenant's requests, of what stands of it, or of policy."""
        return bool(self.standing.get(tenant)) or any(
            p.startswith((f"tenants/{tenant}/", "environments/")) for p in self.findings
        )

    def _due_paths(self, draft: str, status: DraftStatus | None) -> set[str]:
        """Paths of a draft's requests that have something due, and then of the draft's own."""
        due = self.requests_due(draft, status)
        return {*due, draft_path(draft)} if due or not self._is_settled(status) else set(due)

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
        due_paths = self.requests_due(draft, status)
        due_patches = self._due(self.snapshot.patches_of(draft), due_paths)
        due_promotions = self._due(self.snapshot.promotions_of(draft), due_paths)
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
            keeps_rules=draft in self._keepers,
        )
        view = self._with_repos(view)
        if status and view.target_repo != status.target_repo:
            return view  # its request says that it is another draft's: `plan_blocked` tells
        if status and status.branch_name and view.target is None:
            raise CouldNotCheck(f"there is no repository `{view.target_repo}` any more")
        if due_promotions or force:
            view = replace(view, gitops=self.repo(view.gitops_repo))
        if due_patches and status and status.branch_name:
            view = replace(view, patch=self._patch(view, due_patches[0]))
        if due_promotions and status and status.branch_name and view.patch is None:
            found = tuple(self.promotion(view, r) for r in due_promotions)
            view = replace(view, promotions=found, gitops_findings=self._foreign(view.gitops_repo))
        return view

    def _foreign(self, repo: str) -> tuple[Finding, ...]:
        """What is not as promoted where a promotion goes; what cannot be told stops none."""
        try:
            gitops = self.gitops(repo)
        except StalePlan:
            raise
        except PipelineError as error:
            self.fail(repo, error)
            return ()
        return gitops.findings if gitops else ()

    def gitops_views(self, tenant: str, leave_out: Collection[str] = ()) -> tuple[GitopsView, ...]:
        """The GitOps repositories that a look at a tenant keeps, with what people propose there.

        One that cannot be looked at is a failure of its own. None but a clean one is settled.
        """
        views = []
        for repo in self.gitops_repos(tenant):
            if repo in leave_out:
                self.settled.discard(tenant)
                continue
            try:
                view = self.gitops(repo)
                if view:
                    view = self.with_proposals(view, tenant)
            except StalePlan:
                raise
            except Exception as error:
                self.fail(repo, error)
                self.settled.discard(tenant)
                continue
            if view:
                views.append(view)
                if view.findings or view.proposals or view.unrecorded:
                    self.settled.discard(tenant)
        return tuple(views)

    def _is_settled(self, status: DraftStatus | None) -> bool:
        """Whether only a new request could give this draft something to do."""
        if status is None or not _is_complete(status):
            return False
        if status.id in self._keepers and status.rules != self._rules_of(status):
            return False
        if not _rests_on_pull(status):
            return True
        pull = self.pull_of_branch(status.target_repo, status.branch_name)
        return pull is None or pull.state is not PullState.CLOSED

    def _rules_of(self, status: DraftStatus) -> str:
        """The key of the branch rules that a draft's repositories must have by policy."""
        platform, tenant = self.snapshot.platform, self.snapshot.tenant(status.tenant_id)
        if platform is None or tenant is None:
            return status.rules
        return rules_key(platform, owners_of(platform, tenant, status.code_origin))

    def _read_pulls_that_matter(self, statuses: Collection[DraftStatus]) -> None:
        """Have at hand what `_is_settled` asks for of each, at one question a repository."""
        branches: dict[str, list[str]] = {}
        for status in statuses:
            if _is_complete(status) and _rests_on_pull(status):
                branches.setdefault(status.target_repo, []).append(status.branch_name)
        for repo, wanted in branches.items():
            # What cannot be had is asked for again, and then is a failure of the draft.
            with suppress(PipelineError):
                self.read_pulls(repo, wanted)

    def _is_blocked(self, path: str) -> bool:
        """Whether the request, or policy that it is judged by, is invalid or lacks authority."""
        return bool(self.in_the_way_of(path))

    def in_the_way_of(self, path: str) -> tuple[Finding, ...]:
        """The errors in a request, its tenant's file, and policy: while there is one it rests."""
        tenant = tenant_path(path.split("/")[1])
        policy = (p for p in self.findings if p.startswith("environments/"))
        paths = dict.fromkeys((path, tenant, *policy))
        return tuple(
            f for p in paths for f in self.findings.get(p, ()) if f.severity is Severity.ERROR
        )

    def _is_refused(self, path: str) -> bool:
        return any(f.severity == "error" for f in self.findings.get(path, ()))

    def _due(self, requests: Sequence[LoadedRequest], due: Collection[str]) -> list[LoadedRequest]:
        return [
            r
            for r in requests
            if r.path in due and (isinstance(r.model, DraftPatch) or not self._is_refused(r.path))
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
        due = self._patch_input(view, patch, loaded.meaning.name, caused, head)
        findings = self.findings.get(loaded.path, ())
        due = replace(due, findings=findings, is_followup=followup, existing=existing)
        result = patched_folder(due, due.listing)
        written = {
            p: result.blobs[id] for p, (_, id) in result.entries.items() if id in result.blobs
        }
        try:
            hits = self.scan_secrets(written) if written else ()
        except OverBound as error:
            refused = PATCH_OVER_BOUND.finding(error.message, Location(loaded.path))
            return replace(due, findings=(*due.findings, refused))
        return replace(due, secrets=tuple(f"`{h.path}` line {h.line}: {h.rule}" for h in hits))

    def proposed_patch(self, view: DraftView, number: str, patch: DraftPatch) -> PatchInput:
        """What a patch that is not merged yet would meet; credentials are not looked for.

        Its cause is the draft's own, since nothing has caused it.

        Raises CouldNotCheck when the repository of the code is not there.
        """
        if view.target is None or view.status is None:
            raise CouldNotCheck(f"there is no repository `{view.target_repo}`")
        head = view.target.head if is_followup(view) else None
        return self._patch_input(view, patch, number, view.caused, head or view.status.head)

    def _patch_input(
        self, view: DraftView, patch: DraftPatch, number: str, caused: Caused, head: str
    ) -> PatchInput:
        git = self.git(view.target_repo)
        listing = git.list_files(head, view.folder)
        base = git.has_commit(patch.base_commit)
        base_listing = git.list_files(patch.base_commit, view.folder) if base else None
        replaced = [
            c.path for c in patch.changes if isinstance(c, ReplaceText) and c.path in listing
        ]
        found = git.read_objects([listing[p][1] for p in replaced])
        contents = {p: o.content for p, o in zip(replaced, found, strict=True) if o}
        return PatchInput(
            number=number,
            patch=patch,
            caused=caused,
            head=head,
            listing=listing,
            base_listing=base_listing,
            contents=contents,
            parents=read_parents(git, head, view.folder),
            findings=(),
            secrets=(),
        )

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


def _next_paths(due: Collection[str]) -> list[str]:
    """Those of a draft's due requests that a look goes into: of its patches the first alone."""
    patches = sorted(path for path in due if "/patches/" in path)
    return [*patches[:1], *(path for path in due if "/patches/" not in path)]


def _is_complete(status: DraftStatus) -> bool:
    """Whether a draft has its repositories and its branch, and its newest patch was checked."""
    if not (status.repos and status.branch_name):
        return False
    return not status.is_patched or status.checks_of_tree(status.head_tree) is not None


def _rests_on_pull(status: DraftStatus) -> bool:
    """Whether closing its pull request would still end a draft."""
    return not status.promotions and status.state is not DraftState.REJECTED
