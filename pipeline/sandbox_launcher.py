"""The first process of a sandbox: builds the private root, starts the command, ends everything.

Run by `pipeline.sandbox` through `unshare`, with the standard library alone, as process 1 of new
mount, process, network, IPC and host-name namespaces. Stdin holds one line of JSON (`Spec`) and
then the bytes of its files. The command's output goes to stdout; stderr carries one line of JSON
for `pipeline.sandbox`: `{"exit": code}`, `{"limit": name, "exit": code}` or `{"problem": text}`.

The command gets a user namespace of its own, in which nothing may be created any more, no
capability, and no way to gain one. When it ends this process ends, and the kernel then kills
whatever it left behind.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

WORK_FOLDER = "/primitive"
NOBODY = 65534
WATCH_INTERVAL_S = 0.05

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x2, 0x4, 0x8
_MS_BIND, _MS_REC = 0x1000, 0x4000
_MNT_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_SYS_MOUNT_SETATTR = 442  # the same number on every architecture but alpha
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 0x1, 0x2, 0x4
_SYS_KEYCTL = {
    "x86_64": 250,
    "aarch64": 219,
    "riscv64": 219,
    "ppc64le": 271,
    "s390x": 280,
}
_JOIN_SESSION_KEYRING = 1
_CLONE_NEWUSER = 0x10000000
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 24, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_SIOCSIFFLAGS, _IFF_UP_RUNNING = 0x8914, 0x41

_ETC = {
    "passwd": f"nobody:x:{NOBODY}:{NOBODY}:nobody:/tmp:/usr/sbin/nologin\n",
    "group": f"nogroup:x:{NOBODY}:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
_DEVICES = ("null", "zero", "full", "random", "urandom")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}

Spec = dict[str, Any]  # as `pipeline.sandbox` writes it; this side has no pydantic

_libc = ctypes.CDLL(None, use_errno=True)


class SetupFailed(Exception):
    """A step of the set-up that the kernel refused."""


def main() -> NoReturn:
    """Never returns: the exit code is 0 whenever a line was written to stderr."""
    try:
        spec: Spec = json.loads(sys.stdin.buffer.readline())
        proc = build_root(spec, sys.stdin.buffer)
        status = run_command(spec, proc)
    except (SetupFailed, OSError) as error:
        status = {"problem": str(error)}
    report(2, status)
    os._exit(0)


def report(descriptor: int, status: dict[str, object]) -> None:
    """Write the one line that `pipeline.sandbox` reads."""
    os.write(descriptor, json.dumps(status).encode() + b"\n")


# The private root


def build_root(spec: Spec, content: BinaryIO) -> int:
    """Make the private root the root of this process; a descriptor of a whole /proc is returned.

    Everything of the host is out of reach afterwards, except through that descriptor.
    """
    base = Path(os.environ["HOME"])  # an empty folder that the caller removes
    mount("tmpfs", base, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    root, scratch, whole_proc = base / "root", base / "scratch", base / "proc"
    for folder in (root, scratch, whole_proc):
        folder.mkdir()
    mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=4m,mode=755")
    size = int(spec["limits"]["file_bytes"])
    flags = _MS_NOSUID | _MS_NODEV
    mount("tmpfs", scratch, "tmpfs", flags, f"size={size},nr_inodes=65536,mode=755")
    mount("proc", whole_proc, "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    proc = os.open(whole_proc, os.O_PATH | os.O_DIRECTORY)

    for source, target in spec["readonly"]:
        bind_readonly(Path(source), root / str(target).lstrip("/"))
    for name, link in spec["links"]:
        (root / name).symlink_to(link)
    for hidden in spec["hidden"]:
        flags = _MS_NOSUID | _MS_NODEV
        mount("tmpfs", root / str(hidden).lstrip("/"), "tmpfs", flags | 1, "size=4k,mode=755")
    make_devices(root / "dev")
    make_etc(root / "etc")
    for name, target, mode in (
        ("work", WORK_FOLDER, 0o755),
        ("tmp", "/tmp", 0o1777),
        ("shm", "/dev/shm", 0o1777),
    ):
        (scratch / name).mkdir()
        (scratch / name).chmod(mode)
        (root / target.lstrip("/")).mkdir(parents=True)
        mount(scratch / name, root / target.lstrip("/"), None, _MS_BIND)
    (root / "proc").mkdir()
    # Only processes: what else stands in /proc tells of the host, or changes it.
    options = "subset=pid,hidepid=ptraceable"
    mount("proc", root / "proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, options)

    os.chdir(root)
    call("pivot_root", b".", b".")
    call("umount2", b".", _MNT_DETACH)
    os.chdir("/")
    write_files(spec, content)
    set_readonly(Path("/"), recursive=False)
    start_loopback()
    socket.sethostname("sandbox")
    return proc


def bind_readonly(source: Path, target: Path) -> None:
    """Show `source`, a file or a folder with all that is mounted below it, read-only."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount(source, target, None, _MS_BIND | _MS_REC)
    set_readonly(target, recursive=True)


