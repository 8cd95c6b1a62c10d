"""Escapes and exhaustions, each tried inside the sandbox in each of its modes.

An escape prints what it reached and must print `nothing`; each one works outside the sandbox, or
the kernel alone would allow it. An exhaustion must end within its limit: stopped by the limit, or
refused what it asks for.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.sandbox import calls
from tests.support.exhaustions import EXHAUSTIONS
from tests.support.sandboxes import Sandboxes, modes, sandboxes

# What attacks have at hand: system calls by name, which answer -errno.
_PRELUDE = f"""
import ctypes, errno, os, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
COLUMN = {{"x86_64": 0, "aarch64": 1, "riscv64": 1}}[os.uname().machine]
NUMBERS = { ({**calls._FORBIDDEN, **calls._ABSENT, "clone": calls._CLONE})!r}
def call(name, *arguments):
    ctypes.set_errno(0)
    passed = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    answer = libc.syscall(ctypes.c_long(NUMBERS[name][COLUMN]), *passed)
    return answer if answer >= 0 else -ctypes.get_errno()
def tried(what, *names):
    # What is allowed of these calls: with arguments of zero none would be refused for permission.
    got = [n for n in names if call(n, 0, 0, 0, 0, 0, 0) not in (-errno.EPERM, -errno.ENOSYS)]
    print(what, *got) if got else print("nothing")
def refused(do):
    try:
        print("reached", do())
    except OSError:
        print("nothing")
"""

ESCAPES = {
    "reads a file of the host by its path": """
        refused(lambda: open(sys.argv[1]).read())
    """,
    "reads it through process 1's root": """
        refused(lambda: open("/proc/1/root" + sys.argv[1]).read())
    """,
    "reads it through a link among its files": """
        refused(lambda: open("link-to-secret").read())
    """,
    "lists the host's processes": """
        others = [n for n in os.listdir("/proc") if n.isdigit() and int(n) > 64]
        print(*others or ["nothing"])
    """,
    "gets rid of the filter by way of process 1, if it may write into its memory": """
        try:
            os.close(os.open("/proc/1/mem", os.O_RDWR))
            with open("/proc/1/status") as file:
                filtered = "Seccomp:\\t2\\n" in file.read()
        except OSError:
            filtered = True
        print("nothing" if filtered else "reached")
    """,
    "kills process 1": """
        os.kill(1, 0) if os.getuid() == os.stat("/proc/1").st_uid else None
        try:
            os.kill(1, 9)
        except OSError:
            pass
        time.sleep(0.05)
        print("nothing")
    """,
    "traces a process": """
        tried("traced", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp")
    """,
    "mounts": """
        tried("mounted", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree",
              "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr")
    """,
    "makes a user namespace": """
        flag = 0x10000000
        found = [call("unshare", flag), call("clone", flag | 17, 0, 0, 0, 0)]
        if 0 in found: os._exit(0)
        print("reached" if max(found) >= 0 else "nothing")
    """,
    "makes one by clone3, whose flags no filter sees": """
        arguments = struct.pack("=11Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
        answer = call("clone3", arguments, len(arguments))
        print("nothing" if answer == -errno.ENOSYS else "reached")
    """,
    "joins another namespace": """
        tried("joined", "setns")
    """,
    "reads keyrings": """
        tried("read", "keyctl", "add_key", "request_key")
    """,
    "loads code into the kernel": """
        tried("loaded", "bpf", "init_module", "finit_module", "kexec_load", "kexec_file_load")
    """,
    "uses calls that exploits like": """
        tried("used", "userfaultfd", "io_uring_setup", "perf_event_open", "open_by_handle_at",
              "name_to_handle_at")
    """,
    "uses a call that is newer than the filter": """
        answer = libc.syscall(ctypes.c_long(500), 0, 0, 0)
        print("nothing" if (answer, ctypes.get_errno()) == (-1, errno.ENOSYS) else "reached")
    """,
    "changes the clock, the host's name or its power": """
        tried("changed", "settimeofday", "clock_settime", "reboot", "swapon", "acct")
    """,
    "opens a raw socket": """
        refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
    """,
    "opens a packet socket": """
        refused(lambda: socket.socket(17, socket.SOCK_RAW, 0))
    """,
    "reaches the hypervisor by vsock": """
        refused(lambda: socket.socket(40, socket.SOCK_STREAM))
    """,
    "asks the kernel's crypto by a socket": """
        refused(lambda: socket.socket(38, socket.SOCK_SEQPACKET))
    """,
    "reaches a server of the host": """
        refused(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[2])), timeout=5))
    """,
    "reaches a socket of the host by its abstract name": """
        client = socket.socket(socket.AF_UNIX)
        refused(lambda: client.connect("\\0" + sys.argv[3]))
    """,
    "types into the terminal that started it": """
        import fcntl
        refused(lambda: fcntl.ioctl(0, 0x5412, b"x"))
        refused(lambda: os.open("/dev/tty", os.O_RDWR))
    """,
    "types into a terminal by a request with high bits set": """
        answer = libc.ioctl(0, ctypes.c_ulong(0x5412 | 1 << 32), b"x")
        print("nothing" if (answer, ctypes.get_errno()) == (-1, errno.EPERM) else "reached")
    """,
    "makes a device": """
        refused(lambda: os.mknod("disk", 0o60666, os.makedev(8, 0)))
        refused(lambda: os.mknod("/tmp/mem", 0o20666, os.makedev(1, 1)))
    """,
    "finds devices of the host": """
        known = {"null", "zero", "full", "random", "urandom", "shm",
                 "fd", "stdin", "stdout", "stderr"}
        print(*sorted(set(os.listdir("/dev")) - known) or ["nothing"])
    """,
    "becomes root by a set-user-id program": """
        import shutil, subprocess
        shutil.copy("/usr/bin/id", "id"); os.chmod("id", 0o6755)
        ids = {subprocess.run([p, "-u"], capture_output=True, text=True).stdout for p in ("./id",)}
        print("nothing" if ids == {f"{os.getuid()}\\n"} else ids)
    """,
    "becomes root by asking": """
        refused(lambda: os.setuid(0))
        refused(lambda: os.setresuid(0, 0, 0))
        refused(lambda: os.setgroups([0]))
    """,
    "reads what only root may of the system": """
        for path in ("/etc/shadow", "/proc/kmsg", "/proc/kcore"):
            refused(lambda: open(path, "rb").read(1))
    """,
    "writes into the system or the tools": """
        for path in ("/usr/bin/x", "/bin/sh", "/etc/passwd", "/x", "/dev/x", "/proc/x",
                     sys.executable):
            refused(lambda: open(path, "a"))
    """,
    "changes settings of the kernel": """
        for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"):
            refused(lambda: open(path, "w").write("1"))
    """,
    "finds descriptors that were left open": """
        print(*[n for n in os.listdir("/proc/self/fd") if int(n) > 3] or ["nothing"])
    """,
    "reads the environment of what started it": """
        inherited = {k: v for k, v in os.environ.items() if "SECRET" in k}
        try:
            text = open("/proc/1/environ", "rb").read()
        except OSError:
            text = b""
        print("reached" if inherited or b"SECRET" in text else "nothing")
    """,
    "reads how the sandbox was made": """
        try:
            text = open("/proc/1/cmdline", "rb").read()
        except OSError:
            text = b""
        print("reached" if b"--ro" b"-bind" in text else "nothing")
    """,
    "dumps its core into the host": """
        import resource
        refused(lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
                if resource.getrlimit(resource.RLIMIT_CORE) != (0, 0) else os.open("/nowhere", 0))
    """,
    "raises its own limits": """
        import resource
        def more():
            try:
                resource.setrlimit(resource.RLIMIT_NPROC, (10**6, 10**6))
            except ValueError as error:
                raise OSError from error
        refused(more)
    """,
}


@pytest.fixture(params=modes(), scope="module")
def box(request: pytest.FixtureRequest) -> Iterator[Sandboxes]:
    """Sandboxes, by each way of giving up privileges."""
    with sandboxes(request.param) as found:
        yield found


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Of the host: a file that everybody may read, the port of a server, an abstract socket."""
    import socket

    folder = tmp_path_factory.mktemp("host")
    secret = folder / "secret"
    secret.write_text("secret")
    for path in (secret, *secret.parents):
        if path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o555)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as named:
        name = f"primitive-pipeline-test-{os.getpid()}"
        named.bind(f"\0{name}")
        named.listen()
        yield [str(secret), str(server.getsockname()[1]), name]


