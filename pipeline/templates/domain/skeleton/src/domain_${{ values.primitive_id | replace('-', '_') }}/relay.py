"""Brings events from the outbox to a publisher, at least once, for as long as the service runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from .events import Event, Publisher
from .store import Delivery, Outbox, retry_after

BATCH: Final = 100


class PostgresOutbox:
    """The table `outbox`, through the relay's own role: it sees all tenants' events only."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str) -> AsyncIterator[PostgresOutbox]:
        """The outbox of a database, for as long as the context lasts."""
        async with AsyncConnectionPool(address, min_size=0, max_size=2, open=False) as pool:
            yield cls(pool)

    async def deliver(
        self, publish: Callable[[Event], Awaitable[None]], *, limit: int
    ) -> Delivery:
        published = failed = 0
        async with (
            self._pool.connection() as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            # Locked until the commit: other relays skip these rows, and a crash frees them.
            await cursor.execute(
                "SELECT * FROM outbox WHERE due_at <= %s ORDER BY position LIMIT %s"
                " FOR UPDATE SKIP LOCKED",
                [datetime.now(UTC), limit],
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
                            "due_at": datetime.now(UTC) + retry_after(attempts),
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
    """Publishes what is due until `stop` is set; a failure is logged and tried again."""
    logger = logging.getLogger("relay")
    while not stop.is_set():
        try:
            delivery = await outbox.deliver(publisher.publish, limit=BATCH)
        except Exception:
            logger.exception("the outbox could not be read")
            delivery = Delivery(0, 0)
        if delivery.published == BATCH:
            continue  # there may be more that is due
        try:
            await asyncio.wait_for(stop.wait(), interval_s)
        except TimeoutError:
            continue


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
