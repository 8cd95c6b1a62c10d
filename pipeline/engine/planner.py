"""The planner: what is due for each tenant now, as values; nothing is written.

Equal worlds give equal plans. A tenant that cannot be planned does not stop the others.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from pipeline import __version__
from pipeline.engine.idle import Before, Memory
from pipeline.engine.reader import EngineReader
from pipeline.engine.shards import choose_tenants
from pipeline.errors import failure_of
from pipeline.models.base import moment_of
from pipeline.models.evidence import Observation
from pipeline.plan.effects import Plan, TenantPlan
from pipeline.plan.view import Scope, Stage
from pipeline.stages.deployments import wanted_deployments
from pipeline.stages.gitops import with_gitops
from pipeline.stages.order import plan_tenant
from pipeline.world.deployments import Showing
from pipeline.world.drafts import TenantLook
from pipeline.world.look import World


@dataclass(frozen=True)
class Planned:
    """A tenant's plan, and the look it was made from."""

    plan: TenantPlan
    look: TenantLook
    rests_on: frozenset[str]  # repositories

    @property
    def drafts(self) -> tuple[str, ...]:
        """The drafts that the plan is for."""
        return tuple(view.id for view in self.look.views)


@dataclass(frozen=True)
class Planner:
    """Plans for tenants, within a scope."""

    reader: EngineReader
    scope: Scope

    def plan(
        self,
        *,
        tenants: Collection[str] | None = None,
        shard: tuple[int, int] | None = None,
        observations: Collection[Observation] = (),
    ) -> Plan:
        """What a run would do first, for each tenant."""
        world = self.reader.world()
        chosen = choose_tenants(world.snapshot.tenant_ids, tenants, shard)
        plans = tuple(self.plan_or_failure(world, tenant, observations) for tenant in chosen)
        return _plan_at(world.snapshot.commit, plans, world.now_s)

    def plan_due(
        self,
        memory: Memory | None,
        *,
        tenants: Collection[str] | None = None,
        shard: tuple[int, int] | None = None,
    ) -> Plan:
        """The plan for the tenants not known to be idle."""
        view = self.reader.control.read_view()
        only = memory.read_unsettled(view) if memory else None
        if only is not None and not only:
            return _plan_at(str(view.head), (), self.reader.tools.clock())
        world = self.reader.world(only)
        plans = []
        for tenant in choose_tenants(world.snapshot.tenant_ids, tenants, shard):
            if only is None or tenant in only:
                plans.append(self.plan_or_failure(world, tenant, memory=memory))
        if memory:
            memory.remember()
        due = tuple(plan for plan in plans if plan.effects or plan.failures or plan.warnings)
        return _plan_at(world.snapshot.commit, due, world.now_s)

    def plan_or_failure(
        self,
        world: World,
        tenant: str,
        observations: Collection[Observation] = (),
        *,
        memory: Memory | None = None,
    ) -> TenantPlan:
        """The plan for one tenant, or why there is none; `memory` notes if nothing is due."""
        try:
            before = read_before(memory, world, tenant)
            planned = self.plan_tenant(world, tenant, observations)
            note(memory, before, planned)
        except Exception as error:
            failure = failure_of(tenant, error)
            head = world.states.head(tenant)
            return TenantPlan(tenant=tenant, state_head=head, failures=(failure,))
        return planned.plan

    def plan_tenant(
        self,
        world: World,
        tenant: str,
        observations: Collection[Observation],
        leave_out: Collection[str] = (),
        at_most: int | None = None,
    ) -> Planned:
        """The plan for one tenant without the drafts in `leave_out`, and what it depends on."""
        failed_before = world.failures.count
        look = world.drafts.look_at(tenant, observations, leave_out=leave_out, at_most=at_most)
        plan = plan_tenant(tenant, world.states.head(tenant), look.views, self.scope)
        foreign = any(view.gitops_findings for view in look.views)
        if Stage.PROMOTE in self.scope.stages and (foreign or not plan.effects):
            # Only once nothing else is due, so that a run looks at these repositories once.
            kept, are_clean = world.gitops.kept_for(tenant, leave_out)
            plan = with_gitops(plan, kept)
            look = replace(look, is_settled=look.is_settled and are_clean)
        if not plan.effects:
            showing = self._read_showing(world, tenant, observations, leave_out)
            shown = {"effects": showing.effects, "warnings": showing.warnings}
            plan = plan.model_copy(update=shown)
            look = replace(look, is_settled=look.is_settled and showing.is_settled)
        failures = (*world.failures.since(failed_before), *plan.failures)
        plan = plan.model_copy(update={"failures": failures})
        return Planned(plan, look, world.repositories.asked_for)

    def _read_showing(
        self,
        world: World,
        tenant: str,
        observations: Collection[Observation],
        leave_out: Collection[str],
    ) -> Showing:
        """The deployments to show of a tenant's drafts.

        A run that may promote looks at all of them, one that only observes at those observed.
        """
        stages, deployments = self.scope.stages, self.reader.deployments
        drafts = [d for d in world.snapshot.drafts_of(tenant) if d not in leave_out]
        if Stage.PROMOTE not in stages:
            seen = {o.draft for o in observations} if Stage.OBSERVE in stages else set()
            drafts = [d for d in drafts if d in seen]
        if not (drafts and deployments.are_shown):
            return Showing()
        statuses = world.states.statuses(tenant, [d.primitive for d in drafts])
        return deployments.read_due(
            [
                wanted
                for status in statuses.values()
                for wanted in wanted_deployments(status, world.snapshot.environments)
            ]
        )


def read_before(memory: Memory | None, world: World, tenant: str) -> Before | None:
    """A tenant's world before a look at it; None without a memory."""
    if memory is None:
        return None
    return memory.read_before(world.snapshot.commit, tenant, world.states.head(tenant))


def note(memory: Memory | None, before: Before | None, planned: Planned) -> None:
    """Note in the memory if a look at a tenant, begun at `before`, found nothing due."""
    if memory and before and planned.look.is_settled:
        until = min((w.until for w in planned.plan.waiting if w.until), default=None)
        memory.note_nothing_due(before, planned.rests_on, until)


def _plan_at(commit: str, plans: tuple[TenantPlan, ...], now_s: int) -> Plan:
    return Plan(
        tool_version=__version__,
        control_commit=commit,
        made_at=moment_of(now_s),
        tenants=plans,
    )
