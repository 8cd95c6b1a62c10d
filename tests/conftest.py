"""Isolation: no test sees the user's home, git configuration, locale, time zone or umask.

The environment is replaced before any test module is imported, so child processes get it too. A
write to the real home fails the test that made it: an audit hook sees writes of this process, and
time stamps of the files that git and the tools keep there show writes of child processes.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.support.docker_daemon import Docker

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"

# Names of the environment that would change what git, Python or the tools do.
FOREIGN_PREFIXES = (
    "GIT_",
    "LC_",
    "PIPELINE_",
    "HELM_",
    "KUBE",
    "XDG_",
    "GITHUB_",
    "GH_",
    "BUILDAH_",
)
FOREIGN_NAMES = ("LANG", "LANGUAGE", "TZ", "EMAIL", "EDITOR", "PAGER", "NO_COLOR", "FORCE_COLOR")

# What git and the tools would leave in a home that is not theirs.
TRIPWIRES = (
    ".gitconfig",
    ".git-credentials",
    ".config/git",
    ".config/helm",
    ".config/kustomize",
    ".config/pipeline",
    ".cache/helm",
    ".cache/pipeline",
    ".local/share/helm",
    ".local/share/pipeline",
    ".docker",
    ".kube",
)

settings.register_profile(
    "pipeline",
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],  # which judges by the clock
)
settings.register_profile("ci", settings.get_profile("pipeline"), derandomize=True)


class HomeGuard:
    """Remembers writes of this process below the real home."""

    def __init__(self, homes: set[Path], allowed: set[Path]) -> None:
        self._homes = tuple(f"{home}{os.sep}" for home in homes)
        self._allowed = tuple(f"{path}{os.sep}" for path in allowed)
        self.writes: list[str] = []

    def hook(self, event: str, arguments: tuple[object, ...]) -> None:
        """The audit hook: sees every open and every change of a folder."""
        if event == "open":
            path, _mode, flags = arguments
            writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            if isinstance(flags, int) and flags & writes:
                self._note(path)
        elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.rename"):
            for path in arguments[:2]:
                self._note(path)

    def _note(self, path: object) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 # resolve() would open files
        if whole.startswith(self._homes) and not whole.startswith(self._allowed):
            self.writes.append(whole)


def real_homes() -> set[Path]:
    """The homes that tests must leave alone: by the user database and by the environment."""
    homes = {Path(pwd.getpwuid(os.getuid()).pw_dir)}
    # Workers of a parallel run start with the isolated home; their controller tells the real one.
    told = os.environ.get("TESTS_REAL_HOME") or os.environ.get("HOME")
    if told:
        homes.add(Path(told))
        os.environ["TESTS_REAL_HOME"] = told
    return {home.resolve() for home in homes if home != Path("/")}


def isolate_environment(home: Path) -> None:
    """Gives this process and its children an environment that is the same everywhere."""
    for name in list(os.environ):
        if name.startswith(FOREIGN_PREFIXES) or name in FOREIGN_NAMES:
            del os.environ[name]
    os.environ.update(
        HOME=str(home),
        XDG_CACHE_HOME=str(home / ".cache"),
        XDG_CONFIG_HOME=str(home / ".config"),
        XDG_DATA_HOME=str(home / ".local" / "share"),
        XDG_STATE_HOME=str(home / ".local" / "state"),
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CONFIG_GLOBAL=os.devnull,
        GIT_TERMINAL_PROMPT="0",
        LC_ALL="C.UTF-8",
        TZ="UTC",
        PIPELINE_TOOLS=str(TOOLS),
        PATH=os.pathsep.join([str(TOOLS / "bin"), os.environ.get("PATH", os.defpath)]),
    )
    os.umask(0o022)


def write_signing_key(path: Path) -> None:
    """The key that all worlds of tests sign with: always the same, so that ids are."""
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"the tests' key").digest())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def tripwires(homes: set[Path]) -> dict[Path, int]:
    """When each file that tools keep in a home was last changed, in nanoseconds."""
    seen = {}
    for home in homes:
        for name in TRIPWIRES:
            path = home / name
            if path.exists():
                seen[path] = path.stat().st_mtime_ns
    return seen


_HOMES = real_homes()
_TEMPORARY = Path(tempfile.gettempdir()).resolve()
_HOME = Path(tempfile.mkdtemp(prefix="pipeline-tests-home-"))
_GUARD = HomeGuard(
    _HOMES,
    allowed={ROOT, _TEMPORARY, *(Path(path).resolve() for path in (sys.prefix, sys.base_prefix))},
)
_SIGNING_KEY = _HOME / "signing-key.pem"
_CI = bool(os.environ.get("CI"))
# Read here, since the environment of tests has none of it.
KEEP_WORLD = bool(os.environ.get("PIPELINE_KEEP_WORLD"))

isolate_environment(_HOME)
write_signing_key(_SIGNING_KEY)
os.environ["PIPELINE_SIGNING_KEY_FILE"] = str(_SIGNING_KEY)
sys.addaudithook(_GUARD.hook)


def pytest_configure() -> None:
    settings.load_profile("ci" if _CI else "pipeline")


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def untouched_home() -> Iterator[None]:
    """Fails a test that wrote to the real home, itself or by a child process."""
    _GUARD.writes.clear()
    before = tripwires(_HOMES)
    yield
    assert not _GUARD.writes, f"the test wrote to the real home: {sorted(set(_GUARD.writes))}"
    after = tripwires(_HOMES)
    changed = sorted(
        str(path) for path in before.keys() | after if before.get(path) != after.get(path)
    )
    assert not changed, f"the test, or a process that it started, changed {changed}"


@pytest.fixture
def home() -> Path:
    """The isolated home that every test of this process has."""
    return _HOME


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """A Docker of this process, which `docker` on PATH asks. Needs what `make image` sets up."""
    # Not before the environment is replaced.
    from tests.support.docker_daemon import serve_docker

    folder = tmp_path_factory.mktemp("docker")
    with serve_docker(folder) as served, pytest.MonkeyPatch.context() as changed:
        changed.setenv("DOCKER_HOST", served.host)
        changed.setenv("PATH", f"{served.programs}{os.pathsep}{os.environ['PATH']}")
        yield served


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Reports of the rules and of the mutants that were run."""
    told = [
        (name, value)
        for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
        for name, value in report.user_properties
    ]
    _report_rules(terminalreporter, sorted(value for name, value in told if name == "rule"))
    _report_mutants(terminalreporter, sorted(value for name, value in told if name == "mutant"))


def _report_rules(terminalreporter: pytest.TerminalReporter, rows: list[Any]) -> None:
    """What the failing and the passing input of each rule gave."""
    if not rows:
        return
    terminalreporter.section("report of rules")
    for row in [("rule", "subject", "failing input", "passing input"), *rows]:
        terminalreporter.write_line("{:<32} {:<9} {:<38} {}".format(*row))
    whole = sum(row[2].startswith(row[0]) and row[3] == "clean" for row in rows)
    terminalreporter.write_line(f"{len(rows)} rules, {whole} with a failing and a passing input")


def _report_mutants(terminalreporter: pytest.TerminalReporter, rows: list[Any]) -> None:
    """Of each clause that was taken away or loosened, how many cases told."""
    if not rows:
        return
    terminalreporter.section("report of mutants")
    for name, killers in rows:
        terminalreporter.write_line(f"{name:<60} {killers:>4} cases tell")
    killed = sum(killers > 0 for _, killers in rows)
    terminalreporter.write_line(f"clauses {len(rows)}, mutants killed {killed}")
