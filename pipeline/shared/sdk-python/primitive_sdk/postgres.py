"""Postgres for many tenants: each transaction sets the tenant that row-level security reads.

Tables have a policy over `current_setting('app.tenant_id', true)`, enabled *and forced*
(PostgreSQL, "Row Security Policies"). The setting is local to the transaction, so it is gone when
the connection goes back to the pool; a connection on which anything else outlived its transaction
is closed instead of lent to the next tenant. A role that row-level security does not bind is
refused before the first request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from psycopg import AsyncConnection, Error
from psycopg_pool import AsyncConnectionPool

from primitive_sdk.migrate import MigrationError, migrate
from primitive_sdk.tenancy import current_identity

__all__ = ["MigrationError", "TenantDatabase", "UnsafeDatabase", "migrate"]

# Each row is one reason why row-level security would not hold for this connection. Membership
# counts as much as being: a member may take the role at any time (SET ROLE).
_REASONS = """
SELECT 'the role differs from the one that logged in'
 WHERE current_user <> session_user
UNION ALL
SELECT format('the role %I is or may become a superuser', rolname) FROM pg_roles
 WHERE rolsuper AND pg_has_role(session_user, oid, 'MEMBER')
UNION ALL
SELECT format('the role %I may bypass row-level security', rolname) FROM pg_roles
 WHERE rolbypassrls AND pg_has_role(session_user, oid, 'MEMBER')
UNION ALL
SELECT format('the role %I may create roles', rolname) FROM pg_roles
 WHERE rolcreaterole AND pg_has_role(session_user, oid, 'MEMBER')
UNION ALL
(SELECT format('the role owns the table %I.%I, or may become its owner', n.nspname, c.relname)
   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'f') AND pg_has_role(session_user, c.relowner, 'MEMBER')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_t%'
  ORDER BY 1 LIMIT 5)
UNION ALL
(SELECT format('row-level security of %I.%I is not enabled and forced', n.nspname, c.relname)
   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
  WHERE c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
    AND has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE')
    AND has_schema_privilege(n.oid, 'USAGE')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  ORDER BY 1 LIMIT 5)
"""

# What may outlive a transaction and show one tenant's rows or rights to the next: the setting, a
# role or search path that was set, temporary tables, cursors that are held open.
_LEFT_BEHIND = """
SELECT coalesce(current_setting('app.tenant_id', true), '') <> ''
    OR current_user <> session_user
    OR current_setting('search_path') <> %(search_path)s
    OR current_setting('row_security') <> 'on'
    OR pg_my_temp_schema() <> 0
    OR EXISTS (SELECT FROM pg_cursors WHERE is_holdable)
"""


class UnsafeDatabase(Exception):
    """Row-level security would not hold here; `reasons` say why."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class _LeftBehind(Exception):
    """The connection kept something of its last transaction; the pool closes it."""


class TenantDatabase:
    """A pool of connections that are lent for one transaction of one tenant at a time."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        conninfo: str,
        *,
        min_size: int = 1,
        max_size: int = 8,
        timeout_s: float = 10.0,
    ) -> AsyncIterator[Self]:
        """The database behind `conninfo`, with a pool of `min_size` to `max_size` connections.

        `timeout_s` bounds connecting and the wait for a free connection. Raises UnsafeDatabase if
        the role is not bound by row-level security or a reachable table with a column `tenant_id`
        does not force it, psycopg.Error or TimeoutError if there is no connection.
        """
        async with asyncio.timeout(timeout_s):
            search_path = await _check(conninfo)

        async def reset(connection: AsyncConnection[Any]) -> None:
            await _refuse_left_behind(connection, search_path)

        pool = AsyncConnectionPool[AsyncConnection[Any]](
            conninfo,
            kwargs={"autocommit": True},
            min_size=min_size,
            max_size=max_size,
            timeout=timeout_s,
            reset=reset,
            open=False,
        )
        async with pool:
            await pool.wait(timeout_s)
            yield cls(pool)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection inside a transaction of the current identity's tenant.

        Commits at the end, rolls back if the body raises. Raises NoTenant outside of a request.
        """
        tenant_id = current_identity().tenant_id
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute("SELECT set_config('app.tenant_id', %s, true)", (tenant_id,))
            yield connection

    async def ping(self) -> None:
        """Returns if the database answers, as a readiness check wants it. Raises psycopg.Error."""
        async with self._pool.connection() as connection:
            await connection.execute("SELECT 1")


async def _check(conninfo: str) -> str:
    """The search path of a new connection, once no reason stands against the database."""
    async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
        reasons = await (await connection.execute(_REASONS)).fetchall()
        if reasons:
            raise UnsafeDatabase(tuple(str(reason) for (reason,) in reasons))
        row = await (await connection.execute("SELECT current_setting('search_path')")).fetchone()
        assert row is not None  # a SELECT without FROM has one row
        return str(row[0])


async def _refuse_left_behind(connection: AsyncConnection[Any], search_path: str) -> None:
    """Called by the pool when a connection comes back; raising makes the pool close it."""
    try:
        cursor = await connection.execute(_LEFT_BEHIND, {"search_path": search_path})
        row = await cursor.fetchone()
    except Error as error:
        raise _LeftBehind(f"the connection does not answer: {error}") from error
    if row is None or row[0]:
        raise _LeftBehind("a setting, temporary table or cursor outlived its transaction")
