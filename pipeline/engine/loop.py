"""The loop: read the world, plan, apply, and look again until nothing is left to do.

Level-triggered (docs/adr/0002-plan-then-apply.md): a run remembers nothing, so an interrupted run
needs no repair and concurrent runs need no lock. A stale plan is made again from the current state.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from pipeline import __version__
from pipeline.apply.effects import Ports, apply_tenant_plan
from pipeline.diagnostics import Finding
from pipeline.engine.idle import Memory
from pipeline.engine.planner import Planned, Planner, note, read_before
from pipeline.engine.reader import EngineReader
from pipeline.engine.shards import choose_tenants
from pipeline.engine.sightings import strangers
from pipeline.errors import Failure, PipelineError, Refused, StalePlan, failure_of
from pipeline.gate.rules import GROUP_MEMBER_WAITS
from pipeline.machine.clock import CLOCK_SKEW_S
from pipeline.models.base import moment_of, seconds_of
from pipeline.models.evidence import Observation
from pipeline.plan.effects import (
    Effect,
    Incident,
    Plan,
    Receipt,
    ShowDeployment,
    TenantPlan,
    Waiting,
    describe,
    missing_step,
)
from pipeline.plan.ports import Progress, silent
from pipeline.plan.sightings import JudgedReport
from pipeline.world.look import World
from pipeline.world.states import tenants_with_state

MAX_STALE = 60
# A plan holds what it writes, so many drafts take several plans, which bounds memory.
MAX_DRAFTS_AT_ONCE = 50
# A patch takes two rounds and a draft has at most 9,999; beyond this a plan never becomes empty.
MAX_ROUNDS = 25_000


@dataclass
class RunReport:
    """What a run did: receipts in order, what waits, what failed."""

    receipts: list[Receipt] = field(default_factory=list)
    waiting: dict[str, tuple[Waiting, ...]] = field(default_factory=dict)
    rounds: int = 0
    findings: tuple[Finding, ...] = ()
    policy: tuple[Finding, ...] = ()  # policy on main without authority
    # Tenant → what differs from promotions in its GitOps repositories; and what was restored.
    incidents: dict[str, tuple[Incident, ...]] = field(default_factory=dict)
    restored: list[Incident] = field(default_factory=list)
    began_s: int = 0
    ended_s: int = 0
    # Findings about reports of delivery tools, each once.
    observed: dict[Finding, None] = field(default_factory=dict)
    # Tenant → findings for drafts that stand although their files are gone from main.
    standing: dict[str, tuple[Finding, ...]] = field(default_factory=dict)

    def note_observed(self, judged: Iterable[JudgedReport]) -> None:
        """Record the findings about reports of delivery tools."""
        self.observed |= {finding: None for item in judged for finding in item.findings}

    @property
    def effects(self) -> int:
        """How many effects were applied or found."""
        return sum(r.count for r in self.receipts)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Draft, code and message of each tool or forge failure."""
        return tuple(dict.fromkeys(f for r in self.receipts for f in r.failures))

    @property
    def warnings(self) -> tuple[Failure, ...]:
        """Draft or repository, code and message of each deployment that could not be shown."""
        return tuple(dict.fromkeys(w for r in self.receipts for w in r.warnings))