def make_devices(folder: Path) -> None:
    """A /dev of the harmless devices only; a sandbox may not make others."""
    folder.mkdir()
    for name in _DEVICES:
        (folder / name).touch()
        mount(Path("/dev") / name, folder / name, None, _MS_BIND)
    for name, link in _DEVICE_LINKS.items():
        (folder / name).symlink_to(link)


def make_etc(folder: Path) -> None:
    """An /etc that says nothing about the host."""
    folder.mkdir(exist_ok=True)
    for name, text in _ETC.items():
        (folder / name).write_text(text)
    libraries = Path("/etc/ld.so.cache")
    if libraries.exists():
        bind_readonly(libraries, folder / "ld.so.cache")


def write_files(spec: Spec, content: BinaryIO) -> None:
    """Write the files into the work folder, owned by whom the command runs as."""
    owner = spec["user"] if spec["user"] is not None else -1
    work = Path(WORK_FOLDER)
    os.chown(work, owner, owner)
    made = {work}
    for path, mode, size in spec["files"]:
        target = work / path
        for folder in reversed(target.parents[: len(target.parents) - 2]):
            if folder not in made:
                folder.mkdir()
                os.chown(folder, owner, owner)
                made.add(folder)
        raw = content.read(size)
        if stat.S_ISLNK(mode):
            target.symlink_to(os.fsdecode(raw))
        else:
            target.write_bytes(raw)
            target.chmod(0o755 if mode & 0o100 else 0o644)
        os.chown(target, owner, owner, follow_symlinks=False)


def start_loopback() -> None:
    """Bring up `lo`, the only interface there is, so that tests may talk to themselves."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", b"lo", _IFF_UP_RUNNING)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


# The command


def run_command(spec: Spec, proc: int) -> dict[str, object]:
    """Start the command and wait for it; what ended it."""
    call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    child = os.fork()
    if child == 0:
        become_command(spec, proc)
    os.close(proc)
    limits = spec["limits"]
    deadline = time.monotonic() + limits["wall_s"]
    while True:
        signal.sigtimedwait([signal.SIGCHLD], WATCH_INTERVAL_S)
        while (ended := reap()) is not None:
            if ended[0] == child:
                return ended_as(ended[1])
        # The caller watches this too; it may have been killed.
        if time.monotonic() > deadline:
            return {"limit": "time", "exit": -signal.SIGKILL}
        count, memory_bytes = read_usage()
        # The kernel does not hold root's processes to RLIMIT_NPROC.
        if count > limits["processes"]:
            return {"limit": "processes", "exit": -signal.SIGKILL}
        # Limits of a process, such as RLIMIT_AS, multiply with the number of processes.
        if memory_bytes > limits["memory_bytes"]:
            return {"limit": "memory", "exit": -signal.SIGKILL}


def reap() -> tuple[int, int] | None:
    """Process and wait status of one that ended; None when none did."""
    try:
        ended, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (ended, status) if ended else None


def ended_as(status: int) -> dict[str, object]:
    """The report of a wait status."""
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGXCPU:
        return {"limit": "cpu", "exit": code}
    if code == -signal.SIGXFSZ:
        return {"limit": "file-size", "exit": code}
    return {"exit": code}


def read_usage() -> tuple[int, int]:
    """How many processes the command has, and the memory in bytes that is theirs alone."""
    page_bytes = resource.getpagesize()
    count = pages = 0
    for name in os.listdir("/proc"):  # noqa: PTH208 # no Path object for each process
        if not name.isdigit() or name == "1":
            continue
        with suppress(OSError):  # it ended meanwhile
            descriptor = os.open(f"/proc/{name}/statm", os.O_RDONLY)
            try:
                fields = os.read(descriptor, 256).split()
            finally:
                os.close(descriptor)
            count += 1
            pages += int(fields[1]) - int(fields[2])
    return count, pages * page_bytes


def become_command(spec: Spec, proc: int) -> NoReturn:
    """Turn this child into the command; what goes wrong before is reported as a problem."""
    status = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 3)
    try:
        os.setsid()
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(1, 2)
        give_up_privileges(spec["user"], proc)
        set_limits(spec["limits"])
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        os.umask(0o022)
        os.chdir(WORK_FOLDER)
        for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 # names are all that counts
            if int(descriptor) > 2:
                with suppress(OSError):
                    os.set_inheritable(int(descriptor), False)
        os.execve(spec["argv"][0], spec["argv"], spec["env"])
    except BaseException as error:
        report(status, {"problem": f"{spec['argv'][0]}: {error}"})
    os._exit(127)


def give_up_privileges(user: int | None, proc: int) -> None:
    """Become a user that owns nothing, without capabilities, for ever.

    `user` is whom to become on the host; None when this process is an ordinary user there. The
    user namespace of its own makes RLIMIT_NPROC count this sandbox's processes alone.
    """
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    # Not being dumpable, as process 1 is, /proc/self would belong to root.
    call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0)
    leave_keyring()
    outer_user, outer_group = os.getuid(), os.getgid()
    call("unshare", _CLONE_NEWUSER)
    write_proc(proc, "self/setgroups", "deny")
    write_proc(proc, "self/uid_map", f"{NOBODY} {outer_user} 1")
    write_proc(proc, "self/gid_map", f"{NOBODY} {outer_group} 1")
    # A further user namespace would give back capabilities, and with them kernel code to attack.
    write_proc(proc, "sys/user/max_user_namespaces", "0")
    os.close(proc)
    call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            if ctypes.get_errno() != errno.EINVAL:  # EINVAL: the kernel knows no more of them
                raise SetupFailed(f"capability {capability} cannot be dropped")
            break
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    call("capset", header, bytes(24))


def leave_keyring() -> None:
    """Leave the caller's session keyring, which may hold credentials."""
    number = _SYS_KEYCTL.get(os.uname().machine)
    if number is None:
        raise SetupFailed(f"keyctl has no known number on {os.uname().machine}")
    null = ctypes.c_void_p()
    failed = _libc.syscall(ctypes.c_long(number), ctypes.c_int(_JOIN_SESSION_KEYRING), null)
    # Without the call, or forbidden to make it, the command cannot read a keyring either.
    if failed < 0 and ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM):
        raise SetupFailed(f"keyctl failed: {os.strerror(ctypes.get_errno())}")


