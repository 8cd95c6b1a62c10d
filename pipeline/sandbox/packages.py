"""Packages of a lock file: read strictly, fetched as hash-checked wheels, installed once, cached.

A lock pins each package to one version and at least one SHA-256, and holds nothing else: no
options, addresses, version control or includes, since each of these would let a tenant choose what
runs here or where it comes from. Only wheels are accepted, so no code of a package runs while it is
fetched or installed. Only this module fetches, and only it has a network.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import CouldNotCheck, PipelineError, Refused
from pipeline.machine.cache import cache_dir, cache_key
from pipeline.machine.process import Completed, run_tool

MAX_LOCK_BYTES = 1024 * 1024
MAX_REQUIREMENTS = 500
FETCH_TIMEOUT_S = 600
INSTALL_TIMEOUT_S = 300

_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:\[[A-Za-z0-9._, -]*\])?"
    r"==(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)"
    r"(?: ?; ?(?P<marker>[A-Za-z0-9_.'\"<>=!~() ,-]+?))?"
    r"(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})*)"
)
_OPTION = re.compile(r"(?:^|\s)-")
# Variables for reaching an index. The rest of the environment and pip's other settings are dropped.
_PASSED_ON = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"),
    *("PIP_TRUSTED_HOST", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_CONFIG_FILE"),
    *("PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT", "PIP_RETRIES"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy"),
)
# pip's messages if the lock itself is at fault; any other failure may be temporary.
_FAULTS_OF_THE_LOCK = (
    re.compile(r"DO NOT MATCH THE HASHES"),
    re.compile(r"Hashes are required|all requirements must have their versions pinned"),
    re.compile(r"Invalid requirement|Invalid marker|[Uu]ndefined environment name"),
    re.compile(r"\(from versions: (?!none\))"),
    re.compile(r"Double requirement given|conflicting dependencies"),
    re.compile(r"has an invalid wheel|is not a supported wheel|Invalid wheel filename"),
)
_TELLING = ("Could not find a version ", "DO NOT MATCH THE HASHES")
_STRICT = ("--no-deps", "--require-hashes", "--only-binary", ":all:")


class LockRefused(Refused):
    """The lock file is refused; the message says where and why (exit 1)."""

    code = "lock-refused"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One pinned package."""

    name: str  # as PEP 503 normalises it
    line: str  # for pip, on one line


def parse_lock(content: bytes) -> tuple[Requirement, ...]:
    """The pinned packages, in order. Raises LockRefused for anything else in the file."""
    if len(content) > MAX_LOCK_BYTES:
        raise LockRefused(f"it is larger than {MAX_LOCK_BYTES} bytes")
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError as error:
        raise LockRefused("it holds other characters than ASCII") from error
    found: dict[str, Requirement] = {}
    for number, line in _logical_lines(text):
        if _OPTION.match(line):
            raise LockRefused(f"line {number}: options are not allowed")
        match = _REQUIREMENT.fullmatch(line)
        if match is None or _OPTION.search(match["marker"] or ""):
            raise LockRefused(
                f"line {number}: not `name==version`, an optional marker, and hashes: {line[:100]}"
            )
        name = re.sub(r"[-_.]+", "-", match["name"]).lower()
        if not match["hashes"]:
            raise LockRefused(f"line {number}: `{name}` has no `--hash=sha256:`")
        if name in found and ";" not in line:
            raise LockRefused(f"line {number}: `{name}` is pinned twice")
        found[name if name not in found else f"{name} {number}"] = Requirement(name, line)
        if len(found) > MAX_REQUIREMENTS:
            raise LockRefused(f"it pins more than {MAX_REQUIREMENTS} packages")
    return tuple(found.values())


def read_packages(requirements: tuple[Requirement, ...]) -> Path:
    """The folder of the installed packages, for `sys.path`; fetched on first use.

    Safe for many processes at once. Raises LockRefused if this Python cannot satisfy the lock,
    CouldNotCheck if an index, pip or the cache fails.
    """
    return _read_made("packages", requirements, _install)


def read_wheels(requirements: tuple[Requirement, ...]) -> Path:
    """The folder of the packages' wheels, for a build without a network; fetched on first use.

    The wheels fit this machine's Python; a base image needs a Python that accepts them too. Raises
    LockRefused and CouldNotCheck like `read_packages`.
    """
    return _read_made("wheels", requirements, _fetch)