@dataclass(frozen=True)
class RunLoop:
    """Plans and applies for one control repo."""

    reader: EngineReader
    planner: Planner

    def apply(self, plan: Plan, progress: Progress = silent) -> tuple[Receipt, ...]:
        """Receipts of applying a saved plan exactly as reviewed.

        Raises StalePlan, before anything is written, if the control repo, the tool or a state
        branch is no longer what the plan was made on, or if a step of it is no longer allowed.
        """
        world = self.reader.world()
        if plan.tool_version != __version__:
            raise StalePlan(f"planned by version {plan.tool_version}, this is {__version__}")
        if plan.control_commit != world.snapshot.commit:
            raise StalePlan(
                f"main is at {world.snapshot.commit[:12]}, planned on {plan.control_commit[:12]}",
                help="make the plan again and have it reviewed",
            )
        for tenant_plan in plan.tenants:
            if tenant_plan.state_head != world.states.head(tenant_plan.tenant):
                raise StalePlan(f"state/{tenant_plan.tenant} moved since the plan was made")
        self._require_current(plan, world)
        ports = self._ports(world)
        return tuple(apply_tenant_plan(t, ports, progress) for t in plan.tenants)

    def _require_current(self, plan: Plan, world: World) -> None:
        """Raise StalePlan unless planning for the plan's own moment gives the same plan, and all of
        its steps are still allowed now. More steps that are allowed by now do not matter.
        """
        made_s, again = seconds_of(plan.made_at), "make the plan again and have it reviewed"
        if made_s > world.now_s + CLOCK_SKEW_S:
            now = moment_of(world.now_s)
            raise StalePlan(f"the plan was made at {plan.made_at}, and it is {now}", help=again)
        chosen = choose_tenants(world.snapshot.tenant_ids, [t.tenant for t in plan.tenants])
        then = world.at(made_s)
        current = [self.planner.plan_or_failure(then, tenant) for tenant in chosen]
        promised = [_promised(tenant) for tenant in plan.tenants]
        due = [_promised(tenant) for tenant in current]
        if promised != due:
            raise StalePlan(
                f"the plan is not what would be planned now: {_first_difference(promised, due)}",
                help=again,
            )
        if made_s == world.now_s:
            return
        allowed = [self.planner.plan_or_failure(world, tenant) for tenant in chosen]
        lapsed = missing_step(plan.tenants, allowed)
        if lapsed:
            raise StalePlan(f"since {plan.made_at} it is allowed no more to {lapsed}", help=again)

    def run(
        self,
        memory: Memory | None = None,
        *,
        tenants: Collection[str] | None = None,
        shard: tuple[int, int] | None = None,
        observations: Collection[Observation] = (),
        progress: Progress = silent,
    ) -> RunReport:
        """The report of a run, which goes on tenant by tenant until a plan is empty.

        Skips tenants known to have nothing due and no finding.
        """
        report = RunReport(began_s=self.reader.tools.clock())
        view = self.reader.control.read_view()
        only = memory.read_unsettled(view) if memory and not observations else None
        if memory and only is not None and not only:
            known: Collection[str] = memory.tenants_at(view)
        else:
            head = str(view.head)
            checked = self.reader.checked(head, only)
            report.findings, report.policy = checked.findings, self.reader.policy(head).findings()
            known = checked.reading.snapshot.tenant_ids
        gone = [t for t in tenants_with_state(view.branches) if t not in known]
        if gone and tenants is None:
            world = self.reader.world(only)
            for tenant in gone:
                report.standing[tenant] = world.states.deleted(tenant, world.snapshot.blobs)
        if tenants is None:
            report.note_observed(strangers(observations, known))
        due = [t for t in choose_tenants(known, tenants, shard) if only is None or t in only]
        while due:
            rounds = report.rounds
            for tenant in due:
                one = _TenantRun(self, tenant, observations, report, progress, only, memory)
                try:
                    one.run()
                except Exception as error:
                    # A tenant that cannot go on does not stop the others.
                    report.receipts.append(Receipt(failures=(failure_of(tenant, error),)))
            # A member of a group may wait for one of a tenant that was looked at after it.
            due = [t for t in due if _waits_for_others(report.waiting.get(t, ()))]
            due = due if report.rounds > rounds else []
        if memory:
            memory.remember()
        report.ended_s = self.reader.tools.clock()
        return report

    def apply_now(self, plan: TenantPlan, world: World, progress: Progress) -> Receipt:
        """The receipt of applying a plan made from this same look. Raises StalePlan."""
        return apply_tenant_plan(plan, self._ports(world), progress)

    def _ports(self, world: World) -> Ports:
        """The ports that applying writes through."""
        platform, tools = world.snapshot.platform, self.reader.tools
        if platform is None:
            raise Refused("environments/platform.yaml is missing or invalid, so nothing can run")
        return Ports(
            forge=self.reader.forge,
            control_repo=self.reader.control.control_repo,
            actor=platform.pipeline_account.id,
            run_checks=tools.run_checks,
            make_builder=partial(tools.make_builder, world.snapshot),
            now_s=world.now_s,
            faults=tools.faults,
        )


