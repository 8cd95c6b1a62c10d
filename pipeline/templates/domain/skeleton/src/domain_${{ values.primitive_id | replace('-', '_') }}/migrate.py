"""Brings the database to what this version needs: `python -m` with the name of this module.

It logs in as the owner of the tables, whose address the service itself never has, and lets the
service's own roles do what `grants.sql` says and no more.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import as_file, files

from psycopg import AsyncConnection, Error
from psycopg.sql import SQL, Identifier

from primitive_sdk.postgres import MigrationError, migrate
from primitive_sdk.settings import SettingsError, read_settings

from .database import SCHEMA, in_schema, role_of
from .entities import PRIMITIVE
from .settings import MigrationSettings


async def migrate_database(settings: MigrationSettings) -> tuple[str, ...]:
    """The names of the migrations that ran; none for a database that is up to date.

    Raises SettingsError, MigrationError, psycopg.Error.
    """
    application, relay = check_roles(settings)
    owner = in_schema(
        settings.owner_database_url,
        {"app.application_role": application, "app.relay_role": relay},
    )
    async with _locked(owner) as connection:
        schema = SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(SCHEMA))
        await connection.execute(schema)
    with as_file(files(__package__).joinpath("migrations")) as folder:
        done = await migrate(owner, folder)
    async with _locked(owner) as connection:
        grants = files(__package__).joinpath("grants.sql").read_text("utf-8")
        await connection.execute(grants.encode())
    return done


def check_roles(settings: MigrationSettings) -> tuple[str, str]:
    """The roles of the service and, if there is one, of the relay. Raises SettingsError.

    The relay sees events of all tenants, so the service must not be able to log in as it.
    """
    owner = role_of(settings.owner_database_url)
    application = role_of(settings.database_url)
    relay = role_of(settings.relay_database_url)
    problems = []
    if not application:
        problems.append("DATABASE_URL names no role")
    if settings.relay_database_url and not relay:
        problems.append("RELAY_DATABASE_URL names no role")
    roles = [role for role in (owner, application, relay) if role]
    if len(set(roles)) < len(roles):
        problems.append("owner, service and relay log in as roles of their own")
    if problems:
        raise SettingsError(tuple(problems))
    return application, relay


@asynccontextmanager
async def _locked(address: str) -> AsyncIterator[AsyncConnection]:
    """A transaction beside which no other migration of this schema runs; it is committed."""
    async with await AsyncConnection.connect(address) as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [SCHEMA])
        yield connection


def main() -> int:
    """The exit code: 0 when the database is as this version needs it."""
    try:
        settings = read_settings(MigrationSettings)
        done = asyncio.run(migrate_database(settings))
    except SettingsError as error:
        print(f"{PRIMITIVE}: {error}", file=sys.stderr)
        return 2
    except (MigrationError, Error) as error:
        print(f"{PRIMITIVE}: {error}", file=sys.stderr)
        return 1
    print(f"{PRIMITIVE}: {', '.join(done) if done else 'nothing to migrate'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
