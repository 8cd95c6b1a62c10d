"""The engine: read the world, plan, apply, and look again until nothing is left to do.

Level-triggered (design §3): a run remembers nothing, so a broken-off run needs no repair and
two runs at once need no lock. A plan that turns out stale is made again from what is there now.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

from pipeline import __version__, names
from pipeline.apply.effects import Ports, Progress, apply_tenant_plan
from pipeline.diagnostics import Finding
from pipeline.engine.idle import Before
from pipeline.engine.propose import Deciding
from pipeline.engine.shards import choose_tenants
from pipeline.errors import PipelineError, Refused, StalePlan, failure_of
from pipeline.models.evidence import Observation
from pipeline.plan.effects import Incident, Plan, Receipt, TenantPlan, Waiting, describe
from pipeline.plan.view import Stage
from pipeline.stages.gitops import with_gitops
from pipeline.stages.order import plan_tenant
from pipeline.world.drafts import World

MAX_STALE = 60
STATE = names.state_branch("")
# A plan holds what it writes, so many drafts take several: memory does not grow with their number.
MAX_DRAFTS_AT_ONCE = 50
# A patch needs two, and a draft has up to 9,999; beyond this many a plan never empties.
MAX_ROUNDS = 25_000


def silent(line: str) -> None:
    """The progress of a caller that wants none."""


@dataclass
class RunReport:
    """What a run did: receipts in order, what waits, what failed."""

    receipts: list[Receipt] = field(default_factory=list)
    waiting: dict[str, tuple[Waiting, ...]] = field(default_factory=dict)
    rounds: int = 0
    findings: tuple[Finding, ...] = ()
    policy: tuple[Finding, ...] = ()  # of policy on main that came without authority
    # Of each tenant's GitOps repositories: what is not as promoted, and what was put back.
    incidents: dict[str, tuple[Incident, ...]] = field(default_factory=dict)
    restored: list[Incident] = field(default_factory=list)
    # Tenant → what stands of it though its file is gone from main.
    standing: dict[str, tuple[Finding, ...]] = field(default_factory=dict)

    @property
    def effects(self) -> int:
        """How many effects were applied or found."""
        return sum(r.count for r in self.receipts)

    @property
    def failures(self) -> tuple[tuple[str, str, str], ...]:
        """Draft, code and message of each tool or forge failure."""
        return tuple(dict.fromkeys(f for r in self.receipts for f in r.failures))


class Engine(Deciding):
    """Plans and applies for one control repo."""

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
            self._plan_or_failure(world, tenant, observations)
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
                plans.append(self._plan_or_failure(world, tenant, remember=True))
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

    def _plan_or_failure(
        self,
        world: World,
        tenant: str,
        observations: Collection[Observation] = (),
        *,
        remember: bool = False,
    ) -> TenantPlan:
        """The plan for one tenant, or why there is none; `remember` notes that nothing is due."""
        try:
            before = self._read_before(world, tenant) if remember else None
            plan, _ = self._plan_tenant(world, tenant, observations)
            self._note(world, tenant, before)
        except Exception as error:
            failure = (tenant, *failure_of(error))
            head = world.state_head(tenant)
            return TenantPlan(tenant=tenant, state_head=head, failures=(failure,))
        return plan

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
        foreign = any(view.gitops_findings for view in views)
        if Stage.PROMOTE in self.scope.stages and (foreign or not plan.effects):
            # Once nothing else is due, so that a run looks at what lies there once.
            plan = with_gitops(plan, world.gitops_views(tenant, leave_out))
        failures = (*dict.fromkeys(world.failures[failed_before:]), *plan.failures)
        plan = plan.model_copy(update={"failures": failures})
        return plan, tuple(view.id for view in views)

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
        current = [self._plan_or_failure(world, tenant) for tenant in chosen]
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
            read, found = self.reading(str(view.head), only)
            report.findings, report.policy = found, self.policy(str(view.head)).findings()
            known = read.snapshot.tenant_ids
        gone = {b.removeprefix(STATE) for b in view.branches if b.startswith(STATE)} - known
        for tenant in sorted(gone) if tenants is None else ():
            world = self.world()
            report.standing[tenant] = world.deleted(tenant, world.snapshot.blobs)
        for tenant in choose_tenants(known, tenants, shard):
            if only is None or tenant in only:
                try:
                    self._run_tenant(tenant, observations, report, progress, only)
                except Exception as error:
                    # One tenant that cannot go on keeps no other from it.
                    report.receipts.append(Receipt(failures=((tenant, *failure_of(error)),)))
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
                report.incidents[tenant] = plan.incidents
                report.standing[tenant] = world.standing.get(tenant, ())
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
                    if not set(moved.drafts) - left_out:
                        raise
                    # Whatever it is that never holds still, the tenant's other drafts go on.
                    failed = tuple((draft, *failure_of(moved)) for draft in moved.drafts)
                    report.receipts.append(Receipt(failures=failed))
                    left_out |= set(moved.drafts)
                    tries = 0
                    continue
                progress(f"{tenant}: {moved.message}; looking again")
                time.sleep(random.uniform(0, 0.05 * min(tries, 10)))
                continue
            # A draft whose tool failed is left for the next run; the others go on in this one.
            report.receipts.append(receipt)
            report.restored += _restored(plan, receipt)
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


def _restored(plan: TenantPlan, receipt: Receipt) -> list[Incident]:
    """The incidents of a plan whose repositories were put back."""
    done = {key for key, _ in receipt.applied}
    merged = {e.repo for e in plan.effects if e.kind == "merge-pull" and e.key in done}
    restored = {e.repo for e in plan.effects if e.kind == "restore-overlays"} & merged
    return [incident for incident in plan.incidents if incident.repo in restored]


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