def write_proc(proc: int, path: str, text: str) -> None:
    """Write one value below the whole /proc."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SetupFailed(f"/proc/{path} cannot be written: {error.strerror}") from error


def set_limits(limits: dict[str, int]) -> None:
    """Limits of each process; those of all together are watched by process 1."""
    cpu_s = limits["cpu_s"]
    address_space_bytes = limits["address_space_bytes"] or limits["memory_bytes"]
    for name, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, cpu_s, cpu_s + 1),
        (resource.RLIMIT_FSIZE, limits["file_bytes"], limits["file_bytes"]),
        (resource.RLIMIT_NOFILE, 1024, 1024),
        (resource.RLIMIT_MEMLOCK, 1 << 16, 1 << 16),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
        (resource.RLIMIT_NPROC, limits["processes"], limits["processes"]),
        (resource.RLIMIT_AS, address_space_bytes, address_space_bytes),
    ):
        _, highest = resource.getrlimit(name)
        if highest != resource.RLIM_INFINITY:
            soft, hard = min(soft, highest), min(hard, highest)
        resource.setrlimit(name, (soft, hard))


# System calls


def mount(
    source: str | Path, target: Path, kind: str | None, flags: int, options: str = ""
) -> None:
    """mount(2)."""
    failed = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode(),
    )
    if failed:
        raise SetupFailed(f"mount of {source} failed: {os.strerror(ctypes.get_errno())}")


def set_readonly(target: Path, *, recursive: bool) -> None:
    """Make a mount read-only, without device files and set-user-id programs (Linux 5.12)."""
    added = _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV
    attributes = struct.pack("=QQQQ", added, 0, 0, 0)
    failed = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(target),
        ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
        attributes,
        ctypes.c_size_t(len(attributes)),
    )
    if failed:
        reason = os.strerror(ctypes.get_errno())
        raise SetupFailed(f"a mount cannot be made read-only: {reason} (Linux 5.12 can)")


def call(name: str, *arguments: int | bytes) -> None:
    """A function of the C library that answers 0 when all is well."""
    function = getattr(_libc, name)
    passed: Sequence[object] = [
        ctypes.c_ulong(a) if isinstance(a, int) and name == "prctl" else a for a in arguments
    ]
    if function(*passed) != 0:
        raise SetupFailed(f"{name} failed: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main()
