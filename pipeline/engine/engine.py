"""The engine over one control repo: a reader, a proposer, a judge and a loop, with their tools.

An engine never changes: to have another tool, or a narrower scope, one makes another engine.
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
from pipeline.engine.tools import Tools
from pipeline.forges.port import Forge
from pipeline.gate.authorise import Decision
from pipeline.git.objects import Files
from pipeline.models.evidence import Observation
from pipeline.models.facts import Fact
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
    # Whether a run may rest on what runs before it left in the cache, and leaves its own.
    remembers: bool = False

    def using(self, **tools: Any) -> Engine:
        """Another engine over the same control repo, with these of its `Tools` in place of its
        own. Raises TypeError for a name that no tool has.
        """
        return replace(self, tools=replace(self.tools, **tools))

    @cached_property
    def reader(self) -> EngineReader:
        """What reads main, the world and what was recorded."""
        return EngineReader(self.control, self.tools)

    @cached_property
    def proposer(self) -> Proposer:
        """What asks the gate."""
        return Proposer(self.reader)

    @cached_property
    def judge(self) -> Judge:
        """What judges open pull requests."""
        # 9 ms: imported when one is judged; a run, and a status, need none of it.
        from pipeline.engine.judge import Judge

        return Judge(self.reader, self.proposer)

    @cached_property
    def _loop(self) -> RunLoop:
        return RunLoop(self.reader, Planner(self.reader, self.scope))

    def _memory(self) -> Memory | None:
        if not self.remembers:
            return None
        sees_gitops = Stage.PROMOTE in self.scope.stages
        return Memory(self.forge, self.control.control_repo, sees_gitops)

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
        """The requests and the policy at a commit, main's head if none is given."""
        return self.reader.snapshot(commit)

    def findings(self, commit: str | None = None) -> tuple[Finding, ...]:
        """Every finding in the requests at a commit, main's head if none is given."""
        return self.reader.findings(commit)

    def world(self) -> World:
        """A fresh look at the world."""
        return self.reader.world()

    def status(self, draft: str) -> DraftStatus:
        """One draft's recorded status. Raises UsageFault when it has none."""
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
        """The decision on a promotion: of the request on main, else of one that could be made."""
        return self.proposer.decide(draft, environment, promotion)

    def propose_promotion(
        self,
        draft: str,
        environment: str,
        *,
        source_commit: str | None = None,
        reason: str,
        lane: Lane = "normal",
    ) -> PromotionProposal:
        """A promotion request with digest and overlay tree pinned, and what speaks against it."""
        return self.proposer.propose_promotion(
            draft, environment, source_commit=source_commit, reason=reason, lane=lane
        )

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
        """Plan only the tenants that are not known to be idle."""
        return self._loop.planner.plan_due(self._memory(), tenants=tenants, shard=shard)

    def apply(self, plan: Plan, progress: Progress = silent) -> tuple[Receipt, ...]:
        """What a saved plan did, exactly as it was reviewed. Raises StalePlan."""
        return self._loop.apply(plan, progress)

    def run(
        self,
        *,
        tenants: Collection[str] | None = None,
        shard: tuple[int, int] | None = None,
        observations: Collection[Observation] = (),
        progress: Progress = silent,
    ) -> RunReport:
        """Everything that can be done now, tenant by tenant, until a plan comes out empty."""
        return self._loop.run(
            self._memory(),
            tenants=tenants,
            shard=shard,
            observations=observations,
            progress=progress,
        )

    def dispatch(self, events: Sequence[str]) -> None:
        """Start what waits for these events of the control repo."""
        platform = self.snapshot().platform if events else None
        for event in events if platform else ():
            assert platform is not None
            account = platform.pipeline_account.id
            self.forge.dispatch(self.control.control_repo, event, actor=account)
