"""A real Postgres for tests: new, empty, on a Unix socket in a temporary folder, and bounded.

Postgres refuses to run as root, so root starts it as another user. `timeout` ends it in any case,
even if the test run is killed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

LIFETIME_S = 1800
START_TIMEOUT_S = 180
STOP_TIMEOUT_S = 60
# Where Debian's packages put what is not on PATH.
DEBIAN = Path("/usr/lib/postgresql")
# Durability is of no use to a database that is thrown away.
OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "listen_addresses": "",
}


class NoPostgres(Exception):
    """There is no Postgres here, or it did not start; says which and why."""


@dataclass(frozen=True)
class Database:
    """A new database, and how its roles connect to it."""

    name: str
    # The superuser, for what a test looks at or breaks on purpose.
    superuser: str
    # Owns the schema and runs the migrations.
    owner: str
    # What the primitive serves with: owns nothing.
    application: str


@dataclass
class PostgresServer:
    """A running server. Local connections need no password."""

    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def conninfo(self, user: str = "postgres", database: str = "postgres") -> str:
        """How this user connects to this database."""
        return make_conninfo(host=str(self.folder), user=user, dbname=database)

    def create_database(self, *, owner: str = "", application: str = "") -> Database:
        """A new database whose owner and application role are of these names, or made-up ones."""
        number = next(self._numbers)
        name = f"database_{number}"
        owner, application = owner or f"owner_{number}", application or f"application_{number}"
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            for role in (owner, application):
                self.create_role(role)
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(name), sql.Identifier(owner)
                )
            )
        return Database(
            name,
            superuser=self.conninfo(database=name),
            owner=self.conninfo(owner, name),
            application=self.conninfo(application, name),
        )

    def create_role(self, role: str, options: str = "") -> None:
        """Makes the role unless it is there; `options` as in CREATE ROLE, such as BYPASSRLS."""
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,))
            if found.fetchone() is None:
                statement = f"CREATE ROLE {{}} LOGIN {options}".encode()
                connection.execute(sql.SQL(statement.decode()).format(sql.Identifier(role)))


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server that ends with the body. Raises NoPostgres."""
    binaries = find_binaries()
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # socket paths are short
    try:
        account = _account(folder)
        data = folder / "data"
        _initialise(binaries, data, account)
        command = [shutil.which("timeout") or "timeout", "-s", "INT", str(LIFETIME_S)]
        command += [str(binaries / "postgres"), "-D", str(data), "-k", str(folder)]
        command += [f"-c{name}={value}" for name, value in OPTIONS.items()]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=_environment(),
                **account,
            )
        try:
            running = PostgresServer(folder)
            _wait(server, running, folder / "log")
            yield running
        finally:
            # `timeout` passes it on; it means: roll back, disconnect everybody, end.
            server.send_signal(signal.SIGINT)
            try:
                server.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                server.send_signal(signal.SIGQUIT)
                server.wait(STOP_TIMEOUT_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_binaries() -> Path:
    """The folder of `initdb` and `postgres`: the newest of Debian's, or that on PATH."""
    versions = sorted(
        (path for path in DEBIAN.glob("*/bin") if (path / "initdb").exists()),
        key=lambda path: int(path.parent.name),
    )
    if versions:
        return versions[-1]
    found = shutil.which("initdb")
    if found is None:
        raise NoPostgres("no initdb: install PostgreSQL 15 or newer (Debian: postgresql)")
    return Path(found).resolve().parent


def _account(folder: Path) -> dict[str, int | list[int]]:
    """For Popen: who runs the server, and owns the folder from now on."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise NoPostgres("Postgres does not run as root, and there is no other user to run it as")


def _initialise(binaries: Path, data: Path, account: dict[str, int | list[int]]) -> None:
    command = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust"]
    command += ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=data.parent,
        env=_environment(),
        timeout=START_TIMEOUT_S,
        check=False,
        **account,  # type: ignore[call-overload]
    )
    if done.returncode:
        raise NoPostgres(f"initdb failed: {done.stderr}")


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _wait(server: subprocess.Popen[bytes], running: PostgresServer, log: Path) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(running.conninfo()).close()
            return
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > end:
                told = log.read_text(encoding="utf-8", errors="replace")
                raise NoPostgres(f"Postgres did not start: {error}\n{told}") from error
        time.sleep(0.05)
