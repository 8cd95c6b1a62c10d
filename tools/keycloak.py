"""A real Keycloak with the platform's realm, for tests and for trying things out.

    python3 tools/keycloak.py install          fetches it into .tools/, once
    python3 tools/keycloak.py start [--port N] runs it until Ctrl-C

Maven's own client fetches it from Maven's repository, pinned by SHA-256. It listens only on
127.0.0.1, keeps its database in memory and loses everything when it ends. Passwords are generated
at each start and are in no file of this repository.

Plain standard library. Java 17 or newer runs it (Keycloak, "Getting started with OpenJDK").
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
REALM_FILE = ROOT / "pipeline" / "shared" / "identity" / "realm.json"
REALM = "ameide"

VERSION = "26.4.0"
SHA256 = "1b6a11a2726ac8a8dc9c91d5fafe989a75ce4f1622d7f7b45c21d5bc16629c0a"
ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
MAVEN_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:2.8:get"
FETCH_TIMEOUT_S = 600
BUILD_TIMEOUT_S = 300
# About 15 s with two free cores, and several times that without.
START_TIMEOUT_S = 240
STOP_TIMEOUT_S = 20

# Set when the server is built, so that a start has nothing left to build.
BUILD_OPTIONS = ("--db=dev-mem",)
# Less compilation for a short-lived server, and no more memory than it needs.
JAVA = {"JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m", "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1"}


_NO_JAVA = "no java on PATH, nor JAVA_HOME, to run Keycloak with (Debian: openjdk-17-jre-headless)"


class KeycloakError(Exception):
    """Keycloak is not installed or did not start; the message says what is missing."""


@dataclass(frozen=True)
class Keycloak:
    """A running server, and the secrets of this one start."""

    url: str
    admin_password: str
    user_password: str
    admin_name: str = "admin"

    @property
    def issuer(self) -> str:
        """The issuer of the realm's tokens."""
        return f"{self.url}/realms/{REALM}"

    @property
    def jwks_url(self) -> str:
        """The address of the realm's public keys."""
        return f"{self.issuer}/protocol/openid-connect/certs"

    @property
    def token_url(self) -> str:
        """The address of the realm's token endpoint."""
        return f"{self.issuer}/protocol/openid-connect/token"


# --- installing -----------------------------------------------------------------------------------


def find(tools: Path = TOOLS) -> Path:
    """The folder of the installed Keycloak. Raises KeycloakError if it is not installed."""
    home = tools / f"keycloak-{VERSION}"
    if not _is_installed(home):
        raise KeycloakError(f"no Keycloak {VERSION} in {tools}: run `make setup-dev`")
    return home


def install(tools: Path = TOOLS) -> Path:
    """The folder of Keycloak, after fetching, unpacking and building it if needed."""
    home = tools / f"keycloak-{VERSION}"
    if _is_installed(home):
        return home
    tools.mkdir(parents=True, exist_ok=True)
    with (tools / ".keycloak.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_installed(home):
            return home
        if find_java() is None:
            raise KeycloakError(_NO_JAVA)
        archive = _fetch()
        unpacking = tools / ".keycloak"
        shutil.rmtree(unpacking, ignore_errors=True)
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(unpacking)
        [made] = unpacking.iterdir()
        for script in (made / "bin").glob("*.sh"):
            script.chmod(0o755)
        _run([str(made / "bin" / "kc.sh"), "build", *BUILD_OPTIONS], made, BUILD_TIMEOUT_S)
        (made / ".installed").write_text(_stamp(), encoding="ascii")
        shutil.rmtree(home, ignore_errors=True)
        made.replace(home)
        shutil.rmtree(unpacking)
    return home


def find_java() -> str | None:
    """The `java` that `kc.sh` uses: JAVA_HOME's, else the one on PATH."""
    folder = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=f"{folder}/bin" if folder else None)


def _stamp() -> str:
    return " ".join((SHA256, *BUILD_OPTIONS))


def _is_installed(home: Path) -> bool:
    with contextlib.suppress(OSError):
        return (home / ".installed").read_text(encoding="ascii") == _stamp()
    return False


def _fetch() -> Path:
    """The distribution in Maven's local repository, after Maven fetched it."""
    group, name, version, kind = ARTIFACT.split(":")
    repository = Path.home() / ".m2" / "repository"
    archive = repository / group.replace(".", "/") / name / version / f"{name}-{version}.{kind}"
    if not archive.exists():
        maven = shutil.which("mvn")
        if maven is None:
            raise KeycloakError("no mvn on PATH to fetch Keycloak with (Debian: maven)")
        with tempfile.TemporaryDirectory() as empty:
            command = [maven, "-q", "-B", f"-Dmaven.repo.local={repository}", MAVEN_GOAL]
            options = [f"-Dartifact={ARTIFACT}", "-Dtransitive=false"]
            _run([*command, *options], Path(empty), FETCH_TIMEOUT_S)
    with archive.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != SHA256:
        raise KeycloakError(f"{archive.name} has SHA-256 {found}, not the pinned one")
    return archive


