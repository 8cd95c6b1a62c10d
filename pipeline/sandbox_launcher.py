"""The inside half of `pipeline.sandbox`; runs by path under `python -I -S`, standard library only.

Reads on stdin eight bytes of length, a JSON order, and a tar of the work folder. Three
processes: the outer one stays in the host's namespaces and writes the user id map; the middle
one makes the namespaces; the inner one is process 1 of them, builds the root, starts the
untrusted command without any privilege and watches it. The command's output goes to stdout; the
one line of JSON on stderr is the verdict, and the command has no way to that descriptor.

Sources: namespaces(7), user_namespaces(7), pivot_root(2), mount_setattr(2), capabilities(7),
prctl(2), proc(5) `subset=pid`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import io
import json
import os
import resource
import signal
import socket
import struct
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypedDict

NEW_NS, NEW_UTS, NEW_IPC = 0x00020000, 0x04000000, 0x08000000
NEW_USER, NEW_PID, NEW_NET, NEW_CGROUP = 0x10000000, 0x20000000, 0x40000000, 0x02000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2
SYS_MOUNT_SETATTR = 442  # the same on every architecture that Python runs on here
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}
SYS_CAPSET = {"x86_64": 126, "aarch64": 91, "riscv64": 91, "ppc64le": 184, "s390x": 185}
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS = 28, 38
SECUREBITS_NO_ROOT_LOCKED = 0b11
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
POLL_S = 0.02
# The host's id that root's untrusted code gets: root itself would escape RLIMIT_NPROC.
UNPRIVILEGED_HOST_ID = 65532
INNER_ID = 1000
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
_DEVICES = ("null", "zero", "full", "random", "urandom")


class Bounds(TypedDict):
    """`pipeline.sandbox.Limits`, as JSON."""

    cpu_s: int
    wall_s: int
    memory_bytes: int
    processes: int
    file_bytes: int


class Order(TypedDict):
    """What to run, in what: `readonly` holds pairs of host path and path inside."""

    argv: list[str]
    env: dict[str, str]
    limits: Bounds
    readonly: list[tuple[str, str]]
    root: str


_LIBC = ctypes.CDLL(None, use_errno=True)


class LauncherError(Exception):
    """The sandbox could not be made; the command has not run."""


def _call(what: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise LauncherError(f"{what}: {os.strerror(number)} ({errno.errorcode.get(number)})")


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    result = _LIBC.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()
    )
    _call(f"mount {kind or 'bind'} on {target}", result)


def _bind_read_only(source: str, target: str) -> None:
    _mount(source, target, "", MS_BIND | MS_REC)
    # struct mount_attr: set, clear, propagation, user namespace.
    attributes = struct.pack("QQQQ", MS_RDONLY | MS_NOSUID | MS_NODEV, 0, MS_PRIVATE, 0)
    result = _LIBC.syscall(
        SYS_MOUNT_SETATTR,
        AT_FDCWD,
        target.encode(),
        AT_RECURSIVE,
        attributes,
        ctypes.c_size_t(len(attributes)),
    )
    _call(f"make {target} read-only (Linux 5.12 or newer)", result)


def _architecture_call(table: dict[str, int], name: str) -> int:
    machine = os.uname().machine
    if machine not in table:
        raise LauncherError(f"{name} is not known on {machine}")
    return table[machine]


def _prctl(option: int, value: int) -> int:
    return int(_LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


# --- processes ------------------------------------------------------------------------------------


def main() -> int:
    """The outer process: reads the order, makes the middle one, maps ids, waits."""
    size = struct.unpack(">Q", sys.stdin.buffer.read(8))[0]
    order: Order = json.loads(sys.stdin.buffer.read(size))
    archive = sys.stdin.buffer.read()
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.close(ready_read)
        os.close(go_write)
        _guard(lambda: _middle(order, archive, ready_write, go_read))
    os.close(ready_write)
    os.close(go_read)
    if os.read(ready_read, 1) == b"k":
        try:
            _write_maps(middle)
        except OSError as error:
            _report({"error": f"map user ids: {error.strerror}"})
            os.kill(middle, signal.SIGKILL)
        else:
            os.write(go_write, b"k")
    os.close(go_write)
    os.waitpid(middle, 0)
    return 0


def _guard(work: Callable[[], None]) -> NoReturn:
    """Run one forked process to its end; whatever stops it is reported, nothing returns."""
    try:
        work()
    except LauncherError as error:
        _report({"error": str(error)})
    except BaseException as error:
        _report({"error": f"{type(error).__name__}: {error}"})
    os._exit(0)


def _report(verdict: dict[str, object]) -> None:
    os.write(2, json.dumps(verdict).encode() + b"\n")


def _write_maps(pid: int) -> None:
    for name, own in (("uid", os.geteuid()), ("gid", os.getegid())):
        lines = f"0 {own} 1\n"
        if os.geteuid() == 0:
            lines += f"{INNER_ID} {UNPRIVILEGED_HOST_ID} 1\n"
        elif name == "gid":
            Path(f"/proc/{pid}/setgroups").write_text("deny")
        Path(f"/proc/{pid}/{name}_map").write_text(lines)


def _middle(order: Order, archive: bytes, ready: int, go: int) -> None:
    flags = NEW_USER | NEW_NS | NEW_PID | NEW_NET | NEW_IPC | NEW_UTS | NEW_CGROUP
    _call("create namespaces", _LIBC.unshare(flags))
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.write(ready, b"k")
    if os.read(go, 1) != b"k":
        return
    inner = os.fork()
    if inner == 0:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _guard(lambda: _inner(order, archive))
    os.waitpid(inner, 0)


def _inner(order: Order, archive: bytes) -> None:
    """Process 1: the root, the network, the command, the watch."""
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    socket.sethostname("sandbox")
    _raise_loopback()
    mapped = len(Path("/proc/self/uid_map").read_text().splitlines()) > 1
    identity = INNER_ID if mapped else 0
    # No namespace inside this one: a nested one would give privileges to probe the kernel with.
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    _build_root(order, archive, identity)
    _prctl(PR_SET_DUMPABLE, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    failure_read, failure_write = os.pipe()
    command = os.fork()
    if command == 0:
        os.close(failure_read)
        try:
            _become_untrusted(order, identity)
        except BaseException as error:
            os.write(failure_write, str(error).encode())
        os._exit(127)
    os.close(failure_write)
    failure = b""
    while chunk := os.read(failure_read, 4096):
        failure += chunk
    if failure:
        raise LauncherError(failure.decode("utf-8", "replace"))
    _report(_watch(command, order["limits"]))


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        answer = fcntl.ioctl(control, SIOCGIFFLAGS, request)
        flags = struct.unpack("16xH14x", answer)[0]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


# --- root -----------------------------------------------------------------------------------------


def _build_root(order: Order, archive: bytes, identity: int) -> None:
    root = order["root"]
    limits = order["limits"]
    space = f"size={limits['file_bytes']},nr_inodes=65536"
    _mount("none", "/", "", MS_REC | MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=16m,nr_inodes=4096")
    for name in _SYSTEM:
        host, inside = Path("/", name), Path(root, name)
        if host.is_symlink():
            inside.symlink_to(host.readlink())
        elif host.is_dir():
            inside.mkdir()
            _bind_read_only(str(host), str(inside))
    _write_etc(Path(root, "etc"))
    for name in ("tmp", "work"):
        inside = Path(root, name)
        inside.mkdir()
        owner = f",mode=0755,uid={identity},gid={identity}"
        _mount("tmpfs", str(inside), "tmpfs", MS_NOSUID | MS_NODEV, space + owner)
    _make_devices(Path(root, "dev"))
    Path(root, "proc").mkdir()
    # Only processes: `/proc/sys` of a root that is the host's root would be writable.
    _mount(
        "proc",
        f"{root}/proc",
        "proc",
        MS_NOSUID | MS_NODEV | MS_NOEXEC,
        "subset=pid",
    )
    for host_path, inside_path in order["readonly"]:
        target = Path(root + inside_path)
        if Path(host_path).is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        _bind_read_only(host_path, str(target))
    _unpack(archive, Path(root, "work"), identity)
    _mount("none", root, "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    os.chdir(root)
    number = _architecture_call(SYS_PIVOT_ROOT, "pivot_root")
    _call("pivot_root", _LIBC.syscall(number, b".", b"."))
    _call("leave the host's root", _LIBC.umount2(b".", MNT_DETACH))
    os.chdir("/work")


def _write_etc(etc: Path) -> None:
    etc.mkdir()
    files = {
        "passwd": f"root:x:0:0::/tmp:/bin/sh\nuser:x:{INNER_ID}:{INNER_ID}::/tmp:/bin/sh\n",
        "group": f"root:x:0:\nuser:x:{INNER_ID}:\n",
        "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }
    for name, text in files.items():
        (etc / name).write_text(text)
    linker = Path("/etc/ld.so.cache")
    if linker.is_file():
        (etc / linker.name).write_bytes(linker.read_bytes())
    for path in etc.iterdir():
        path.chmod(0o644)


def _make_devices(dev: Path) -> None:
    dev.mkdir()
    for name in _DEVICES:
        (dev / name).touch()
        _mount(f"/dev/{name}", str(dev / name), "", MS_BIND)
    (dev / "shm").symlink_to("/tmp")
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (dev / name).symlink_to(f"/proc/self/{target}")


def _unpack(archive: bytes, work: Path, identity: int) -> None:
    """The work folder: plain files only, as `pipeline.sandbox` packed them."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if not member.isreg() or content is None or ".." in member.name.split("/"):
                raise LauncherError(f"{member.name} is no plain file")
            path = work / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())
            path.chmod(member.mode & 0o777)
    for path in (work, *work.rglob("*")):
        os.chown(path, identity, identity)


