"""What a status states per environment, and what it drops once a request is answered. Pure."""

from __future__ import annotations

from typing import Protocol, TypeVar

from pipeline.models.facts import Fact, Promoted
from pipeline.models.status import DraftStatus, HoldRecord


class _OfEnvironment(Protocol):
    """A record of one environment."""

    @property
    def environment(self) -> str: ...


E = TypeVar("E", bound=_OfEnvironment)


def elsewhere(records: tuple[E, ...], environment: str) -> tuple[E, ...]:
    """The records of other environments."""
    return tuple(record for record in records if record.environment != environment)


def answered(status: DraftStatus, environment: str) -> dict[str, object]:
    """What a status no longer says once the newest request for an environment was answered."""
    return {
        "refused_promotions": elsewhere(status.refused_promotions, environment),
        "superseded": elsewhere(status.superseded, environment),
    }


def holds_after(status: DraftStatus, fact: Fact, body: Promoted) -> tuple[HoldRecord, ...]:
    """The holds after a promotion: a rollback holds, and any other promotion ends the hold."""
    others = elsewhere(status.holds, body.environment)
    if body.lane != "rollback":
        return others
    hold = HoldRecord(
        environment=body.environment,
        fact=fact.sequence,
        since=fact.decided_at,
        automatic=body.automatic,
    )
    return (*others, hold)
