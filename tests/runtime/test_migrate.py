"""Migrations on a real Postgres: each once, in order, by one process at a time, never changed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from primitive_sdk.migrate import MigrationError, migrate

from tests.conftest import ROOT
from tests.runtime.postgres import Database, PostgresServer

SDK = ROOT / "pipeline" / "shared" / "sdk-python"


@pytest.fixture
def database(postgres: PostgresServer) -> Database:
    return postgres.create_database()


Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, statements: str) -> None:
        (tmp_path / name).write_text(statements, encoding="utf-8")

    return write_file


def applied(database: Database, folder: Path) -> tuple[str, ...]:
    return asyncio.run(migrate(database.owner, folder))


def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database.owner) as connection:
        return connection.execute(query.encode()).fetchall()


def test_each_file_runs_once_and_in_order(database: Database, tmp_path: Path, write: Write) -> None:
    write("0002_second.sql", "INSERT INTO steps VALUES (2);")
    write("0001_first.sql", "CREATE TABLE steps (n int); INSERT INTO steps VALUES (1);")
    write("README.md", "Not a migration.")
    assert applied(database, tmp_path) == ("0001_first.sql", "0002_second.sql")
    assert applied(database, tmp_path) == ()
    write("0003_third.sql", "INSERT INTO steps SELECT 10 * max(n) FROM steps; -- 100%")
    assert applied(database, tmp_path) == ("0003_third.sql",)
    assert rows(database, "SELECT n FROM steps") == [(1,), (2,), (20,)]


def test_processes_at_the_same_time_apply_each_file_once(
    database: Database, tmp_path: Path, write: Write
) -> None:
    write("0001_first.sql", "CREATE TABLE steps (n int); SELECT pg_sleep(0.2);")
    write("0002_second.sql", "INSERT INTO steps VALUES (1);")

    async def race() -> list[tuple[str, ...]]:
        return await asyncio.gather(*(migrate(database.owner, tmp_path) for _ in range(5)))

    results = asyncio.run(race())
    assert sorted(map(len, results)) == [0, 0, 0, 0, 2]
    assert rows(database, "SELECT count(*) FROM steps") == [(1,)]


def test_an_applied_file_that_changed_is_refused(
    database: Database, tmp_path: Path, write: Write
) -> None:
    write("0001_first.sql", "CREATE TABLE steps (n int);")
    applied(database, tmp_path)
    write("0001_first.sql", "CREATE TABLE steps (n bigint);")
    write("0002_second.sql", "INSERT INTO steps VALUES (1);")
    with pytest.raises(MigrationError, match=r"0001_first\.sql: changed after it was applied"):
        applied(database, tmp_path)
    assert rows(database, "SELECT count(*) FROM steps") == [(0,)]


def test_an_applied_file_that_is_gone_or_renamed_is_refused(
    database: Database, tmp_path: Path, write: Write
) -> None:
    write("0001_first.sql", "SELECT 1;")
    write("0002_second.sql", "SELECT 2;")
    applied(database, tmp_path)
    (tmp_path / "0002_second.sql").unlink()
    with pytest.raises(MigrationError, match=r"0002_second\.sql: applied, but no longer"):
        applied(database, tmp_path)
    write("0002_other.sql", "SELECT 2;")
    with pytest.raises(MigrationError, match=r"0002_second\.sql was applied in its place"):
        applied(database, tmp_path)


def test_a_failing_file_is_rolled_back_and_earlier_ones_stay(
    database: Database, tmp_path: Path, write: Write
) -> None:
    write("0001_first.sql", "CREATE TABLE steps (n int);")
    write("0002_second.sql", "INSERT INTO steps VALUES (1); SELECT 1/0;")
    with pytest.raises(MigrationError, match=r"0002_second\.sql: division by zero"):
        applied(database, tmp_path)
    assert rows(database, "SELECT count(*) FROM steps") == [(0,)]
    write("0002_second.sql", "INSERT INTO steps VALUES (1);")
    assert applied(database, tmp_path) == ("0002_second.sql",)


@pytest.mark.parametrize("ending", ["COMMIT;", "COMMIT; BEGIN;", "ROLLBACK; BEGIN;"])
def test_a_file_that_ends_its_transaction_is_refused(
    database: Database, tmp_path: Path, write: Write, ending: str
) -> None:
    write("0001_first.sql", f"CREATE TABLE steps (n int); {ending}")
    with pytest.raises(MigrationError, match=r"0001_first\.sql"):
        applied(database, tmp_path)
    assert rows(database, "SELECT count(*) FROM schema_migrations") == [(0,)]


@pytest.mark.parametrize(
    "names",
    [["0002_second.sql"], ["0001_a.sql", "0001_b.sql"], ["0001_a.sql", "0003_c.sql"], ["1_a.sql"]],
)
def test_a_folder_with_gaps_or_doubles_is_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;", encoding="utf-8")
    with pytest.raises(MigrationError):
        asyncio.run(migrate("host=/nonexistent", tmp_path))


def test_the_application_role_does_not_see_the_record(
    database: Database, tmp_path: Path, write: Write
) -> None:
    write("0001_first.sql", "SELECT 1;")
    applied(database, tmp_path)
    with (
        psycopg.connect(database.application) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT * FROM schema_migrations")


def run_command(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "primitive_sdk.migrate", *arguments],
        env={**os.environ, "PYTHONPATH": str(SDK), "MIGRATION_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_says_what_it_applied(database: Database, tmp_path: Path, write: Write) -> None:
    write("0001_first.sql", "SELECT 1;")
    done = run_command(database.owner, str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "applied 0001_first.sql",
        "1 applied, the schema is up to date",
    ]


def test_the_command_fails_when_a_file_does(
    database: Database, tmp_path: Path, write: Write
) -> None:
    write("0001_first.sql", "SELECT nothing;")
    done = run_command(database.owner, str(tmp_path))
    assert done.returncode == 1
    assert "0001_first.sql" in done.stderr
    assert run_command("", str(tmp_path)).returncode == 2
