"""Drafts as values for planning: everything that a draft's stages look at.

What is due is decided by comparing blob ids with a draft's status, and only that is read further:
a run with nothing to do reads one status per draft and no history. Statuses are small and found by
path; facts are read only when a promotion needs them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline import names
from pipeline.diagnostics import Finding, Severity
from pipeline.errors import CouldNotCheck, PipelineError, StalePlan
from pipeline.git.repository import read_parents
from pipeline.models.draft_id import DraftId
from pipeline.models.evidence import Observation
from pipeline.models.requests import (
    DraftPatch,
    Platform,
    PrimitiveImplementationDraft,
    Tenant,
)
from pipeline.models.status import DraftState, DraftStatus
from pipeline.plan.sightings import JudgedReport
from pipeline.plan.view import DraftView, PromotionInput
from pipeline.requests.layout import GROUPS, draft_path, tenant_path
from pipeline.requests.snapshot import LoadedRequest, Snapshot
from pipeline.stages.provision import keepers
from pipeline.stages.scaffold import scaffold_key
from pipeline.templating import Template
from pipeline.world.causes import Causes
from pipeline.world.failures import Failures
from pipeline.world.gitops import GitopsRepositories
from pipeline.world.groups import Groups
from pipeline.world.observations import Reports
from pipeline.world.patches import Patches
from pipeline.world.promotions import Promotions
from pipeline.world.repositories import OpenRepositories
from pipeline.world.rest import Rest
from pipeline.world.retirements import Retirements
from pipeline.world.states import States

# The input of a draft's plan: its request, its tenant, and the platform.
Accepted = tuple[PrimitiveImplementationDraft, Tenant, Platform]


@dataclass(frozen=True)
class TenantLook:
    """The result of a look at a tenant's drafts."""

    views: tuple[DraftView, ...]  # drafts with something due
    standing: tuple[Finding, ...]  # drafts that stand although their files are gone from main
    resting: frozenset[str]  # drafts looked at that have nothing due
    # Every draft was looked at, nothing is due, nothing failed, and there is no finding.
    is_settled: bool
    judged: tuple[JudgedReport, ...] = ()  # judged reports on its drafts


