"""Code that uses too much of a resource, for the sandbox to end."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.sandbox.limits import Limits
from tests.support.sandboxes import MIB, SMALL


@dataclass(frozen=True)
class Exhaustion:
    """Code that takes too much of something, and the limits by one of which it must end.

    `refused` says that it may also end by itself, being refused what it asks for, with exit code 9.
    """

    code: str
    ends_by: tuple[str, ...] = ()
    refused: bool = False
    limits: Limits = SMALL


_ROOMY = replace(SMALL, address_space_bytes=4096 * MIB, file_bytes=64 * MIB)

EXHAUSTIONS = {
    "memory of one process": Exhaustion(
        "x = [bytearray(1 << 20) for _ in range(1 << 12)]", refused=True
    ),
    "memory of many processes": Exhaustion(
        """
        for _ in range(8):
            if os.fork() == 0:
                x = bytearray(100 << 20)
                for i in range(0, len(x), 4096): x[i] = 1
                time.sleep(600)
        time.sleep(600)
        """,
        ends_by=("memory",),
    ),
    "memory that processes share": Exhaustion(
        """
        import mmap
        kept = []
        for _ in range(40):
            kept.append(mmap.mmap(-1, 16 << 20))
            for i in range(0, 16 << 20, 4096): kept[-1][i] = 1
        time.sleep(600)
        """,
        ends_by=("memory",),
        limits=_ROOMY,
    ),
    "memory without a process: memfds": Exhaustion(
        """
        kept = []
        try:
            for number in range(64):
                kept.append(os.memfd_create(str(number)))
                os.write(kept[-1], bytes(16 << 20))
        except OSError:
            sys.exit(9)
        time.sleep(600)
        """,
        refused=True,
    ),
    "memory without a process: System V": Exhaustion(
        """
        got = [call(n, 0, 1 << 24, 0o1600, 0) for n in ("shmget", "msgget", "semget")]
        sys.exit(9 if set(got) == {-errno.ENOSYS} else 0)
        """,
        refused=True,
    ),
    "memory of huge pages": Exhaustion(
        """
        import mmap
        try:
            mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
        except OSError:
            sys.exit(9)
        """,
        refused=True,
    ),
    "addresses": Exhaustion(
        """
        import mmap
        try:
            kept = [mmap.mmap(-1, 1 << 30) for _ in range(64)]
        except OSError:
            sys.exit(9)
        """,
        refused=True,
    ),
    "scratch space in one file": Exhaustion(
        "open('/tmp/x', 'wb').write(bytes(16 << 20))", ends_by=("file-size",), refused=True
    ),
    "scratch space in many files": Exhaustion(
        """
        try:
            for number in range(64):
                open(f"/tmp/{number}", "wb").write(bytes(1 << 20))
        except OSError:
            sys.exit(9)
        """,
        ends_by=("file-size",),
        refused=True,
    ),
    "scratch space in three places": Exhaustion(
        """
        for folder in ("/tmp", "/dev/shm", "/primitive"):
            for number in range(7):
                open(f"{folder}/{number}", "wb").write(bytes(1 << 20))
        time.sleep(600)
        """,
        ends_by=("file-size",),
    ),
    "scratch space in files that are unlinked": Exhaustion(
        """
        kept = []
        try:
            for number in range(64):
                kept.append(open("/tmp/x", "wb"))
                os.unlink("/tmp/x")
                kept[-1].write(bytes(1 << 20))
                kept[-1].flush()
        except OSError:
            sys.exit(9)
        """,
        ends_by=("file-size",),
        refused=True,
    ),
    "empty files": Exhaustion(
        """
        for number in range(10**6):
            os.close(os.open(f"/tmp/{number}", os.O_CREAT))
        """,
        ends_by=("file-size", "memory"),
        limits=replace(SMALL, memory_bytes=4096 * MIB),
    ),
    "a sparse file of a terabyte": Exhaustion(
        """
        try:
            os.truncate(os.open("/tmp/x", os.O_CREAT | os.O_RDWR), 1 << 40)
        except OSError:
            sys.exit(9)
        """,
        ends_by=("file-size",),
        refused=True,
    ),
    "a fork bomb": Exhaustion(
        """
        while True:
            try:
                if os.fork() == 0: time.sleep(600); os._exit(0)
            except OSError:
                sys.exit(9)
        """,
        ends_by=("processes",),
        refused=True,
    ),
    "threads": Exhaustion(
        """
        import threading
        threading.stack_size(65536)
        try:
            for _ in range(200):
                threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
            time.sleep(600)
        except RuntimeError:
            os._exit(9)
        """,
        ends_by=("processes",),
        refused=True,
    ),
    "processes that leave their parents": Exhaustion(
        """
        for _ in range(100):
            try:
                if os.fork() == 0:
                    os.setsid()
                    if os.fork() == 0: time.sleep(600)
                    os._exit(0)
            except OSError:
                os._exit(9)
            if os.waitstatus_to_exitcode(os.wait()[1]): os._exit(9)
        time.sleep(600)
        """,
        ends_by=("processes",),
        refused=True,
    ),
    "processor time": Exhaustion(
        "while True: pass", ends_by=("cpu",), limits=replace(SMALL, cpu_s=1)
    ),
    "time": Exhaustion("time.sleep(3600)", ends_by=("time",), limits=replace(SMALL, wall_s=1)),
    "time, with its output closed": Exhaustion(
        "os.close(1); os.close(2); time.sleep(3600)",
        ends_by=("time",),
        limits=replace(SMALL, wall_s=1),
    ),
    "memory, with its output closed": Exhaustion(
        """
        os.close(1); os.close(2)
        for _ in range(8):
            if os.fork() == 0:
                x = b"x" * (100 << 20)
                time.sleep(600)
        time.sleep(600)
        """,
        ends_by=("memory",),
    ),
    "output": Exhaustion("while True: print('x' * 1000)", ends_by=("output",)),
    "output of many processes": Exhaustion(
        """
        for _ in range(4):
            if os.fork() == 0: break
        while True: os.write(2, b"x" * 65536)
        """,
        ends_by=("output",),
    ),
    "descriptors": Exhaustion(
        """
        try:
            kept = [os.open("/dev/null", 0) for _ in range(10**5)]
        except OSError:
            sys.exit(9)
        """,
        refused=True,
    ),
    "buffers of sockets": Exhaustion(
        """
        for _ in range(20):
            if os.fork() == 0:
                kept = [socket.socketpair() for _ in range(400)]
                for one, other in kept:
                    one.setblocking(False)
                    try:
                        while True: one.send(bytes(65536))
                    except BlockingIOError:
                        pass
                time.sleep(600)
        time.sleep(600)
        """,
        ends_by=("memory",),
    ),
    "watches of files": Exhaustion(
        """
        try:
            for _ in range(10**4):
                if libc.inotify_init1(0) < 0: raise OSError
        except OSError:
            sys.exit(9)
        """,
        refused=True,
    ),
    "arguments": Exhaustion(
        """
        try:
            os.execv(sys.executable, [sys.executable, "-c", "", "x" * (1 << 26)])
        except OSError:
            sys.exit(9)
        """,
        refused=True,
    ),
    "a pipe of files that nobody reads": Exhaustion(
        "os.mkfifo('/tmp/fifo'); open('/tmp/fifo', 'w')",
        ends_by=("time",),
        limits=replace(SMALL, wall_s=1),
    ),
    "signals ignored": Exhaustion(
        """
        import signal
        for number in range(1, 32):
            try: signal.signal(number, signal.SIG_IGN)
            except OSError: pass
        while True: time.sleep(600)
        """,
        ends_by=("time",),
        limits=replace(SMALL, wall_s=1),
    ),
}
