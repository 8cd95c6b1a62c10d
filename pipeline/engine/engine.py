"""The engine over one control repo: a reader, a proposer, a judge and a loop, with their tools.

An engine never changes: for another tool or a narrower scope, make another engine.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline.control.repo import Control
from pipeline.diagnostics import Finding
from pipeline.engine.idle import Memory
from pipeline.engine.loop import RunLoop, RunReport
from pipeline.engine.planner import Planner
from pipeline.engine.propose import PromotionProposal, Proposer
from pipeline.engine.reader import EngineReader
from pipeline.engine.sightings import Sightings, read_sightings
from pipeline.engine.tools import Tools
from pipeline.forges.port import Forge
from pipeline.gate.authorise import Decision, Evidence
from pipeline.git.objects import Files
from pipeline.models.base import Moment
from pipeline.models.evidence import Observation
from pipeline.models.facts import Fact
from pipeline.models.provenance import Verified
from pipeline.models.requests import Promotion
from pipeline.models.status import DraftStatus
from pipeline.models.windows import Lane
from pipeline.plan.effects import Plan, Receipt
from pipeline.plan.ports import Progress, silent
from pipeline.plan.view import EVERYTHING, PromotionInput, Scope, Stage
from pipeline.requests.snapshot import Snapshot
from pipeline.templating import Template
from pipeline.world.look import World

if TYPE_CHECKING:
    from pipeline.engine.judge import Judge


@dataclass(frozen=True)
class Engine:
    """Reads, proposes, judges and runs for one control repo."""

    control: Control
    tools: Tools
    scope: Scope = EVERYTHING
    # Whether a run may use what earlier runs left in the cache, and leave its own there.
    remembers: bool = False

    def using(self, **tools: Any) -> Engine:
        """Another engine over the same control repo, with these `Tools` replaced.

        Raises TypeError for an unknown tool name.
        """
        return replace(self, tools=replace(self.tools, **tools))

    @cached_property
    def reader(self) -> EngineReader:
        """The reader of main, the world and the state branches."""
        return EngineReader(self.control, self.tools)

    @cached_property
    def proposer(self) -> Proposer:
        """The proposer, which asks the gate."""
        return Proposer(self.reader)

    @cached_property
    def judge(self) -> Judge:
        """The judge of open pull requests."""
        # 9 ms to import; `run` and `status` do not need it.
        from pipeline.engine.judge import Judge

        return Judge(self.reader, self.proposer)

    @cached_property
    def _loop(self) -> RunLoop:
        return RunLoop(self.reader, Planner(self.reader, self.scope))

    def _memory(self) -> Memory | None:
        if not self.remembers:
            return None
        sees_gitops = Stage.PROMOTE in self.scope.stages
        return Memory(self.forge, self.control.control_repo, sees_gitops, self.tools.clock)

    @property
    def forge(self) -> Forge:
        """The forge of the control repo."""
        return self.control.forge

    @property
    def templates(self) -> Mapping[str, Template]:
        """The golden templates by name."""
        return self.tools.templates

    # -- reading --------------------------------------------------------------------------

    def snapshot(self, commit: str | None = None) -> Snapshot:
        """The requests and the policy at a commit; main's head if none is given."""
        return self.reader.snapshot(commit)

    def findings(self, commit: str | None = None) -> tuple[Finding, ...]:
        """Every finding in the requests at a commit; main's head if none is given."""
        return self.reader.findings(commit)

    def world(self) -> World:
        """A fresh look at the world."""
        return self.reader.world()

    def status(self, draft: str) -> DraftStatus:
        """One draft's recorded status. Raises UsageFault if it has none."""
        return self.reader.status(draft)

    def statuses(self) -> tuple[DraftStatus, ...]:
        """Every draft's recorded status, by id."""
        return self.reader.statuses()

    def facts(self, draft: str) -> tuple[Fact, ...]:
        """A draft's facts in order, with every link checked. Raises UsageFault, BrokenChain."""
        return self.reader.facts(draft)

    def draft_files(self, draft: str, paths: Collection[str] = ()) -> tuple[str, Files]:
        """The newest commit of a draft and its files there (all, or those named)."""
        return self.reader.draft_files(draft, paths)

    # -- proposing and judging ------------------------------------------------------------

    def decide(
        self, draft: str, environment: str, promotion: Promotion | None = None
    ) -> tuple[Decision, PromotionInput]:
        """The decision on a promotion: the one requested on main, else a hypothetical one."""
        return self.proposer.decide(draft, environment, promotion)

    def evidence(self, draft: str, environment: str) -> tuple[Evidence, PromotionInput]:
        """The evidence for a decision on a promotion, and its input; it need not be requested."""
        return self.proposer.evidence(draft, environment)

    def propose_promotion(
        self,
        draft: str,
        environment: str,
        *,
        source_commit: str | None = None,
        reason: str,
        lane: Lane = "normal",
        goes_further: bool = True,
    ) -> PromotionProposal:
        """A promotion request with digest and overlay tree pinned, and the reasons against it."""
        return self.proposer.propose_promotion(
            draft,
            environment,
            source_commit=source_commit,
            reason=reason,
            lane=lane,
            goes_further=goes_further,
        )

    def verify_statement(self, bundle: str) -> Verified:
        """Who signed a statement, by the signers on main. Raises CouldNotCheck."""
        signers = self.snapshot().signers
        if signers is None:
            return Verified(problem="there is no environments/signers.yaml")
        return self.tools.verify(bundle, signers.model_dump_json(by_alias=True))

    # -- running --------------------------------------------------------------------------

    def plan(
        self,
        *,
        tenants: Collection[str] | None = None,
        shard: tuple[int, int] | None = None,
        observations: Collection[Observation] = (),
    ) -> Plan:
        """What a run would do first, for each tenant; equal worlds give equal plans."""
        return self._loop.planner.plan(tenants=tenants, shard=shard, observations=observations)

    def plan_due(
        self,
        *,
        tenants: Collection[str] | None = None,
        shard: tuple[int, int] | None = None,
    ) -> Plan:
        """The plan for the tenants not known to be idle."""
        return self._loop.planner.plan_due(self._memory(), tenants=tenants, shard=shard)

    def observe(
        self, observations: Collection[Observation], *, listed: Collection[str], read_at: Moment
    ) -> Sightings:
        """The judged reports of delivery tools; nothing is recorded."""
        return read_sightings(self.reader, observations, listed=listed, read_at=read_at)

    def apply(self, plan: Plan, progress: Progress = silent) -> tuple[Receipt, ...]:
        """Receipts of applying a saved plan exactly as reviewed. Raises StalePlan."""
        return self._loop.apply(plan, progress)

    def run(
        self,
        *,
        tenants: Collection[str] | None = None,
        shard: tuple[int, int] | None = None,
        observations: Collection[Observation] = (),
        progress: Progress = silent,
    ) -> RunReport:
        """The report of a run, which goes on tenant by tenant until a plan is empty."""
        return self._loop.run(
            self._memory(),
            tenants=tenants,
            shard=shard,
            observations=observations,
            progress=progress,
        )

    def dispatch(self, events: Sequence[str]) -> None:
        """Send these events to the control repo's workflows."""
        platform = self.snapshot().platform if events else None
        for event in events if platform else ():
            assert platform is not None
            account = platform.pipeline_account.id
            self.forge.dispatch(self.control.control_repo, event, actor=account)
