"""Brings a schema up to date: numbered SQL files, each once, in order, one process at a time.

    MIGRATION_DATABASE_URL=... python -m primitive_sdk.migrate FOLDER

Files are named `0001_subject.sql`, numbered from 1 without a gap. Each runs in a transaction
together with the record that it ran, so it ran wholly or not at all. An applied file never
changes: its SHA-256 is kept and compared. The connection's role owns what the files make; it is
not the role that serves requests.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection, Error

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
# How long to wait for another process that migrates the same schema.
_LOCK_TIMEOUT = "120s"

# Only the owner reads it: PUBLIC has no privilege on a new table.
_RECORD = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(Exception):
    """The schema cannot be brought up to date; says which file and why."""


@dataclass(frozen=True)
class Migration:
    """One file of the folder."""

    number: int
    name: str
    statements: bytes

    @property
    def sha256(self) -> str:
        """The file's SHA-256 in hex."""
        return hashlib.sha256(self.statements).hexdigest()


def read_migrations(folder: Path) -> tuple[Migration, ...]:
    """The folder's migrations, in order. Raises MigrationError for any other SQL file."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix != ".sql":
            continue
        matched = _NAME.fullmatch(path.name)
        if matched is None:
            raise MigrationError(f"{path.name}: not named like 0001_subject.sql")
        found.append(Migration(int(matched[1]), path.name, path.read_bytes()))
    for expected, migration in enumerate(found, start=1):
        if migration.number != expected:
            raise MigrationError(f"{migration.name}: number {expected:04} is expected here")
    return tuple(found)


async def migrate(conninfo: str, folder: Path) -> tuple[str, ...]:
    """The names of the files that were applied now; empty if the schema was up to date.

    Works in the first schema of the connection's search path. Raises MigrationError; what was
    applied before the failing file stays.
    """
    migrations = read_migrations(folder)
    try:
        async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
            await _lock(connection)
            await connection.execute(_RECORD)
            pending = await _pending(connection, migrations)
            for migration in pending:
                await _apply(connection, migration)
    except Error as error:
        raise MigrationError(str(error).strip()) from error
    return tuple(migration.name for migration in pending)


async def _lock(connection: AsyncConnection[Any]) -> None:
    """Takes the lock of this schema's migrations, until the connection ends."""
    row = await (await connection.execute("SELECT current_schema()")).fetchone()
    schema = None if row is None else row[0]
    if schema is None:
        raise MigrationError("no schema of the search path exists")
    digest = hashlib.sha256(f"primitive_sdk.migrate {schema}".encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    await connection.execute("SELECT set_config('lock_timeout', %s, false)", (_LOCK_TIMEOUT,))
    await connection.execute("SELECT pg_advisory_lock(%s)", (key,))
    await connection.execute("RESET lock_timeout")


async def _pending(
    connection: AsyncConnection[Any], migrations: tuple[Migration, ...]
) -> tuple[Migration, ...]:
    cursor = await connection.execute(
        "SELECT number, name, sha256 FROM schema_migrations ORDER BY number"
    )
    applied = await cursor.fetchall()
    if len(applied) > len(migrations):
        raise MigrationError(f"{applied[len(migrations)][1]}: applied, but no longer in the folder")
    for (number, name, sha256), migration in zip(applied, migrations, strict=False):
        if (number, name) != (migration.number, migration.name):
            raise MigrationError(f"{migration.name}: {name} was applied in its place")
        if sha256 != migration.sha256:
            raise MigrationError(f"{name}: changed after it was applied; add a new file instead")
    return migrations[len(applied) :]


async def _apply(connection: AsyncConnection[Any], migration: Migration) -> None:
    try:
        async with connection.transaction():
            # A savepoint: it is gone if the file ended the transaction, and its release fails.
            async with connection.transaction():
                await connection.execute(migration.statements)
            await connection.execute(
                "INSERT INTO schema_migrations (number, name, sha256) VALUES (%s, %s, %s)",
                (migration.number, migration.name, migration.sha256),
            )
    except Error as error:
        raise MigrationError(f"{migration.name}: {str(error).strip()}") from error


def main(arguments: list[str]) -> int:
    """The exit code: 0 up to date, 1 failed, 2 called wrongly."""
    conninfo = os.environ.get("MIGRATION_DATABASE_URL", "")
    if len(arguments) != 1 or not conninfo:
        print("usage: MIGRATION_DATABASE_URL=... python -m primitive_sdk.migrate FOLDER")
        return 2
    try:
        applied = asyncio.run(migrate(conninfo, Path(arguments[0])))
    except (MigrationError, OSError) as error:
        print(f"migrate: {error}", file=sys.stderr)
        return 1
    for name in applied:
        print(f"applied {name}")
    print(f"{len(applied)} applied, the schema is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