# --- the command ----------------------------------------------------------------------------------


def _become_untrusted(order: Order, identity: int) -> None:
    limits = order["limits"]
    for name, soft, hard in (
        ("AS", limits["memory_bytes"] * 4, limits["memory_bytes"] * 4),
        ("CPU", limits["cpu_s"] + 2, limits["cpu_s"] + 4),
        ("FSIZE", limits["file_bytes"], limits["file_bytes"]),
        ("NPROC", limits["processes"] + 16, limits["processes"] + 16),
        ("NOFILE", 512, 512),
        ("CORE", 0, 0),
        ("MEMLOCK", 0, 0),
        ("MSGQUEUE", 0, 0),
    ):
        number = getattr(resource, f"RLIMIT_{name}", None)
        if number is not None:
            allowed = resource.getrlimit(number)[1]
            bound = [
                v if allowed == resource.RLIM_INFINITY else min(v, allowed) for v in (soft, hard)
            ]
            resource.setrlimit(number, (bound[0], bound[1]))
    os.setsid()
    os.nice(10)  # the watch must keep its turn
    capability = 0
    while _prctl(PR_CAPBSET_DROP, capability) == 0:
        capability += 1
    if capability == 0:
        raise LauncherError("capabilities cannot be dropped")
    _call("set securebits", _prctl(PR_SET_SECUREBITS, SECUREBITS_NO_ROOT_LOCKED))
    if identity:
        os.setgroups([])
        os.setresgid(identity, identity, identity)
        os.setresuid(identity, identity, identity)
    header, nothing = struct.pack("Ii", 0x20080522, 0), bytes(24)
    number = _architecture_call(SYS_CAPSET, "capset")
    _call("drop capabilities", _LIBC.syscall(number, header, nothing))
    _call("set no_new_privs", _prctl(PR_SET_NO_NEW_PRIVS, 1))
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(1, 2)
    os.umask(0o022)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(order["argv"][0], order["argv"], order["env"])


