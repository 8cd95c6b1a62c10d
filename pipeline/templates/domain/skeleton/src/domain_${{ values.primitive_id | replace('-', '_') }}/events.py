"""What happened to entities, for others to hear of; and where that is told.

An event is stored in the outbox in the transaction of the change itself, so neither is ever there
without the other. `relay` then hands it to a publisher, at least once.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from .entities import Record

Change = Literal["created", "updated", "deleted"]


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one entity.

    Receivers drop an `id` that they know, and bring an entity's events in order by `version`.
    """

    id: str
    tenant_id: str
    entity_type: str
    entity_id: str
    version: int
    change: Change
    occurred_at: datetime
    name: str
    attributes: dict[str, object] = field(repr=False)

    @property
    def type(self) -> str:
        """What receivers subscribe to, such as `order.created`."""
        return f"{self.entity_type}.{self.change}"


def event_of(
    tenant_id: str, entity_type: str, record: Record, change: Change, occurred_at: datetime
) -> Event:
    """The event of a change that made the record what it is, or removed it."""
    # A removed entity keeps its version; its event comes after the one that made this version.
    version = record.version + 1 if change == "deleted" else record.version
    return Event(
        str(uuid.uuid4()),
        tenant_id,
        entity_type,
        record.id,
        version,
        change,
        occurred_at,
        record.name,
        record.attributes,
    )


class Publisher(Protocol):
    """Where events go: a broker's client, a webhook. Implement it and name it in `__main__`."""

    async def publish(self, event: Event) -> None:
        """Returns once the event is safe elsewhere; whatever it raises, the event is kept."""
        ...


class LogPublisher:
    """Writes a log line for each event, without what the entity holds."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("events")

    async def publish(self, event: Event) -> None:
        self._logger.info(
            "event %s",
            event.type,
            extra={
                "event_id": event.id,
                "tenant.id": event.tenant_id,
                "entity_id": event.entity_id,
                "entity_version": event.version,
            },
        )