def _read_made(
    kind: str, requirements: tuple[Requirement, ...], make: Callable[[str, Path], None]
) -> Path:
    """The folder that `make` fills from the lock's lines, once for all processes."""
    lines = "".join(f"{requirement.line}\n" for requirement in requirements)
    key = cache_key(f"{kind} 1", lines, sys.version, sysconfig.get_platform())
    folder = cache_dir() / kind / key
    if _is_whole(folder):
        return folder / "site"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(folder.with_suffix(".lock")):
            if not _is_whole(folder):
                shutil.rmtree(folder, ignore_errors=True)
                with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as new:
                    site = Path(new) / "made" / "site"
                    site.mkdir(parents=True)
                    if lines:
                        make(lines, site)
                    _seal(site)
                    site.parent.rename(folder)
    except OSError as error:
        raise CouldNotCheck(
            f"the cache of packages cannot be written: {error.strerror}",
            help="set PIPELINE_CACHE to a folder that can be written",
        ) from error
    return folder / "site"


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not joined:
            first = number
            if not line.strip() or line.lstrip().startswith("#"):
                continue
        elif line.lstrip().startswith("#"):
            raise LockRefused(f"line {number}: a comment inside a requirement")
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        # pip reads ` #` as the start of a comment anywhere. Runs of spaces become one, so that
        # patterns cannot backtrack in them.
        yield first, " ".join((joined + line).partition(" #")[0].split())
        joined = ""
    if joined:
        raise LockRefused(f"line {first}: it goes on after the end of the file")


def _fetch(lines: str, wheels: Path) -> None:
    """Fetch the wheels of a lock into a folder; none of their code runs."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(lines)
        requirements.flush()
        _run_pip(
            ("download", *_STRICT, "--dest", wheels, "--requirement", requirements.name),
            timeout_s=FETCH_TIMEOUT_S,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        )


def _install(lines: str, site: Path) -> None:
    """Install a lock into a folder, after fetching its wheels."""
    with tempfile.TemporaryDirectory() as temporary:
        requirements, wheels = Path(temporary) / "requirements.txt", Path(temporary) / "wheels"
        requirements.write_text(lines)
        _fetch(lines, wheels)
        _run_pip(
            (
                *("install", *_STRICT, "--no-index", "--find-links", wheels),
                *("--requirement", requirements, "--target", site),
                "--no-warn-script-location",
            ),
            timeout_s=INSTALL_TIMEOUT_S,
            env={},
        )


def _seal(site: Path) -> None:
    """Make the folder readable for every user, and store the list of its files beside it."""
    for path in (site, *site.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    site.parent.chmod(0o755)
    (site.parent / "inventory").write_text(_inventory(site))


def _run_pip(arguments: Sequence[str | Path], *, timeout_s: float, env: dict[str, str]) -> None:
    done = run_tool(
        (
            *(sys.executable, "-I", "-m", "pip", "--no-input", "--disable-pip-version-check"),
            *("--cache-dir", cache_dir() / "pip", "--no-color", *arguments),
        ),
        timeout_s=timeout_s,
        env={"PIP_ROOT_USER_ACTION": "ignore", **env},
    )
    if done.exit_code != 0:
        raise _pip_failure(str(arguments[0]), done)


def _pip_failure(command: str, done: Completed) -> PipelineError:
    text = (done.stderr + done.stdout).decode("utf-8", "replace")
    lines = text.splitlines()
    errors = [line for line in lines if line.startswith("ERROR: ")]
    reason = (errors[0] if errors else (text.strip().splitlines() or ["no word"])[-1])[:300]
    reason = reason.removeprefix("ERROR: ")
    if any(fault.search(text) for fault in _FAULTS_OF_THE_LOCK):
        said = next((line for line in lines if any(word in line for word in _TELLING)), reason)
        return LockRefused(said.removeprefix("ERROR: ")[:300])
    if "No module named pip" in text:
        return CouldNotCheck(
            "pip is missing, so the packages of a lock cannot be fetched",
            help="run `make setup`, or `python -m ensurepip`",
        )
    return CouldNotCheck(
        f"pip {command} failed: {reason}",
        help="see whether the package index can be reached (PIP_INDEX_URL, HTTPS_PROXY), "
        "then run it again",
    )


def _inventory(site: Path) -> str:
    """Each file with its size: enough to notice that a cleaner removed some."""
    entries = []
    for folder, _, names in os.walk(site):
        for name in names:
            path = Path(folder, name)
            entries.append(f"{path.relative_to(site)} {path.stat().st_size}\n")
    return "".join(sorted(entries))


def _is_whole(folder: Path) -> bool:
    try:
        return (folder / "inventory").read_text() == _inventory(folder / "site")
    except OSError:
        return False


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold a lock that one process can have at a time; the kernel releases it if that one dies."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
