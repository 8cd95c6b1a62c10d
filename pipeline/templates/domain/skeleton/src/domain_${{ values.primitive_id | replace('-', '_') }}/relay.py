"""Brings events from the outbox to a publisher, at least once, for as long as the service runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from .events import Event, Publisher
from .store import Delivery, Outbox, retry_after

BATCH: Final = 100


def _now() -> datetime:
    return datetime.now(UTC)


class PostgresOutbox:
    """The table `outbox`, through the relay's own role: it sees all tenants' events only."""

    def __init__(
        self, pool: AsyncConnectionPool[Any], *, clock: Callable[[], datetime] = _now
    ) -> None:
        self._pool = pool
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def open(
        cls, address: str, *, clock: Callable[[], datetime] = _now
    ) -> AsyncIterator[PostgresOutbox]:
        """The outbox of a database, for as long as the context lasts."""
        async with AsyncConnectionPool(address, min_size=0, max_size=2, open=False) as pool:
            yield cls(pool, clock=clock)

    async def deliver(self, publish: Callable[[Event], Awaitable[None]], *, limit: int) -> Delivery:
        published = failed = 0
        async with (
            self._pool.connection() as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            # Locked until the commit: other relays skip these rows, and a crash frees them.
            await cursor.execute(
                "SELECT * FROM outbox WHERE due_at <= %s ORDER BY position LIMIT %s"
                " FOR UPDATE SKIP LOCKED",
                [self._clock(), limit],
            )
            for row in await cursor.fetchall():
                place = {"tenant_id": row["tenant_id"], "id": row["id"]}
                try:
                    await publish(_event(row))
                except Exception:
                    logging.getLogger("relay").exception("event %s was not published", row["id"])
                    failed += 1
                    attempts = row["attempts"] + 1
                    await cursor.execute(
                        "UPDATE outbox SET attempts = %(attempts)s, due_at = %(due_at)s"
                        " WHERE tenant_id = %(tenant_id)s AND id = %(id)s",
                        {
                            **place,
                            "attempts": attempts,
                            "due_at": self._clock() + retry_after(attempts),
                        },
                    )
                else:
                    published += 1
                    await cursor.execute(
                        "DELETE FROM outbox WHERE tenant_id = %(tenant_id)s AND id = %(id)s",
                        place,
                    )
        return Delivery(published, failed)


async def relay_events(
    outbox: Outbox, publisher: Publisher, stop: asyncio.Event, *, interval_s: float
) -> None:
    """Publishes what is due until `stop` is set, and once more then.

    A failure is logged, and what could not be published is tried again.
    """
    logger = logging.getLogger("relay")
    last = False
    while not last:
        last = stop.is_set()
        try:
            delivery = await outbox.deliver(publisher.publish, limit=BATCH)
        except Exception:
            logger.exception("the outbox could not be read")
            delivery = Delivery(0, 0)
        if last or delivery.published == BATCH:
            continue  # after a full batch there may be more that is due
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), interval_s)


def _event(row: DictRow) -> Event:
    return Event(
        str(row["id"]),
        row["tenant_id"],
        row["entity_type"],
        str(row["entity_id"]),
        row["version"],
        row["change"],
        row["occurred_at"],
        row["name"],
        row["attributes"],
    )
