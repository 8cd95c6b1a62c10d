"""The engine: read the world, plan, apply, and look again until nothing is left to do.

Level-triggered (design §3): a run remembers nothing, so a broken-off run needs no repair and
two runs at once need no lock. A plan that turns out stale is made again from what is there now.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from pipeline import __version__, names
from pipeline.apply import (
    FaultHook,
    Ports,
    Progress,
    apply_tenant_plan,
    no_faults,
    read_fact_files,
)
from pipeline.authorise import Decision, authorise
from pipeline.control import Control, SnapshotReading, read_snapshot
from pipeline.diagnostics import Finding
from pipeline.errors import PipelineError, Refused, StalePlan, UsageFault
from pipeline.facts import parse_chain
from pipeline.forges.port import Forge
from pipeline.hydrate import Hydrator
from pipeline.layout import draft_path
from pipeline.models.base import BlobId, CommitId
from pipeline.models.evidence import CheckReport, Observation
from pipeline.models.facts import Cause, Fact
from pipeline.models.requests import Promotion, RequestedRelease
from pipeline.models.status import DraftStatus
from pipeline.overlays import Overlay
from pipeline.plan import Plan, Receipt, RunChecks, TenantPlan, Waiting, describe
from pipeline.settled import Before, Memory
from pipeline.shards import choose_tenants
from pipeline.stages.draft import plan_tenant
from pipeline.stages.promote import evidence_of
from pipeline.stages.validate import check_requests
from pipeline.stages.view import EVERYTHING, Caused, DraftView, PromotionInput, Scope
from pipeline.templating import Template
from pipeline.tools.bundlecheck import verify_bundle
from pipeline.world import Verify, World

if TYPE_CHECKING:
    from pipeline.builders.port import Builder
    from pipeline.snapshot import Snapshot

MAX_STALE = 60
# A plan holds what it writes, so many drafts take several: memory does not grow with their number.
MAX_DRAFTS_AT_ONCE = 50
MAX_ROUNDS = 2_000  # one patch a draft needs two; beyond this many a plan never empties


def silent(line: str) -> None:
    """The progress of a caller that wants none."""


@dataclass
class RunReport:
    """What a run did: receipts in order, what waits, what failed."""

    receipts: list[Receipt] = field(default_factory=list)
    waiting: dict[str, tuple[Waiting, ...]] = field(default_factory=dict)
    rounds: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def effects(self) -> int:
        """How many effects were applied or found."""
        return sum(r.count for r in self.receipts)

    @property
    def failures(self) -> tuple[tuple[str, str, str], ...]:
        """Draft, code and message of each tool or forge failure."""
        return tuple(dict.fromkeys(f for r in self.receipts for f in r.failures))


@dataclass(frozen=True)
class Proposal:
    """A promotion request as it would be written, and what is known of it now."""

    promotion: Promotion
    decision: Decision
    overlay: Overlay | None
    lines_added: int
    lines_removed: int
    signer: str = ""  # who states what its image was built from


@dataclass
class Engine:
    """Plans and applies for one control repo."""

    control: Control
    make_builder: Callable[[Snapshot], Builder]
    run_checks: Callable[[RunChecks, dict[str, tuple[int, bytes]]], CheckReport]
    scan_secrets: Callable[[Mapping[str, bytes]], Sequence[str]]
    templates: Mapping[str, Template]
    faults: FaultHook = no_faults
    run_id: str = field(default_factory=lambda: os.environ.get("PIPELINE_RUN_ID", ""))
    hydrator: Hydrator = field(default_factory=Hydrator)
    verify: Verify = verify_bundle
    memory: Memory | None = None
    scope: Scope = EVERYTHING
    _brought: dict[str, dict[str, str]] = field(default_factory=dict)
    _statuses: dict[str, DraftStatus] = field(default_factory=dict)
    _checked: dict[object, tuple[SnapshotReading, tuple[Finding, ...]]] = field(
        default_factory=dict
    )

    @property
    def forge(self) -> Forge:
        """The forge of the control repo."""
        return self.control.forge

    def reading(
        self, commit: str, only: frozenset[str] | None = None
    ) -> tuple[SnapshotReading, tuple[Finding, ...]]:
        """The requests at a commit and every finding in them; once per commit and process.

        `only` leaves out the requests of all tenants but these.
        """
        if (commit, only) not in self._checked:
            read = read_snapshot(self.control.open_repository(), commit, tenants=only)
            found = check_requests(read.reads, read.findings, read.snapshot, self.templates)
            self._checked = {(commit, only): (read, found)}
        return self._checked[commit, only]

    def world(self, only: frozenset[str] | None = None) -> World:
        """A fresh look at the world, at the requests of these tenants alone if they are named."""
        view = self.control.read_view()
        read, found = self.reading(str(view.head), only)
        by_path: dict[str, list[Finding]] = {}
        for finding in found:
            by_path.setdefault(finding.location.file, []).append(finding)
        return World(
            forge=self.forge,
            control_repo=self.control.control_repo,
            control=self.control.open_repository(),
            snapshot=read.snapshot,
            findings={path: tuple(items) for path, items in by_path.items()},
            templates=self.templates,
            hydrator=self.hydrator,
            scan_secrets=self.scan_secrets,
            verify=self.verify,
            run_id=self.run_id,
            _repos={self.control.control_repo: view},
            # History up to a commit is the same in every look.
            _brought=self._brought.setdefault(read.snapshot.commit, {}),
            _statuses=self._statuses,
        )

    # -- planning ----------------------------------------------------------------------

    def tenants(
        self,
        world: World,
        tenants: Collection[str] | None = None,
        shard: tuple[int, int] | None = None,
    ) -> tuple[str, ...]:
        """The tenants to work on, as `choose_tenants` says."""
        return choose_tenants(world.snapshot.tenant_ids, tenants, shard)

    def plan(
        self,
        *,
        tenants: Collection[str] | None = None,
        shard: tuple[int, int] | None = None,
        observations: Collection[Observation] = (),
    ) -> Plan:
        """What a run would do first, for each tenant; equal worlds give equal plans."""
        world = self.world()
        plans = tuple(
            self._plan_tenant(world, tenant, observations)[0]
            for tenant in self.tenants(world, tenants, shard)
        )
        return Plan(
            tool_version=__version__,
            control_commit=world.snapshot.commit,
            tenants=plans,
        )

    def plan_due(
        self,
        *,
        tenants: Collection[str] | None = None,
        shard: tuple[int, int] | None = None,
    ) -> Plan:
        """What is due of the tenants of which it is not known that nothing is."""
        view = self.control.read_view()
        ground = self.memory.ground(str(view.head)) if self.memory else None
        only = self.memory.read_unsettled(ground, view) if self.memory and ground else None
        if ground and not only:
            return Plan(tool_version=__version__, control_commit=str(view.head), tenants=())
        world = self.world(only)
        chosen = self.tenants(world, tenants, shard)
        plans = []
        for tenant in chosen:
            if only is None or tenant in only:
                before = self._read_before(world, tenant)
                plans.append(self._plan_tenant(world, tenant, ())[0])
                self._note(world, tenant, before)
        if self.memory:
            self.memory.remember()
        return Plan(
            tool_version=__version__,
            control_commit=world.snapshot.commit,
            tenants=tuple(plan for plan in plans if plan.effects or plan.failures),
        )

    def _read_before(self, world: World, tenant: str) -> Before | None:
        if self.memory is None:
            return None
        commit, head = world.snapshot.commit, world.state_head(tenant)
        return self.memory.read_before(commit, tenant, head)

    def _note(self, world: World, tenant: str, before: Before | None) -> None:
        """Keep that a look at a tenant, which began as of `before`, found nothing due."""
        if self.memory and before and tenant in world.settled:
            self.memory.note_nothing_due(before, world.asked_for)

    def _plan_tenant(
        self,
        world: World,
        tenant: str,
        observations: Collection[Observation],
        leave_out: Collection[str] = (),
        at_most: int | None = None,
    ) -> tuple[TenantPlan, tuple[str, ...]]:
        """The plan for one tenant, without the drafts to leave out, and the drafts it is for."""
        failed_before = len(world.failures)
        views = world.views(tenant, observations, leave_out=leave_out, at_most=at_most)
        plan = plan_tenant(tenant, world.state_head(tenant), views, self.scope)
        plan = plan.model_copy(update={"failures": tuple(world.failures[failed_before:])})
        return plan, tuple(view.id for view in views)

    # -- applying ----------------------------------------------------------------------

    def ports(self, world: World) -> Ports:
        """What applying writes through."""
        platform = world.snapshot.platform
        if platform is None:
            raise Refused("environments/platform.yaml is missing or invalid, so nothing can run")
        return Ports(
            forge=self.forge,
            control_repo=self.control.control_repo,
            actor=platform.pipeline_account.id,
            run_checks=self.run_checks,
            make_builder=partial(self.make_builder, world.snapshot),
            faults=self.faults,
        )

    def apply(self, plan: Plan, progress: Progress = silent) -> tuple[Receipt, ...]:
        """What a saved plan did, exactly as it was reviewed.

        Raises StalePlan, before anything is written, when the control repo, the tool or a
        state branch is not what it was planned on.
        """
        world = self.world()
        if plan.tool_version != __version__:
            raise StalePlan(f"planned by version {plan.tool_version}, this is {__version__}")
        if plan.control_commit != world.snapshot.commit:
            raise StalePlan(
                f"main is at {world.snapshot.commit[:12]}, planned on {plan.control_commit[:12]}",
                help="make the plan again and have it reviewed",
            )
        for tenant_plan in plan.tenants:
            if tenant_plan.state_head != world.state_head(tenant_plan.tenant):
                raise StalePlan(f"state/{tenant_plan.tenant} moved since the plan was made")
        chosen = self.tenants(world, [t.tenant for t in plan.tenants])
        current = [self._plan_tenant(world, tenant, ())[0] for tenant in chosen]
        if [_promised(t) for t in plan.tenants] != [_promised(t) for t in current]:
            raise StalePlan(
                f"the plan is not what would be planned now: {_first_difference(plan, current)}",
                help="make the plan again and have it reviewed",
            )
        ports = self.ports(world)
        return tuple(apply_tenant_plan(t, ports, progress) for t in plan.tenants)

    def run(
        self,
        *,
        tenants: Collection[str] | None = None,
        shard: tuple[int, int] | None = None,
        observations: Collection[Observation] = (),
        progress: Progress = silent,
    ) -> RunReport:
        """Everything that can be done now, tenant by tenant, until a plan comes out empty.

        A tenant that is known to have nothing due, and no finding, is not looked at again.
        """
        report = RunReport()
        view = self.control.read_view()
        ground = self.memory.ground(str(view.head)) if self.memory and not observations else None
        only = self.memory.read_unsettled(ground, view) if self.memory and ground else None
        if ground and not only:
            known = frozenset(ground.tenants)
        else:
            read, report.findings = self.reading(str(view.head), only)
            known = read.snapshot.tenant_ids
        for tenant in choose_tenants(known, tenants, shard):
            if only is None or tenant in only:
                self._run_tenant(tenant, observations, report, progress, only)
        if self.memory:
            self.memory.remember()
        return report

    def _run_tenant(
        self,
        tenant: str,
        observations: Collection[Observation],
        report: RunReport,
        progress: Progress,
        only: frozenset[str] | None,
    ) -> None:
        left_out: set[str] = set()  # what failed, and what only waits when there is more to look at
        resting: set[str] = set()  # what had nothing due; looked at again when nothing else has
        waiting: list[Waiting] = []  # of those
        before: TenantPlan | None = None
        tries = 0  # of the same plan: one that changes shows that somebody gets on
        for _ in range(MAX_ROUNDS):
            try:
                world = self.world(only)
                whole = not (left_out or resting)
                begun = self._read_before(world, tenant) if whole else None
                plan, drafts = self._plan_tenant(
                    world, tenant, observations, left_out | resting, MAX_DRAFTS_AT_ONCE
                )
                report.waiting[tenant] = (*waiting, *plan.waiting)
                if plan.failures:
                    report.receipts.append(Receipt(failures=plan.failures))
                    left_out |= {draft for draft, _, _ in plan.failures}
                if plan.is_empty and len(drafts) == MAX_DRAFTS_AT_ONCE:
                    left_out |= set(drafts)
                    waiting += plan.waiting
                    continue
                if plan.is_empty and resting:
                    resting = set()
                    continue
                resting |= world.resting
                if plan.is_empty:
                    self._note(world, tenant, begun)
                    return
                if plan != before:
                    before, tries = plan, 0
                report.rounds += 1
                receipt = apply_tenant_plan(plan, self.ports(world), progress)
            except StalePlan as moved:
                # Somebody else was quicker: look again. Never rebase, never retry blindly.
                tries += 1
                if tries > MAX_STALE:
                    raise
                progress(f"{tenant}: {moved.message}; looking again")
                time.sleep(random.uniform(0, 0.05 * min(tries, 10)))
                continue
            # A draft whose tool failed is left for the next run; the others go on in this one.
            report.receipts.append(receipt)
            left_out |= {draft for draft, _, _ in receipt.failures}
            left_out |= {wait.draft for wait in receipt.waiting}
            waiting += receipt.waiting
        raise PipelineError(f"{tenant} has more to do after each of {MAX_ROUNDS} rounds")

    def dispatch(self, events: Sequence[str]) -> None:
        """Start what waits for these events of the control repo."""
        platform = self.world().snapshot.platform if events else None
        for event in events if platform else ():
            assert platform is not None
            account = platform.pipeline_account.id
            self.forge.dispatch(self.control.control_repo, event, actor=account)

    # -- reading -----------------------------------------------------------------------

    def status(self, draft: str) -> DraftStatus:
        """One draft's recorded status. Raises UsageFault when it has none."""
        world = self.world()
        tenant, primitive = _split(draft)
        found = world.statuses(tenant, [primitive]).get(primitive)
        if found is None:
            raise UsageFault(
                f"nothing has happened to `{draft}` yet",
                help="merge its request, then `pipeline run`; `pipeline status` lists drafts",
            )
        return found

    def statuses(self) -> tuple[DraftStatus, ...]:
        """Every draft's recorded status, by id."""
        world = self.world()
        found: list[DraftStatus] = []
        view = world.repo(self.control.control_repo)
        prefix = names.state_branch("")
        for branch, head in sorted((view.branches if view else {}).items()):
            if branch.startswith(prefix):
                tree = world.control.read_tree(f"{head}:drafts") or ()
                tenant = branch.removeprefix(prefix)
                found += world.statuses(tenant, [e.name for e in tree]).values()
        return tuple(sorted(found, key=lambda s: s.id))

    def facts(self, draft: str) -> tuple[Fact, ...]:
        """A draft's facts in order, with every link checked. Raises UsageFault, BrokenChain."""
        world = self.world()
        tenant, primitive = _split(draft)
        head = world.state_head(tenant)
        files = read_fact_files(world.control, head, primitive) if head else ()
        if not files:
            raise UsageFault(f"nothing has happened to `{draft}` yet")
        return parse_chain(draft, files)

    def draft_files(
        self, draft: str, paths: Collection[str] = ()
    ) -> tuple[str, dict[str, tuple[int, bytes]]]:
        """The newest commit of a draft and its files there (all, or those named)."""
        status = self.status(draft)
        if not status.head:
            raise UsageFault(f"`{draft}` is not scaffolded yet")
        git = self.forge.open_repository(status.target_repo)
        view = self.forge.read_repo(status.target_repo)
        commit = view.branches.get(status.branch_name, status.head) if view else status.head
        files = git.read_files(commit, names.primitive_folder(status.instance))
        for path in paths:
            if path not in files:
                raise UsageFault(f"`{draft}` has no file `{path}`")
        return commit, {p: f for p, f in files.items() if not paths or p in paths}

    # -- deciding ----------------------------------------------------------------------

    def _view(self, world: World, draft: str) -> DraftView:
        tenant, primitive = _split(draft)
        if draft_path(draft) not in world.snapshot.requests:
            raise UsageFault(f"there is no draft `{draft}` on main")
        status = world.statuses(tenant, [primitive]).get(primitive)
        if status is None or not status.branch_name:
            raise UsageFault(f"`{draft}` is not scaffolded yet", help="`pipeline run` does it")
        view = world.view(draft, status, force=True)
        if view is None:
            raise Refused(f"the request of `{draft}` is invalid", help="see `pipeline validate`")
        return view

    def decide(
        self, draft: str, environment: str, promotion: Promotion | None = None
    ) -> tuple[Decision, PromotionInput]:
        """The decision on a promotion: of the request on main, else of one that could be made."""
        world = self.world()
        view = self._view(world, draft)
        if environment not in view.environments:
            raise UsageFault(f"there is no environment `{environment}`")
        loaded = next(
            (r for r in world.snapshot.promotions_of(draft) if r.meaning.name == environment), None
        )
        if promotion is None and loaded is not None:
            due = world.promotion(view, loaded)
        else:
            wanted = promotion or self._prospective(
                world, view, environment, None, "Asked by `why`"
            )
            due = world.promotion_input(view, wanted, _nobody(view), None, None)
        return authorise(evidence_of(view, due)), due

    def propose_promotion(
        self, draft: str, environment: str, *, source_commit: str | None = None, reason: str
    ) -> Proposal:
        """A promotion request with digest and overlay tree pinned, and what speaks against it.

        Approvals are left out of the decision, since nobody can have approved it yet.
        """
        world = self.world()
        view = self._view(world, draft)
        if environment not in view.environments:
            raise UsageFault(f"there is no environment `{environment}`")
        promotion = self._prospective(world, view, environment, source_commit, reason)
        due = world.promotion_input(view, promotion, _nobody(view), None, None)
        if view.environments[environment].approvals and due.overlay is not None:
            promotion = promotion.model_copy(update={"overlay_tree": due.overlay.tree})
            due = world.promotion_input(view, promotion, _nobody(view), None, None)
        decision = authorise(evidence_of(view, due))
        without = tuple(r for r in decision.reasons if r.code != "approval-missing")
        added, removed = self._overlay_lines(world, view, due)
        return Proposal(
            promotion,
            Decision(decision.draft, decision.environment, without, ()),
            due.overlay,
            added,
            removed,
            due.provenance.signer if due.provenance else "",
        )

    def _prospective(
        self,
        world: World,
        view: DraftView,
        environment: str,
        source_commit: str | None,
        reason: str,
    ) -> Promotion:
        status = view.status
        assert status is not None
        sources = view.environments[environment].promotes_from
        # The release that runs before this environment; else the furthest one there is.
        running = [p for s in sources if (p := status.promotion(s))] or status.promotions[::-1]
        before = running[0].release.source_commit if running and sources else None
        commit = source_commit or before or status.head
        digest = None
        if view.environments[environment].approvals:
            source = world.git(view.target_repo).read_object(f"{commit}:{view.folder}")
            build = status.build_of_tree(source.id) if source else None
            digest = build.digest if build else None
        return Promotion(
            kind="Promotion",
            draft=view.id,
            environment=environment,  # type: ignore[arg-type]  # checked against the defined ones
            release=RequestedRelease(source_commit=CommitId(commit), digest=digest),
            reason=reason,
        )

    def _overlay_lines(self, world: World, view: DraftView, due: PromotionInput) -> tuple[int, int]:
        """Lines added and removed against what the environment's overlay holds now."""
        overlay = due.overlay
        if overlay is None or view.gitops is None or view.gitops.head is None:
            return 0, 0
        now = world.git(view.gitops_repo).read_files(view.gitops.head, overlay.folder)
        added = removed = 0
        for path in sorted({*now, *overlay.files}):
            old = set(now.get(path, (0, b""))[1].decode().splitlines())
            new = set(overlay.files.get(path, b"").decode().splitlines())
            added += len(new - old)
            removed += len(old - new)
        return added, removed


def _promised(plan: TenantPlan) -> TenantPlan:
    """What a reviewer was shown and apply is held to; what a tool could not do is no promise."""
    return plan.model_copy(update={"failures": ()})


def _first_difference(plan: Plan, current: Sequence[TenantPlan]) -> str:
    """The first effect that only one of the two has."""
    wanted = [e for t in current for e in t.effects]
    for effect in plan.effects:
        if effect not in wanted:
            return f"it would {describe(effect)}"
    for effect in wanted:
        if effect not in plan.effects:
            return f"it would not {describe(effect)}"
    return "its tenants, its order or what waits"


def _split(draft: str) -> tuple[str, str]:
    tenant, slash, primitive = draft.partition("/")
    if not slash or not names.is_tenant_id(tenant) or not names.is_tenant_id(primitive):
        raise UsageFault(f"`{draft}` is no draft id", help="write tenant/primitive")
    return tenant, primitive


def _nobody(view: DraftView) -> Caused:
    """The cause of a request that nobody has made yet."""
    cause = Cause(
        request=draft_path(view.id),
        commit=view.caused.cause.commit,
        blob=BlobId("0" * 40),
        run="prospective",
        actor=0,
    )
    return Caused(cause, view.caused.time_s)
