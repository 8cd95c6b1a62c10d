"""Storage in Postgres. Tenants are kept apart twice: by every statement, and by the database.

The SDK's database opens transactions that are bound to the tenant of the request. Row-level
security (`migrations/`) then shows no other rows, even to a statement that forgets its tenant.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, LiteralString

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

from primitive_sdk.postgres import TenantDatabase
from primitive_sdk.tenancy import current_identity

from .entities import Draft, Record
from .events import Change, event_of
from .paging import Cursor
from .store import (
    KEYS_LIVE_FOR,
    Created,
    KeyReused,
    NotFound,
    Page,
    VersionChanged,
    hash_of_request,
    page_of,
)

_BEGINNING = Cursor(datetime(1, 1, 1, tzinfo=UTC), str(uuid.UUID(int=0)))


def _now() -> datetime:
    return datetime.now(UTC)


class _Work:
    """One transaction of one tenant: statements, each with the tenant among its values."""

    def __init__(self, connection: AsyncConnection[Any], tenant_id: str) -> None:
        self.tenant_id = tenant_id
        self._connection = connection

    async def run(self, sql: LiteralString, values: Mapping[str, object]) -> AsyncCursor[DictRow]:
        cursor = self._connection.cursor(row_factory=dict_row)
        return await cursor.execute(sql, {**values, "tenant_id": self.tenant_id})


class PostgresStore:
    """The tables of `migrations/`."""

    def __init__(self, database: TenantDatabase, *, clock: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._clock = clock

    @asynccontextmanager
    async def _work(self) -> AsyncIterator[_Work]:
        tenant_id = current_identity().tenant_id
        async with self._database.transaction() as connection:
            yield _Work(connection, tenant_id)

    async def create(self, entity_type: str, draft: Draft, key: str) -> Created:
        now = self._clock()
        record = Record(str(uuid.uuid4()), 1, draft.name, draft.attributes, now, now)
        async with self._work() as work:
            if key:
                earlier = await self._claim(work, entity_type, draft, key, record)
                if earlier is not None:
                    return Created(earlier, replayed=True)
            await work.run(
                "INSERT INTO entities"
                " (tenant_id, entity_type, id, version, name, attributes, created_at, updated_at)"
                " VALUES (%(tenant_id)s, %(type)s, %(id)s, 1, %(name)s, %(attributes)s,"
                " %(now)s, %(now)s)",
                {
                    "type": entity_type,
                    "id": record.id,
                    "name": draft.name,
                    "attributes": Jsonb(draft.attributes),
                    "now": now,
                },
            )
            await self._add_event(work, entity_type, record, "created")
        return Created(record, replayed=False)

    async def read(self, entity_type: str, entity_id: str) -> Record:
        async with self._work() as work:
            return await self._read(work, entity_type, entity_id)

    async def list_page(self, entity_type: str, after: Cursor | None, limit: int) -> Page:
        start = after or _BEGINNING
        async with self._work() as work:
            rows = await work.run(
                "SELECT * FROM entities"
                " WHERE tenant_id = %(tenant_id)s AND entity_type = %(type)s"
                " AND (created_at, id) > (%(created_at)s, %(id)s)"
                " ORDER BY created_at, id LIMIT %(limit)s",
                {
                    "type": entity_type,
                    "created_at": start.created_at,
                    "id": start.id,
                    "limit": limit + 1,
                },
            )
            return page_of([_record(row) async for row in rows], limit)

    async def update(self, entity_type: str, entity_id: str, version: int, draft: Draft) -> Record:
        async with self._work() as work:
            rows = await work.run(
                "UPDATE entities SET version = version + 1, name = %(name)s,"
                " attributes = %(attributes)s, updated_at = %(now)s"
                " WHERE tenant_id = %(tenant_id)s AND entity_type = %(type)s"
                " AND id = %(id)s AND version = %(version)s RETURNING *",
                {
                    "type": entity_type,
                    "id": entity_id,
                    "version": version,
                    "name": draft.name,
                    "attributes": Jsonb(draft.attributes),
                    "now": self._clock(),
                },
            )
            row = await rows.fetchone()
            if row is None:
                await self._read(work, entity_type, entity_id)
                raise VersionChanged(entity_id)
            record = _record(row)
            await self._add_event(work, entity_type, record, "updated")
        return record

    async def delete(self, entity_type: str, entity_id: str, version: int) -> None:
        async with self._work() as work:
            rows = await work.run(
                "DELETE FROM entities"
                " WHERE tenant_id = %(tenant_id)s AND entity_type = %(type)s"
                " AND id = %(id)s AND version = %(version)s RETURNING *",
                {"type": entity_type, "id": entity_id, "version": version},
            )
            row = await rows.fetchone()
            if row is None:
                await self._read(work, entity_type, entity_id)
                raise VersionChanged(entity_id)
            await self._add_event(work, entity_type, _record(row), "deleted")

    async def _read(self, work: _Work, entity_type: str, entity_id: str) -> Record:
        rows = await work.run(
            "SELECT * FROM entities"
            " WHERE tenant_id = %(tenant_id)s AND entity_type = %(type)s AND id = %(id)s",
            {"type": entity_type, "id": entity_id},
        )
        row = await rows.fetchone()
        if row is None:
            raise NotFound(entity_id)
        return _record(row)

    async def _claim(
        self, work: _Work, entity_type: str, draft: Draft, key: str, record: Record
    ) -> Record | None:
        """What the key made before; None if it is new, and then it stands for `record`.

        A request with the same key that is under way elsewhere is waited for by the INSERT.
        """
        request_hash = hash_of_request(entity_type, draft)
        await work.run(
            "DELETE FROM idempotency_keys"
            " WHERE tenant_id = %(tenant_id)s AND created_at < %(oldest)s",
            {"oldest": record.created_at - KEYS_LIVE_FOR},
        )
        added = await work.run(
            "INSERT INTO idempotency_keys (tenant_id, key, request_hash, response, created_at)"
            " VALUES (%(tenant_id)s, %(key)s, %(hash)s, %(response)s, %(now)s)"
            " ON CONFLICT DO NOTHING",
            {
                "key": key,
                "hash": request_hash,
                "response": Jsonb(_as_json(record)),
                "now": record.created_at,
            },
        )
        if added.rowcount:
            return None
        rows = await work.run(
            "SELECT request_hash, response FROM idempotency_keys"
            " WHERE tenant_id = %(tenant_id)s AND key = %(key)s",
            {"key": key},
        )
        row = await rows.fetchone()
        if row is None or row["request_hash"] != request_hash:
            raise KeyReused(key)
        return _record(row["response"])

    async def _add_event(
        self, work: _Work, entity_type: str, record: Record, change: Change
    ) -> None:
        event = event_of(work.tenant_id, entity_type, record, change, self._clock())
        await work.run(
            "INSERT INTO outbox (tenant_id, id, entity_type, entity_id, version, change,"
            " occurred_at, name, attributes, due_at)"
            " VALUES (%(tenant_id)s, %(id)s, %(type)s, %(entity_id)s, %(version)s, %(change)s,"
            " %(now)s, %(name)s, %(attributes)s, %(now)s)",
            {
                "id": event.id,
                "type": entity_type,
                "entity_id": record.id,
                "version": event.version,
                "change": change,
                "now": event.occurred_at,
                "name": record.name,
                "attributes": Jsonb(record.attributes),
            },
        )


def _record(row: Mapping[str, Any]) -> Record:
    """The record in a row, or in what an idempotency key remembers."""
    created_at, updated_at = row["created_at"], row["updated_at"]
    if isinstance(created_at, str):
        created_at = datetime.fromisoformat(created_at)
        updated_at = datetime.fromisoformat(updated_at)
    return Record(
        str(row["id"]),
        row["version"],
        row["name"],
        row["attributes"],
        created_at.astimezone(UTC),
        updated_at.astimezone(UTC),
    )


def _as_json(record: Record) -> dict[str, object]:
    return {
        "id": record.id,
        "version": record.version,
        "name": record.name,
        "attributes": record.attributes,
        "created_at": record.created_at.isoformat(),
        "updated_at": record.updated_at.isoformat(),
    }