def _watch(command: int, limits: Bounds) -> dict[str, object]:
    """The verdict: exit code of the command, and the limit that ended it, if one did."""
    deadline = time.monotonic() + limits["wall_s"]
    while True:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
            if pid == 0:
                break
            if pid == command:
                return _verdict(os.waitstatus_to_exitcode(status), limits)
        limit = _limit_hit(limits, deadline)
        if limit:
            return {"exit": -int(signal.SIGKILL), "limit": limit}
        signal.sigtimedwait({signal.SIGCHLD}, POLL_S)


def _verdict(code: int, limits: Bounds) -> dict[str, object]:
    limit = None
    if code == -signal.SIGXCPU or (code == -signal.SIGKILL and _cpu_s(0) >= limits["cpu_s"]):
        limit = "cpu"
    elif code == -signal.SIGXFSZ:
        limit = "file-size"
    return {"exit": code, "limit": limit}


def _limit_hit(limits: Bounds, deadline: float) -> str | None:
    if time.monotonic() >= deadline:
        return "wall"
    processes = anonymous = ticks = 0
    others = [p.name for p in Path("/proc").iterdir() if p.name.isdigit() and p.name != "1"]
    for name in others:
        try:
            status = Path(f"/proc/{name}/status").read_text()
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        processes += _field(status, "Threads:")
        anonymous += _field(status, "RssAnon:") + _field(status, "RssShmem:")
        ticks += sum(int(value) for value in fields[11:15])
    if processes > limits["processes"]:
        return "processes"
    if _cpu_s(ticks) >= limits["cpu_s"]:
        return "cpu"
    # Pages shared after a fork count once; only worth reading when the plain sum is too high.
    if anonymous * 1024 > limits["memory_bytes"] and _proportional(others) > limits["memory_bytes"]:
        return "memory"
    return None


def _cpu_s(ticks: int) -> float:
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ticks / os.sysconf("SC_CLK_TCK") + reaped.ru_utime + reaped.ru_stime


def _proportional(pids: list[str]) -> int:
    total = 0
    for name in pids:
        try:
            rollup = Path(f"/proc/{name}/smaps_rollup").read_text()
        except OSError:
            continue
        total += _field(rollup, "Pss_Anon:") + _field(rollup, "Pss_Shmem:")
    return total * 1024


def _field(text: str, name: str) -> int:
    at = text.find(name)
    return int(text[at + len(name) :].split(maxsplit=1)[0]) if at >= 0 else 0


if __name__ == "__main__":
    sys.exit(main())