@pytest.mark.parametrize("attack", ESCAPES)
def test_an_escape_reaches_nothing(
    attack: str, box: Sandboxes, host: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_SECRET", "secret")
    files = {"link-to-secret": (0o120000, host[0].encode())}
    code = _PRELUDE + textwrap.dedent(ESCAPES[attack])
    assert set(box.words(code, *host, files=files)) == {"nothing"}


@pytest.mark.parametrize("attack", EXHAUSTIONS)
def test_an_exhaustion_ends_within_its_limit(attack: str, box: Sandboxes) -> None:
    tried = EXHAUSTIONS[attack]
    code = _PRELUDE + textwrap.dedent(tried.code)
    ended = box.confine(code, limits=tried.limits)
    if tried.refused and ended.limit_hit is None:
        assert ended.exit_code == 9 or b"Error" in ended.output, ended
    else:
        assert ended.limit_hit in tried.ends_by, ended


def test_enough_attacks_are_tried() -> None:
    assert len(ESCAPES) + len(EXHAUSTIONS) >= 60


def test_memory_shared_by_processes_is_counted_once(box: Sandboxes) -> None:
    """Twenty processes that share 100 MiB, under a limit of 256 MiB."""
    code = """
        import os, time
        x = b"x" * (100 << 20)
        come, go = os.pipe()
        for _ in range(10):
            if os.fork() == 0:
                os.close(go)
                os.read(come, 1)
                os._exit(0)
        time.sleep(1)
        print("fine")
    """
    assert box.words(code) == ["fine"]
