"""Storage in SQLite. Every statement is bound by tenant; one connection a unit of work."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

from .entities import Draft, Record
from .repository import Created, IdempotencyConflict, NotFound, Page, VersionMismatch

_BUSY_TIMEOUT_S = 5.0
_KEYS_LIVE_FOR = timedelta(hours=24)
_COLUMNS = "position, id, version, name, attributes, created_at, updated_at"

Trace = Callable[[str], object]


def _now() -> datetime:
    return datetime.now(UTC)


class SqliteRepository:
    """A database file, made on first use. `trace` sees every statement, for tests."""

    def __init__(
        self, path: Path, *, clock: Callable[[], datetime] = _now, trace: Trace | None = None
    ) -> None:
        self._path = path
        self._clock = clock
        self._trace: Trace | None = None
        with self._work() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        with self._work() as connection:
            schema = files(__package__).joinpath("schema.sql").read_text("utf-8")
            for statement in schema.split(";"):
                connection.execute(statement)
        self._trace = trace

    def for_tenant(self, tenant_id: str) -> SqliteTenantRepository:
        return SqliteTenantRepository(tenant_id, self._work, self._clock)

    def check_ready(self) -> bool:
        try:
            with self._work() as connection:
                connection.execute("SELECT 1").fetchone()
        except sqlite3.Error:
            return False
        return True

    @contextmanager
    def _work(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        try:
            connection.set_trace_callback(self._trace)
            yield connection
        finally:
            if connection.in_transaction:
                connection.rollback()
            connection.close()


class SqliteTenantRepository:
    """One tenant's rows; the tenant is fixed when it is made."""

    def __init__(
        self,
        tenant_id: str,
        work: Callable[[], AbstractContextManager[sqlite3.Connection]],
        clock: Callable[[], datetime],
    ) -> None:
        if not tenant_id:
            raise ValueError("a repository needs a tenant")
        self._tenant_id = tenant_id
        self._work = work
        self._clock = clock

    def create(self, entity: str, draft: Draft, idempotency_key: str | None) -> Created:
        now = self._clock().isoformat()
        record = Record(str(uuid.uuid4()), 1, draft.name, draft.attributes, now, now)
        with self._work() as connection:
            connection.execute("BEGIN IMMEDIATE")
            if idempotency_key is not None:
                earlier = self._replay(connection, entity, draft, idempotency_key)
                if earlier is not None:
                    return Created(earlier, replayed=True)
            self._run(
                connection,
                "INSERT INTO records"
                " (tenant_id, entity, id, version, name, attributes, created_at, updated_at)"
                " VALUES (:tenant_id, :entity, :id, 1, :name, :attributes, :now, :now)",
                {
                    "entity": entity,
                    "id": record.id,
                    "name": draft.name,
                    "attributes": json.dumps(draft.attributes),
                    "now": now,
                },
            )
            if idempotency_key is not None:
                self._remember(connection, entity, draft, idempotency_key, record)
            connection.execute("COMMIT")
        return Created(record, replayed=False)

    def read(self, entity: str, record_id: str) -> Record:
        with self._work() as connection:
            return self._read(connection, entity, record_id)

    def list(self, entity: str, after_position: int, limit: int) -> Page:
        with self._work() as connection:
            rows = self._run(
                connection,
                f"SELECT {_COLUMNS} FROM records"
                " WHERE tenant_id = :tenant_id AND entity = :entity AND position > :after"
                " ORDER BY position LIMIT :limit",
                {"entity": entity, "after": after_position, "limit": limit + 1},
            ).fetchall()
        more = len(rows) > limit
        records = tuple(_record(row) for row in rows[:limit])
        return Page(records, rows[limit - 1][0] if more else None)

    def replace(self, entity: str, record_id: str, version: int, draft: Draft) -> Record:
        with self._work() as connection:
            connection.execute("BEGIN IMMEDIATE")
            changed = self._run(
                connection,
                "UPDATE records SET version = version + 1, name = :name,"
                " attributes = :attributes, updated_at = :now"
                " WHERE tenant_id = :tenant_id AND entity = :entity"
                " AND id = :id AND version = :version",
                {
                    "entity": entity,
                    "id": record_id,
                    "version": version,
                    "name": draft.name,
                    "attributes": json.dumps(draft.attributes),
                    "now": self._clock().isoformat(),
                },
            ).rowcount
            record = self._read(connection, entity, record_id)
            if not changed:
                raise VersionMismatch(record.version)
            connection.execute("COMMIT")
        return record

    def delete(self, entity: str, record_id: str, version: int) -> None:
        with self._work() as connection:
            connection.execute("BEGIN IMMEDIATE")
            record = self._read(connection, entity, record_id)
            if record.version != version:
                raise VersionMismatch(record.version)
            self._run(
                connection,
                "DELETE FROM records"
                " WHERE tenant_id = :tenant_id AND entity = :entity AND id = :id",
                {"entity": entity, "id": record_id},
            )
            connection.execute("COMMIT")

    def _run(
        self, connection: sqlite3.Connection, sql: str, values: Mapping[str, object]
    ) -> sqlite3.Cursor:
        return connection.execute(sql, {**values, "tenant_id": self._tenant_id})

    def _read(self, connection: sqlite3.Connection, entity: str, record_id: str) -> Record:
        row = self._run(
            connection,
            f"SELECT {_COLUMNS} FROM records"
            " WHERE tenant_id = :tenant_id AND entity = :entity AND id = :id",
            {"entity": entity, "id": record_id},
        ).fetchone()
        if row is None:
            raise NotFound(record_id)
        return _record(row)

    def _replay(
        self, connection: sqlite3.Connection, entity: str, draft: Draft, key: str
    ) -> Record | None:
        self._run(
            connection,
            "DELETE FROM idempotency_keys WHERE tenant_id = :tenant_id AND created_at < :oldest",
            {"oldest": (self._clock() - _KEYS_LIVE_FOR).isoformat()},
        )
        row = self._run(
            connection,
            "SELECT request_hash, response FROM idempotency_keys"
            " WHERE tenant_id = :tenant_id AND entity = :entity AND key = :key",
            {"entity": entity, "key": key},
        ).fetchone()
        if row is None:
            return None
        if row[0] != _hash_of(draft):
            raise IdempotencyConflict(key)
        return Record(**json.loads(row[1]))

    def _remember(
        self, connection: sqlite3.Connection, entity: str, draft: Draft, key: str, record: Record
    ) -> None:
        self._run(
            connection,
            "INSERT INTO idempotency_keys"
            " (tenant_id, entity, key, request_hash, response, created_at)"
            " VALUES (:tenant_id, :entity, :key, :hash, :response, :now)",
            {
                "entity": entity,
                "key": key,
                "hash": _hash_of(draft),
                "response": json.dumps(record.as_json()),
                "now": record.created_at,
            },
        )


def _record(row: tuple[int, str, int, str, str, str, str]) -> Record:
    _, record_id, version, name, attributes, created_at, updated_at = row
    return Record(record_id, version, name, json.loads(attributes), created_at, updated_at)


def _hash_of(draft: Draft) -> str:
    text = json.dumps([draft.name, draft.attributes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
