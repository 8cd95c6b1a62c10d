"""Tenants on a real Postgres: row-level security holds where a handler forgets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from primitive_sdk.identity import Identity
from primitive_sdk.postgres import TenantDatabase, UnsafeDatabase, migrate
from primitive_sdk.tenancy import NoTenant, bound

from tests.runtime.postgres import Database, PostgresServer

ACME = Identity(subject="a", tenant_id="acme")
CONTOSO = Identity(subject="c", tenant_id="contoso")

SCHEMA = """
CREATE TABLE orders (
    tenant_id text NOT NULL DEFAULT current_setting('app.tenant_id'),
    id int NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON orders
    USING (tenant_id = current_setting('app.tenant_id', true))
    WITH CHECK (tenant_id = current_setting('app.tenant_id', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO orders_application;
"""


@pytest.fixture
def database(postgres: PostgresServer, tmp_path: Path) -> Database:
    """A migrated database with orders 1 and 2 of acme, and order 3 of contoso."""
    made = postgres.create_database(application="orders_application")
    (tmp_path / "0001_orders.sql").write_text(SCHEMA, encoding="utf-8")
    asyncio.run(migrate(made.owner, tmp_path))
    with psycopg.connect(made.superuser) as connection:
        connection.execute("INSERT INTO orders VALUES ('acme', 1), ('acme', 2), ('contoso', 3)")
    return made


Handler = Callable[[TenantDatabase], Awaitable[Any]]


def handled(database: Database, *requests: tuple[Identity, Handler], size: int = 1) -> list[Any]:
    """What each request's handler gave; they run one after another on a pool of `size`."""

    async def serve() -> list[Any]:
        answers = []
        async with TenantDatabase.open(database.application, max_size=size) as opened:
            for identity, handler in requests:
                with bound(identity):
                    answers.append(await handler(opened))
        return answers

    return asyncio.run(serve())


async def all_orders(database: TenantDatabase) -> list[tuple[str, int]]:
    """A handler that forgot its tenant filter."""
    async with database.transaction() as connection:
        cursor = await connection.execute("SELECT tenant_id, id FROM orders ORDER BY id")
        return await cursor.fetchall()


async def backend(database: TenantDatabase) -> int:
    """Which server process serves the connection."""
    async with database.transaction() as connection:
        row = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
        assert row is not None
        return int(row[0])


def test_a_handler_without_its_filter_still_sees_one_tenant(database: Database) -> None:
    answers = handled(database, (ACME, all_orders), (CONTOSO, all_orders), (ACME, all_orders))
    assert answers == [[("acme", 1), ("acme", 2)], [("contoso", 3)], [("acme", 1), ("acme", 2)]]


def test_a_handler_cannot_write_into_another_tenant(database: Database) -> None:
    async def write(opened: TenantDatabase) -> None:
        async with opened.transaction() as connection:
            await connection.execute("INSERT INTO orders VALUES ('contoso', 9)")

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        handled(database, (ACME, write))


def test_changing_and_deleting_everything_reaches_one_tenant(database: Database) -> None:
    async def wreck(opened: TenantDatabase) -> tuple[int, int]:
        async with opened.transaction() as connection:
            changed = await connection.execute("UPDATE orders SET id = id + 10")
            deleted = await connection.execute("DELETE FROM orders")
            return changed.rowcount, deleted.rowcount

    assert handled(database, (ACME, wreck), (CONTOSO, all_orders)) == [(2, 2), [("contoso", 3)]]


def test_a_transaction_outside_of_a_request_is_refused(database: Database) -> None:
    async def serve() -> None:
        async with TenantDatabase.open(database.application) as opened:
            with pytest.raises(NoTenant):
                await all_orders(opened)

    asyncio.run(serve())


def test_forced_security_binds_the_owner_too(database: Database) -> None:
    with psycopg.connect(database.owner) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)


def test_a_connection_without_a_tenant_sees_nothing(database: Database) -> None:
    with psycopg.connect(database.application) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)


def test_a_handler_that_commits_by_itself_sees_nothing_afterwards(database: Database) -> None:
    async def commits(opened: TenantDatabase) -> int:
        async with opened.transaction() as connection:
            await connection.execute("COMMIT")
            cursor = await connection.execute("SELECT FROM orders")
            seen = cursor.rowcount
            await connection.execute("BEGIN")
            return seen

    assert handled(database, (ACME, commits), (CONTOSO, all_orders)) == [0, [("contoso", 3)]]


def test_a_request_that_fails_is_rolled_back_and_leaves_no_tenant(database: Database) -> None:
    async def fails(opened: TenantDatabase) -> None:
        with pytest.raises(KeyError):
            async with opened.transaction() as connection:
                await connection.execute("INSERT INTO orders (id) VALUES (4)")
                raise KeyError

    answers = handled(database, (ACME, fails), (CONTOSO, all_orders), (ACME, all_orders))
    assert answers[1:] == [[("contoso", 3)], [("acme", 1), ("acme", 2)]]


def test_two_hundred_requests_of_mixed_tenants_over_four_connections_leak_nothing(
    database: Database,
) -> None:
    tenants = [f"tenant-{number}" for number in range(7)]
    with psycopg.connect(database.superuser) as connection:
        for number, tenant in enumerate(tenants):
            connection.execute(
                "INSERT INTO orders SELECT %s, generate_series(1, %s)", (tenant, number + 1)
            )

    def ends(number: int) -> str:
        if number % 10 == 0:
            return "failed"
        return "given up" if number % 9 == 0 else "answered"

    async def request(opened: TenantDatabase, number: int) -> tuple[set[str], int]:
        with bound(Identity(subject="x", tenant_id=tenants[number % 7])):
            async with opened.transaction() as connection:
                # Requests overlap and end out of order; every tenth fails, every ninth is
                # given up half-way.
                await connection.execute("SELECT pg_sleep(%s)", (number % 5 / 1000,))
                cursor = await connection.execute("SELECT tenant_id FROM orders")
                found = [row[0] for row in await cursor.fetchall()]
                if number % 10 == 0:
                    raise KeyError(number)
                if number % 9 == 0:
                    await asyncio.sleep(30)
                return set(found), len(found)

    async def serve() -> list[Any]:
        async with TenantDatabase.open(database.application, max_size=4, timeout_s=30) as opened:
            requests = [asyncio.ensure_future(request(opened, n)) for n in range(200)]

            async def give_up(number: int) -> None:
                await asyncio.sleep(0.05 + number / 400)
                # Again until it ends: Python 3.11's wait_for, which the pool waits with, loses a
                # cancellation that comes in the moment a connection does.
                while not requests[number].done():
                    requests[number].cancel()
                    await asyncio.sleep(0.05)

            cancels = [give_up(number) for number in range(200) if ends(number) == "given up"]
            results, *_ = await asyncio.gather(
                asyncio.gather(*requests, return_exceptions=True), *cancels
            )
            return list(results)

    results = asyncio.run(serve())
    for number, result in enumerate(results):
        if ends(number) == "failed":
            assert isinstance(result, KeyError)
        elif ends(number) == "given up":
            assert isinstance(result, asyncio.CancelledError)
        else:
            assert result == ({tenants[number % 7]}, number % 7 + 1)


LEFT_BEHIND = {
    "a tenant set for the session": "SELECT set_config('app.tenant_id', 'acme', false)",
    "a temporary table": "CREATE TEMPORARY TABLE copied AS SELECT * FROM orders",
    "a held cursor": "DECLARE copied CURSOR WITH HOLD FOR SELECT * FROM orders",
    "a search path": "SET search_path = pg_catalog",
    "row security switched off": "SET row_security = off",
}


@pytest.mark.parametrize("statement", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_a_connection_that_kept_session_state_is_closed(
    database: Database, statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def keeps(opened: TenantDatabase) -> None:
        async with opened.transaction() as connection:
            await connection.execute(statement.encode())

    with caplog.at_level(logging.WARNING, "psycopg.pool"):
        first, _, second, third, seen = handled(
            database,
            (ACME, backend),
            (ACME, keeps),
            (CONTOSO, backend),
            (CONTOSO, backend),
            (CONTOSO, all_orders),
        )
    assert second != first
    assert third == second  # a clean connection is lent again
    assert seen == [("contoso", 3)]
    assert "outlived its transaction" in caplog.text


UNSAFE = {
    "a superuser": ("LOGIN SUPERUSER", "superuser"),
    "one that bypasses security": ("LOGIN BYPASSRLS", "bypass row-level security"),
    "one that may create roles": ("LOGIN CREATEROLE", "create roles"),
}


def reasons(conninfo: str) -> str:
    async def open_it() -> None:
        async with TenantDatabase.open(conninfo):
            pass

    with pytest.raises(UnsafeDatabase) as refused:
        asyncio.run(open_it())
    return str(refused.value)


@pytest.mark.parametrize(("options", "reason"), UNSAFE.values(), ids=UNSAFE)
def test_a_role_that_bypasses_security_is_refused(
    postgres: PostgresServer, database: Database, options: str, reason: str
) -> None:
    role = options.rpartition(" ")[2].lower()
    postgres.create_role(role, options.removeprefix("LOGIN "))
    assert reason in reasons(postgres.conninfo(role, database.name))


def test_the_owner_of_a_table_is_refused(database: Database) -> None:
    assert "owns the table public.orders" in reasons(database.owner)


@pytest.fixture
def member(postgres: PostgresServer, database: Database) -> Iterator[Callable[[str], str]]:
    """Makes a role that is a member of another, and says how it connects."""
    made = f"member_of_{database.name}"
    postgres.create_role(made, "NOINHERIT")

    def of(role: str) -> str:
        with psycopg.connect(database.superuser) as connection:
            connection.execute(f"GRANT {role} TO {made}".encode())
        return postgres.conninfo(made, database.name)

    yield of


def test_a_role_that_may_become_the_owner_is_refused(
    database: Database, member: Callable[[str], str]
) -> None:
    owner = psycopg.conninfo.conninfo_to_dict(database.owner)["user"]
    assert "owns the table public.orders" in reasons(member(str(owner)))


def test_a_role_that_may_become_a_superuser_is_refused(member: Callable[[str], str]) -> None:
    assert "superuser" in reasons(member("postgres"))


@pytest.mark.parametrize("change", ["NO FORCE", "DISABLE"])
def test_a_reachable_table_without_forced_security_is_refused(
    database: Database, change: str
) -> None:
    with psycopg.connect(database.owner) as connection:
        connection.execute(f"ALTER TABLE orders {change} ROW LEVEL SECURITY".encode())
    assert "row-level security of public.orders" in reasons(database.application)


def test_the_ping_answers_while_the_server_does(database: Database) -> None:
    async def serve() -> None:
        async with TenantDatabase.open(database.application) as opened:
            await opened.ping()

    asyncio.run(serve())


def test_a_missing_server_is_reported_at_once(tmp_path: Path) -> None:
    async def open_it() -> None:
        async with TenantDatabase.open(f"host={tmp_path} dbname=a user=b"):
            pass

    with pytest.raises(psycopg.OperationalError):
        asyncio.run(open_it())