@dataclass
class _TenantRun:
    """The rounds of one run for one tenant."""

    loop: RunLoop
    tenant: str
    observations: Collection[Observation]
    report: RunReport
    progress: Progress
    only: frozenset[str] | None  # the tenants whose requests are read
    memory: Memory | None
    # Drafts and repositories that failed, or that only wait while there is more to look at.
    left_out: set[str] = field(default_factory=set)
    # Drafts with nothing due; looked at again once no other draft has anything due.
    resting: set[str] = field(default_factory=set)
    waiting: list[Waiting] = field(default_factory=list)  # of those left out
    before: tuple[Effect, ...] = ()
    tries: int = 0  # at the same effects; new ones mean that another run made progress

    def run(self) -> None:
        """Run rounds until nothing is left to do. Raises PipelineError if that never happens."""
        for _ in range(MAX_ROUNDS):
            try:
                if self._round():
                    return
            except StalePlan as moved:
                self._look_again(moved)
        raise PipelineError(f"{self.tenant} has more to do after each of {MAX_ROUNDS} rounds")

    def _round(self) -> bool:
        """Apply what one look finds due; True if a look at the whole tenant found nothing."""
        world = self.loop.reader.world(self.only)
        whole = not (self.left_out or self.resting)
        begun = read_before(self.memory, world, self.tenant) if whole else None
        planned = self.loop.planner.plan_tenant(
            world, self.tenant, self.observations, self.left_out | self.resting, MAX_DRAFTS_AT_ONCE
        )
        plan = planned.plan
        self._report(planned)
        if plan.is_empty and len(planned.drafts) == MAX_DRAFTS_AT_ONCE:
            self.left_out |= set(planned.drafts)
            self.waiting += plan.waiting
            return False
        if plan.is_empty and self.resting:
            self.resting = set()
            return False
        self.resting |= planned.look.resting
        if plan.is_empty:
            note(self.memory, begun, planned)
            return True
        if plan.effects != self.before:
            self.before, self.tries = plan.effects, 0
        self.report.rounds += 1
        receipt = self.loop.apply_now(plan, world, self.progress)
        # A draft whose tool failed is left for the next run; the others go on in this one.
        self.report.receipts.append(receipt)
        self.report.restored += _restored(plan, receipt)
        self.left_out |= {failure.subject for failure in receipt.failures}
        self.left_out |= {wait.draft for wait in receipt.waiting}
        self.waiting += receipt.waiting
        shown = [e for e in plan.effects if isinstance(e, ShowDeployment)]
        self.loop.reader.deployments.learn(shown, receipt)
        return False

    def _report(self, planned: Planned) -> None:
        """Report what a look found; drafts that could not be planned are left out from now on."""
        plan, report = planned.plan, self.report
        report.waiting[self.tenant] = (*self.waiting, *plan.waiting)
        report.incidents[self.tenant] = plan.incidents
        report.standing[self.tenant] = planned.look.standing
        report.note_observed(planned.look.judged)
        if plan.warnings:
            report.receipts.append(Receipt(warnings=plan.warnings))
        if plan.failures:
            report.receipts.append(Receipt(failures=plan.failures))
            self.left_out |= {failure.subject for failure in plan.failures}

    def _look_again(self, moved: StalePlan) -> None:
        """Look again after another writer was faster: never rebase, never retry blindly.

        After too many tries the drafts at fault are left out; raises StalePlan if none are new.
        """
        self.tries += 1
        if self.tries <= MAX_STALE:
            self.progress(f"{self.tenant}: {moved.message}; looking again")
            time.sleep(random.uniform(0, 0.05 * min(self.tries, 10)))
            return
        if not set(moved.drafts) - self.left_out:
            raise moved
        # Without the drafts that keep moving, the tenant's other drafts go on.
        failed = tuple(failure_of(draft, moved) for draft in moved.drafts)
        self.report.receipts.append(Receipt(failures=failed))
        self.left_out |= set(moved.drafts)
        self.tries = 0


def _waits_for_others(waiting: Iterable[Waiting]) -> bool:
    """Whether a promotion waits for other members of its release group."""
    codes = {code for wait in waiting for code, _ in wait.reasons}
    return GROUP_MEMBER_WAITS.id in codes


def _restored(plan: TenantPlan, receipt: Receipt) -> list[Incident]:
    """The incidents of a plan whose repositories were restored."""
    done = {key for key, _ in receipt.applied}
    merged = {e.repo for e in plan.effects if e.kind == "merge-pull" and e.key in done}
    restored = {e.repo for e in plan.effects if e.kind == "restore-overlays"} & merged
    return [incident for incident in plan.incidents if incident.repo in restored]


def _promised(plan: TenantPlan) -> TenantPlan:
    """The part of a plan that apply must reproduce: all but its failures, and what it shows."""
    effects = tuple(e for e in plan.effects if not isinstance(e, ShowDeployment))
    return plan.model_copy(update={"effects": effects, "failures": (), "warnings": ()})


def _first_difference(plans: Sequence[TenantPlan], current: Sequence[TenantPlan]) -> str:
    """The first difference between plans and the current ones, in words."""
    planned = [e for t in plans for e in t.effects]
    wanted = [e for t in current for e in t.effects]
    for effect in planned:
        if effect not in wanted:
            return f"it would {describe(effect)}"
    for effect in wanted:
        if effect not in planned:
            return f"it would not {describe(effect)}"
    return "its tenants, its order or what waits"