def _run(command: list[str], folder: Path, timeout_s: float) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **JAVA},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise KeycloakError(f"not done after {timeout_s} s: {' '.join(command)}") from error
    if done.returncode:
        raise KeycloakError(f"failed: {' '.join(command)}\n{done.stdout[-4000:]}")


# --- running --------------------------------------------------------------------------------------


@contextlib.contextmanager
def running(
    home: Path, *, realm: Path = REALM_FILE, port: int = 0, lifetime_s: int = 0
) -> Iterator[Keycloak]:
    """A Keycloak with the realm imported, which ends with the block.

    It uses a free port unless `port` is set. `lifetime_s` ends it in any case, even if this process
    is killed. Raises KeycloakError.
    """
    if find_java() is None:
        raise KeycloakError(_NO_JAVA)
    port = port or _free_port()
    keycloak = Keycloak(
        url=f"http://127.0.0.1:{port}",
        admin_password=secrets.token_urlsafe(24),
        user_password=secrets.token_urlsafe(24),
    )
    with tempfile.TemporaryDirectory(prefix="keycloak-") as temporary:
        folder = Path(temporary)
        command = _instance(home, folder, realm, port)
        if lifetime_s:
            command = [shutil.which("timeout") or "timeout", "-k", "10", str(lifetime_s), *command]
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=_environment(folder, keycloak),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            _wait(process, keycloak, log)
            yield keycloak
        finally:
            stop(process)


def _instance(home: Path, folder: Path, realm: Path, port: int) -> list[str]:
    """The command that starts a server in `folder`; servers share only the program."""
    for name in ("bin", "providers", "tmp", "data/import"):
        (folder / name).mkdir(parents=True)
    shutil.copy(home / "bin" / "kc.sh", folder / "bin" / "kc.sh")
    shutil.copytree(home / "conf", folder / "conf")
    (folder / "lib").symlink_to(home / "lib")
    shutil.copy(realm, folder / "data" / "import" / "realm.json")
    return [
        str(folder / "bin" / "kc.sh"),
        "start",
        "--optimized",
        "--import-realm",
        "--cache=local",
        "--http-enabled=true",
        "--http-host=127.0.0.1",
        f"--http-port={port}",
        "--hostname-strict=false",
    ]


def _environment(folder: Path, keycloak: Keycloak) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "JAVA_HOME") if name in os.environ}
    return {
        **kept,
        **JAVA,
        "JAVA_OPTS_APPEND": f"{JAVA['JAVA_OPTS_APPEND']} -Djava.io.tmpdir={folder / 'tmp'}",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "KC_BOOTSTRAP_ADMIN_USERNAME": keycloak.admin_name,
        "KC_BOOTSTRAP_ADMIN_PASSWORD": keycloak.admin_password,
        # The realm file uses this variable as a password.
        "REALM_USER_PASSWORD": keycloak.user_password,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], keycloak: Keycloak, log: Path) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        with contextlib.suppress(OSError):
            direct.open(f"{keycloak.issuer}/.well-known/openid-configuration", timeout=5).close()
            return
        if process.poll() is not None or time.monotonic() > end:
            told = log.read_text(encoding="utf-8", errors="replace")[-4000:]
            raise KeycloakError(f"Keycloak did not start:\n{told}")
        time.sleep(0.2)


def stop(process: subprocess.Popen[Any], timeout_s: float = STOP_TIMEOUT_S) -> None:
    """Ends only the process group that was started here."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
            return


def main() -> int:
    parser = argparse.ArgumentParser(description="install or run Keycloak")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="fetch it into .tools/, once")
    start = commands.add_parser("start", help="run it until Ctrl-C")
    start.add_argument("--port", type=int, default=8180)
    arguments = parser.parse_args()
    try:
        home = install()
        if arguments.command == "install":
            return 0
        print("starting; this takes a while", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with running(home, port=arguments.port) as keycloak:
            print(f"issuer      {keycloak.issuer}")
            print(f"users       acme-engineer, acme-reader, contoso-engineer: {REALM}")
            print(f"  password  {keycloak.user_password}")
            print(f"console     {keycloak.url}/admin/  as {keycloak.admin_name}")
            print(f"  password  {keycloak.admin_password}", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except (KeycloakError, OSError) as error:
        print(f"keycloak: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
