"""A database for tests: made in the server of TEST_DATABASE_URL, and dropped again.

That address is one of a superuser on a server that holds nothing of worth. The database gets what
a real one has: an owner, and the two roles of the service that own nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from conftest import database, migrate, service_settings
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier


@dataclass(frozen=True)
class Addresses:
    """Where each role logs in; `admin` is the superuser, in the same database."""

    admin: str
    owner: str
    service: str
    relay: str


@asynccontextmanager
async def fresh_database(server: str) -> AsyncIterator[Addresses]:
    """A database that all migrations have run on."""
    name = f"test_{uuid4().hex[:12]}"
    roles = {role: f"{name}_{role}" for role in ("owner", "service", "relay")}
    async with await AsyncConnection.connect(server, autocommit=True) as admin:
        for role in roles.values():
            # A superuser that logs in by socket or trust needs no password of theirs.
            await admin.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(role)))
        await admin.execute(
            SQL("CREATE DATABASE {} OWNER {}").format(Identifier(name), Identifier(roles["owner"]))
        )
        try:
            at = {
                role: make_conninfo(server, dbname=name, user=user) for role, user in roles.items()
            }
            addresses = Addresses(make_conninfo(server, dbname=name), **at)
            await migrate.migrate_database(
                service_settings.MigrationSettings(
                    owner_database_url=addresses.owner,
                    database_url=addresses.service,
                    relay_database_url=addresses.relay,
                )
            )
            yield addresses
        finally:
            await admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
            for role in roles.values():
                await admin.execute(SQL("DROP ROLE {}").format(Identifier(role)))


async def empty_tables(addresses: Addresses) -> None:
    """Nothing of an earlier test is left, of no tenant."""
    async with await AsyncConnection.connect(database.in_schema(addresses.admin)) as admin:
        await admin.execute("TRUNCATE entities, idempotency_keys, outbox")