@dataclass(frozen=True)
class Drafts:
    """Reads the drafts with something due, with all that their stages need."""

    snapshot: Snapshot
    findings: Mapping[str, tuple[Finding, ...]]  # by request path
    templates: Mapping[str, Template]
    repositories: OpenRepositories
    states: States
    causes: Causes
    patches: Patches
    promotions: Promotions
    retirements: Retirements
    gitops: GitopsRepositories
    groups: Groups
    failures: Failures
    reports: Reports
    now_s: int

    def look_at(
        self,
        tenant: str,
        observations: Collection[Observation] = (),
        *,
        leave_out: Collection[str] = (),
        at_most: int | None = None,
    ) -> TenantLook:
        """What planning needs about each of a tenant's drafts with something due.

        Skips `leave_out`, and stops once `at_most` drafts with something due are found.
        """
        self.repositories.forget_asked()
        failed_before = self.failures.count
        drafts = [d for d in self.snapshot.drafts_of(tenant) if d not in leave_out]
        found = self.states.statuses(tenant, [d.primitive for d in drafts])
        rest = Rest(self.snapshot, self.repositories, keepers(found.values()))
        standing = self.states.deleted(tenant, self.snapshot.blobs)
        rest.read_ahead(found.values())
        statuses = {draft: found.get(draft.primitive) for draft in drafts}
        paths = self._due_paths_of(statuses, rest)
        self.causes.read_ahead(
            tenant,
            {path for due in paths.values() for path in due},
            {path for due in paths.values() for path in _next_paths(due)},
        )
        judged = self._judged(tenant, observations)
        told = tuple(j for of_draft in judged.values() for j in of_draft)
        views: list[DraftView] = []
        resting: set[str] = set()
        for draft in paths:
            if len(views) == at_most:
                break
            seen = tuple(known for j in judged.get(draft, ()) for known in j.news)
            try:
                due = bool(paths[draft] or seen)
                view = (
                    self._due_view(draft, statuses[draft], paths[draft], seen, rest)
                    if due
                    else None
                )
            except StalePlan:
                raise
            except Exception as error:
                # A draft that cannot be read does not stop the others.
                self.failures.add(draft, error)
                continue
            if view is None:
                resting.add(draft)
            else:
                views.append(view)
        looked_at_all = not leave_out and self.failures.count == failed_before
        is_settled = not (views or standing or self._has_findings(tenant)) and looked_at_all
        return TenantLook(tuple(views), standing, frozenset(resting), is_settled, told)

    def look_at_reports(
        self, tenant: str, observations: Collection[Observation]
    ) -> tuple[JudgedReport, ...]:
        """The judged reports on a tenant's drafts, whatever else is due."""
        return tuple(j for found in self._judged(tenant, observations).values() for j in found)

    def _judged(
        self, tenant: str, observations: Collection[Observation]
    ) -> dict[str, tuple[JudgedReport, ...]]:
        """The judged reports on a tenant's drafts; empty if they cannot be judged."""
        told = [o for o in observations if DraftId(o.draft).tenant == tenant]
        named = {o.draft: DraftId(o.draft).primitive for o in told}
        found = self.states.statuses(tenant, sorted(set(named.values())))
        statuses = {draft: found.get(primitive) for draft, primitive in named.items()}
        try:
            return self.reports.judged(statuses, told, self.now_s)
        except StalePlan:
            raise
        except PipelineError as error:
            self.failures.add(tenant, error)
            return {}

    def about(self, draft: DraftId, status: DraftStatus) -> DraftView | None:
        """The view for questions about a scaffolded draft, whether or not anything is due.

        None if its request is refused: `in_the_way_of` says why.
        """
        asked = self._accepted(draft)
        if asked is None:
            return None
        view = self._view(draft, status, *asked)
        if view.target_repo != status.target_repo:
            return view
        return replace(view, gitops=self.repositories.view(view.gitops_repo))

    def asked(self, view: DraftView, environment: str) -> PromotionInput | None:
        """The newest promotion asked for on main for a draft and environment, with everything for
        its decision; None if nobody asked."""
        loaded = self.groups.newest_asked(view.id, environment)
        if loaded is None:
            return None
        due = self.promotions.of_request(view, loaded)
        return self.groups.with_companions(due, view.id, self.about)

    def in_the_way_of(self, path: str) -> tuple[Finding, ...]:
        """The errors in a request, its tenant's file and policy; any of them blocks the request."""
        tenant = tenant_path(path.split("/")[1])
        policy = (p for p in self.findings if p.startswith("environments/"))
        paths = dict.fromkeys((path, tenant, *policy))
        return tuple(
            f for p in paths for f in self.findings.get(p, ()) if f.severity is Severity.ERROR
        )

    def _has_findings(self, tenant: str) -> bool:
        """Whether there are findings about the tenant's requests or about policy."""
        roots = (f"tenants/{tenant}/", f"{GROUPS}/", "environments/")
        return any(p.startswith(roots) for p in self.findings)

    def _due_paths_of(
        self, statuses: Mapping[DraftId, DraftStatus | None], rest: Rest
    ) -> dict[DraftId, frozenset[str]]:
        """Each readable draft → the paths of its due requests, and then its own path."""
        found: dict[DraftId, frozenset[str]] = {}
        for draft, status in statuses.items():
            if draft in self.states.unreadable:
                continue
            asked = {r.path: r.blob for r in self.snapshot.tasks_of(draft)}
            try:
                due = self.states.requests_due(draft, status, asked)
                rests = not due and rest.holds(status)
            except PipelineError as error:
                self.failures.add(draft, error)
            else:
                found[draft] = due if rests else due | {draft_path(draft)}
        return found

    def _due_view(
        self,
        draft: DraftId,
        status: DraftStatus | None,
        due: Collection[str],
        observations: tuple[Observation, ...],
        rest: Rest,
    ) -> DraftView | None:
        """One draft's view; None if its request is refused or nothing is due.

        `due` are the paths of its requests whose current content is not handled yet. An invalid
        draft is never planned: `validate` reports it.
        """
        asked = self._accepted(draft)
        if asked is None:
            return None
        due_patches = self._due(self.snapshot.patches_of(draft), due)
        due_promotions = self._due(self.snapshot.promotions_of(draft), due)
        retirement = self.snapshot.retirement_of(draft)
        retires = retirement is not None and retirement.path in due
        has_requests = bool(self._is_new(draft, status) or due_patches or due_promotions or retires)
        if not (has_requests or observations) and rest.holds(status):
            return None
        view = self._view(draft, status, *asked)
        view = replace(view, observations=observations, keeps_rules=draft in rest.keepers)
        if status and view.target_repo != status.target_repo:
            return view  # its request changed the draft's identity: `plan_blocked` reports it
        fallbacks = rest.fallbacks(status)
        has_overlays = bool(due_promotions or fallbacks or retires)
        if has_overlays:
            view = replace(view, gitops=self.repositories.view(view.gitops_repo))
        if retires and retirement and status and status.state is not DraftState.REJECTED:
            view = replace(view, retirement=self.retirements.of_request(view, retirement))
        if due_patches and status and status.branch_name and not view.retires:
            view = replace(view, patch=self.patches.of_request(view, due_patches[0]))
        if has_overlays and status and status.branch_name and view.patch is None:
            asked_for = (i for r in due_promotions for i in self.promotions.of_due(view, r))
            found = tuple(
                self.groups.with_companions(i, draft, self.about)
                for i in self.groups.queued(asked_for)
            )
            view = replace(
                view,
                promotions=found,
                gitops_findings=self.gitops.findings_of(view.gitops_repo),
                fallbacks=tuple(self.promotions.of_fallback(view, f) for f in fallbacks),
            )
        return view

    def _accepted(self, draft: DraftId) -> Accepted | None:
        """The input of a draft's plan; None if its request, tenant file or policy is refused."""
        request = self.snapshot.draft(draft)
        tenant = self.snapshot.tenant(draft.tenant)
        platform = self.snapshot.platform
        if request is None or tenant is None or platform is None:
            return None
        return None if self.in_the_way_of(draft_path(draft)) else (request, tenant, platform)

    def _view(
        self,
        draft: DraftId,
        status: DraftStatus | None,
        request: PrimitiveImplementationDraft,
        tenant: Tenant,
        platform: Platform,
    ) -> DraftView:
        """One draft with its repositories, without its due requests.

        Raises CouldNotCheck if the repository of a scaffolded draft is gone.
        """
        loaded = self.snapshot.requests[draft_path(draft)]
        view = DraftView(
            request=request,
            caused=self.causes.of(loaded.path, loaded.blob),
            tenant=tenant,
            platform=platform,
            environments=self.snapshot.environments,
            blocked_digests=self.snapshot.blocked_digests,
            stops=self.snapshot.stops,
            signers=self.snapshot.signers,
            template=self.templates[request.template_id.split("@")[0]],
            status=status,
            is_new_revision=self._is_new(draft, status),
            now_s=self.now_s,
            policy=self.snapshot.commit,
        )
        view = self._with_repos(view)
        is_gone = view.target is None and status is not None and bool(status.branch_name)
        if status and is_gone and view.target_repo == status.target_repo:
            raise CouldNotCheck(f"there is no repository `{view.target_repo}` any more")
        return view

    def _is_new(self, draft: str, status: DraftStatus | None) -> bool:
        """Whether the draft's own request is not yet among its facts."""
        loaded = self.snapshot.requests[draft_path(draft)]
        return status is None or status.requests.get(loaded.path) != loaded.blob

    def _due(self, requests: Sequence[LoadedRequest], due: Collection[str]) -> list[LoadedRequest]:
        return [
            r
            for r in requests
            if r.path in due and (isinstance(r.model, DraftPatch) or not self._is_refused(r.path))
        ]

    def _is_refused(self, path: str) -> bool:
        return any(f.severity is Severity.ERROR for f in self.findings.get(path, ()))

    def _with_repos(self, view: DraftView) -> DraftView:
        target = self.repositories.view(view.target_repo)
        view = replace(view, target=target)
        status = view.status
        if status and status.branch_name:
            pull = self.repositories.pull_of_branch(view.target_repo, status.branch_name)
            return replace(view, pull=pull)
        if target is None or target.head is None:
            return view
        key = scaffold_key(view)
        branch = names.draft_branch(view.instance, key)
        existing = self.repositories.begun_branch(target, branch, view.folder, key)
        git = self.repositories.git(view.target_repo)
        parents = read_parents(git, target.head, view.folder)
        return replace(view, existing=existing, base_parents=parents)


def _next_paths(due: Collection[str]) -> list[str]:
    """The due requests that the next plan handles: the first patch, and everything else."""
    patches = sorted(path for path in due if "/patches/" in path)
    return [*patches[:1], *(path for path in due if "/patches/" not in path)]
