"""Run code that nobody has to trust: no credentials, no network, no sight of the host's files.

Linux namespaces through util-linux's `unshare`; inside, `pipeline.sandbox_launcher` builds a
private root of read-only system folders, Python and memory-backed scratch space. Works as root
(the command then runs as a user that owns nothing) and, where user namespaces are allowed, as an
ordinary user. Where the kernel forbids it nothing runs at all: CouldNotCheck says what to enable.

Source: design §7 (checks and builds run in jobs without credentials); issue "The main job",
stage checks.
"""

from __future__ import annotations

import json
import os
import shutil
import site
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from pipeline.errors import CouldNotCheck
from pipeline.sandbox_launcher import NOBODY, WORK_FOLDER
from pipeline.tools.process import run_bounded

__all__ = ["WORK_FOLDER", "Confined", "Limits", "python_inside", "run_confined", "sandbox_problem"]

_SYSTEM_FOLDERS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
_CAP_SYS_ADMIN = 21
_NAMESPACES = ("--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child")
# Settings that forbid user namespaces, the value that does, and how to allow them.
_FORBIDDING = (
    ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a command may use; times in seconds, sizes in bytes.

    `memory_bytes` bounds each process and all of them together, `address_space_bytes` what each
    may reserve (0: as much as it may use); `file_bytes` each file and all
    scratch space together; `processes` counts threads too.
    """

    cpu_s: int = 300
    wall_s: float = 300
    memory_bytes: int = 2 * 1024**3
    processes: int = 256
    output_bytes: int = 4 * 1024**2
    file_bytes: int = 512 * 1024**2
    address_space_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Confined:
    """A command that ended: stdout and stderr as one, and the limit that ended it, if one did.

    A negative exit code is the signal that ended it. `limit_hit` is one of `time`, `output`,
    `cpu`, `memory`, `processes`, `file-size`.
    """

    exit_code: int
    output: bytes
    limit_hit: str | None


def run_confined(
    argv: Sequence[str],
    *,
    readonly: Sequence[tuple[Path, str]] = (),
    files: Mapping[str, tuple[int, bytes]],
    env: Mapping[str, str],
    limits: Limits,
) -> Confined:
    """What the command said and how it ended.

    `argv[0]` is an absolute path inside. `readonly` shows host paths at absolute paths inside,
    besides the system's folders and Python. `files` (relative path → git mode, bytes) are written
    to WORK_FOLDER, where the command starts. Of the environment it has `env` and nothing else.
    Raises CouldNotCheck when no sandbox can be made here.
    """
    user = _user_to_become()
    unshare = shutil.which("unshare") or shutil.which("unshare", path="/usr/bin:/bin")
    if sys.platform != "linux" or unshare is None:
        raise CouldNotCheck(
            "there is no `unshare`, so no sandbox can be made",
            help="run checks on Linux, with util-linux installed",
        )
    for path in files:
        if any(part in {"", ".", ".."} for part in path.split("/")) or "\0" in path:
            raise CouldNotCheck(f"`{path!r}` is no plain relative path")
    ordered = sorted(files.items())
    system, links = _system_folders()
    spec = {
        "argv": list(argv),
        "env": dict(env),
        "user": user,
        "limits": asdict(limits),
        "readonly": system + [[str(source), target] for source, target in readonly],
        "links": links,
        "hidden": _site_folders(),
        "files": [[path, mode, len(content)] for path, (mode, content) in ordered],
    }
    stdin = b"".join([json.dumps(spec).encode(), b"\n", *(content for _, (_, content) in ordered)])
    ended = run_bounded(
        [
            unshare,
            *(() if user is not None else ("--user", "--map-root-user")),
            *_NAMESPACES,
            "--",
            sys.executable,
            "-I",
            "-S",
            Path(__file__).with_name("sandbox_launcher.py"),
        ],
        stdin=stdin,
        timeout_s=limits.wall_s,
        env={},
        max_output_bytes=limits.output_bytes,
    )
    if ended.stopped_by is not None:
        return Confined(ended.exit_code, ended.stdout, ended.stopped_by)
    return _read_status(ended.stderr, ended.stdout)


def python_inside() -> str:
    """The path of this Python inside a sandbox; packages of the host are not seen by it."""
    base: str = getattr(sys, "_base_executable", sys.executable)
    return str(Path(base).resolve())


def sandbox_problem() -> str:
    """Why no sandbox can be made here and what to do about it; empty when it works."""
    limits = Limits(wall_s=20)
    try:
        ended = run_confined(
            [python_inside(), "-I", "-S", "-c", ""], files={}, env={}, limits=limits
        )
    except CouldNotCheck as error:
        return f"{error.message}; {error.help}" if error.help else error.message
    if ended.exit_code or ended.limit_hit:
        return f"Python does not start in a sandbox (exit {ended.exit_code}, {ended.limit_hit})"
    return ""


def _read_status(stderr: bytes, output: bytes) -> Confined:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    # The child's own problem comes before what process 1 says of its end.
    for line in lines:
        try:
            status = json.loads(line)
        except ValueError:
            continue
        if "problem" in status:
            raise _no_sandbox(str(status["problem"]))
        return Confined(int(status["exit"]), output, status.get("limit"))
    raise _no_sandbox(lines[-1] if lines else "it ended without a word")


def _no_sandbox(reason: str) -> CouldNotCheck:
    settings = []
    for name, forbidden, allowing in _FORBIDDING:
        path = Path("/proc/sys") / name
        if path.exists() and path.read_text().strip() == forbidden:
            settings.append(f"`sysctl -w {allowing}`")
    advice = " and ".join(settings) or (
        "run as root, or where user namespaces may be made (in a container: with CAP_SYS_ADMIN "
        "and an unmasked /proc)"
    )
    return CouldNotCheck(
        f"no sandbox can be made: {reason[:300]}",
        help=f"allow user namespaces: {advice}" if settings else advice,
    )


def _user_to_become() -> int | None:
    """Whom the command runs as on the host: nobody if this is root, None for "as I am".

    Root must step down: a process of the host's root is not bound by RLIMIT_NPROC.
    """
    if os.geteuid() != 0:
        return None
    status = Path("/proc/self/status").read_text()
    capabilities = next(
        int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")
    )
    if not capabilities >> _CAP_SYS_ADMIN & 1:
        return None
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = (int(part) for part in line.split())
        if first <= NOBODY < first + count:
            return NOBODY
    return None


def _system_folders() -> tuple[list[list[str]], list[list[str]]]:
    """What is shown of the system, as (source, target), and its links, as (name, link)."""
    shown = ["/usr"]
    links = []
    for name in _SYSTEM_FOLDERS:
        path = Path("/") / name
        if path.is_symlink():
            links.append([name, os.readlink(path)])  # noqa: PTH115 # the text, not a Path
        elif path.is_dir():
            shown.append(str(path))
    prefix = Path(sys.base_prefix).resolve()
    if not prefix.is_relative_to("/usr"):
        shown.append(str(prefix))
    return [[path, path] for path in shown], links


def _site_folders() -> list[str]:
    """Folders of packages installed on the host: hidden, so that only locked ones are seen."""
    prefix = str(Path(sys.base_prefix).resolve())
    folders = {Path(path).resolve() for path in site.getsitepackages([prefix])}
    return sorted(
        str(folder)
        for folder in folders
        if folder.is_dir() and PurePosixPath(folder).is_relative_to(prefix)
    )
