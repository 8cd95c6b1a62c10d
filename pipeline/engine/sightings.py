"""Reports of delivery tools compared with facts, for `pipeline observe`; nothing is written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from pipeline.engine.reader import EngineReader
from pipeline.errors import Failure, UsageFault
from pipeline.models.base import Moment
from pipeline.models.draft_id import DraftId
from pipeline.models.evidence import Observation
from pipeline.plan.sightings import JudgedReport
from pipeline.requests.snapshot import Snapshot
from pipeline.stages.observe import judge_unknown
from pipeline.world.look import World


@dataclass(frozen=True, slots=True)
class Sightings:
    """Reports as a run would judge them, including ones for releases missing from a full list."""

    judged: tuple[JudgedReport, ...]
    failures: tuple[Failure, ...]  # of tenants whose reports cannot be judged

    @property
    def observations(self) -> tuple[Observation, ...]:
        """The tool's observations, for a run to read."""
        return tuple(item.told for item in self.judged)


def read_sightings(
    reader: EngineReader,
    observations: Collection[Observation],
    *,
    listed: Collection[str],
    read_at: Moment,
) -> Sightings:
    """The judged reports. In the environments `listed`, the tool listed everything it delivers.

    Raises UsageFault for an unknown environment.
    """
    world = reader.world()
    for environment in listed:
        if environment not in world.snapshot.environments:
            known = ", ".join(world.snapshot.environments)
            raise UsageFault(f"there is no environment `{environment}`", help=f"there are {known}")
    missing = _missing(world, observations, listed, read_at)
    everything = (*observations, *missing)
    judged: list[JudgedReport] = []
    for tenant in world.snapshot.tenant_ids:
        judged += world.drafts.look_at_reports(tenant, everything)
    judged += strangers(everything, world.snapshot.tenant_ids)
    return Sightings(tuple(judged), world.failures.since(0))


def strangers(
    observations: Iterable[Observation], tenants: Collection[str]
) -> tuple[JudgedReport, ...]:
    """The judged reports on applications without a draft, or of unknown tenants."""
    return tuple(
        judge_unknown(told) for told in observations if DraftId(told.draft).tenant not in tenants
    )


def _missing(
    world: World,
    observations: Iterable[Observation],
    listed: Collection[str],
    read_at: Moment,
) -> Iterator[Observation]:
    """An observation for each promoted release that should be listed but is not."""
    seen = {(told.draft, told.environment) for told in observations}
    for draft in _drafts(world.snapshot) if listed else ():
        status = world.states.status(draft)
        for record in status.promotions if status else ():
            if record.environment in listed and (draft, record.environment) not in seen:
                yield Observation(
                    environment=record.environment,
                    draft=draft,
                    health="Unknown",
                    sync="Unknown",
                    message="the delivery tool does not list it",
                    observed_at=read_at,
                )


def _drafts(snapshot: Snapshot) -> Iterator[DraftId]:
    for tenant in snapshot.tenant_ids:
        yield from snapshot.drafts_of(tenant)
