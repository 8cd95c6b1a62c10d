"""What all processes of one sandbox use together, counted from outside where no cgroup does it.

Counted are the pages of each process, those that several share once each (Pss), page tables, what
stands in scratch space, each inode there (bubblewrap bounds the bytes of a tmpfs and not its
inodes), and what descriptors and sockets may hold in the kernel. Not counted, because nothing
shows it from outside: memory without a process or a file. Calls that make such memory (memfds,
which live on in a socket's queue; System V segments and queues) are refused
(`pipeline.sandbox.calls`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress

from pipeline.sandbox.limits import MAX_DESCRIPTORS, MAX_FILES, Limits

SCRATCH = ("/primitive", "/tmp", "/dev/shm")
_INODE_BYTES = 1024
_DESCRIPTOR_BYTES = 4096  # what a pipe has once its user has many
_SOCKET_BYTES = 208 * 1024  # net.core.wmem_default
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_FIELD = re.compile(rb"^(RssAnon|RssShmem|VmPTE|VmSwap|Threads):\s+([0-9]+)", re.MULTILINE)
_MAPPING = re.compile(rb"[0-9a-f]+-[0-9a-f]+ \S{4} \S+ \S+ ([0-9]+) *(.*)")


def over_limit(first: int, limits: Limits) -> str | None:
    """The limit that a sandbox is over: `memory`, `processes`, `cpu` or `file-size`; None if none.

    `first` is its process 1 as the host knows it. Raises PermissionError when it can't be looked
    at, as it can happen once to a process that is just ending.
    """
    try:
        root = f"/proc/{first}/root"
        if os.path.samestat(os.stat(root), os.stat("/")):  # noqa: PTH116 # twenty times a second
            return None  # its own root is not there yet
        space_bytes, inodes = _scratch(root)
        pids = [n for n in os.listdir(f"{root}/proc") if n.isdigit()]  # noqa: PTH208 # twenty times a second, too
        threads, highest_bytes, descriptors = _usage(root, pids)
        # Go ignores the signal that comes before the end.
        longest_s = max((_cpu_s(f"{root}/proc/{pid}/stat") for pid in pids), default=0.0)
        sockets_bytes = _sockets(first) * _SOCKET_BYTES
    except PermissionError:
        raise
    except OSError:
        return None  # it is just beginning or ending
    # The first processes are of the sandbox itself.
    if threads > limits.processes + 2:
        return "processes"
    if longest_s >= limits.cpu_s:
        return "cpu"
    if space_bytes > limits.file_bytes or inodes > MAX_FILES:
        return "file-size"
    kernel_bytes = inodes * _INODE_BYTES + descriptors * _DESCRIPTOR_BYTES + sockets_bytes
    besides = space_bytes + kernel_bytes
    if besides + highest_bytes <= limits.memory_bytes:
        return None
    # Pages that several processes share were counted for each.
    exact = sum(_own_bytes(root, pid) for pid in pids)
    return "memory" if besides + exact > limits.memory_bytes else None


def _scratch(root: str) -> tuple[int, int]:
    """Bytes and inodes that are used in scratch space."""
    found = [os.statvfs(root + folder) for folder in SCRATCH]
    used_bytes = sum((s.f_blocks - s.f_bfree) * s.f_frsize for s in found)
    return used_bytes, sum(s.f_files - s.f_ffree for s in found)


def _usage(root: str, pids: list[str]) -> tuple[int, int, int]:
    """Threads, descriptors, and bytes in memory, the latter at the highest."""
    threads = kib = descriptors = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for name, value in _FIELD.findall(_read(f"{root}/proc/{pid}/status")):
                if name == b"Threads":
                    threads += int(value)
                else:
                    kib += int(value)
            try:
                descriptors += len(os.listdir(f"{root}/proc/{pid}/fd"))  # noqa: PTH208 # once a process, twenty times a second
            except PermissionError:
                descriptors += MAX_DESCRIPTORS
    return threads, kib * 1024, descriptors


def _cpu_s(path: str) -> float:
    """Processor time that a process took itself."""
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = _read(path).rpartition(b") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
    return 0.0


def _own_bytes(root: str, pid: str) -> int:
    """A process's share of all that it maps, but for files: those of scratch space are counted."""
    kib = 0
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = {n: int(v) for n, v in _FIELD.findall(_read(f"{root}/proc/{pid}/status"))}
        kib = fields.get(b"VmPTE", 0)
        try:
            lines = _mappings(_read(f"{root}/proc/{pid}/smaps"))
        except PermissionError:
            return sum(v for n, v in fields.items() if n != b"Threads") * 1024
        for is_file, line in lines:
            # Of a file only the pages that the process changed for itself are its own.
            if line.startswith((b"Anonymous:", b"Swap:") if is_file else (b"Pss:", b"Swap:")):
                kib += int(line.split()[1])
    return kib * 1024


def _mappings(smaps: bytes) -> Iterator[tuple[bool, bytes]]:
    """Each line of `smaps`, and whether its mapping is of a file."""
    is_file = False
    for line in smaps.split(b"\n"):
        if found := _MAPPING.fullmatch(line):
            # Memory that processes share has an inode, and no file that one could open.
            is_file = found[1] != b"0" and not found[2].startswith((b"/dev/zero", b"/memfd:"))
        else:
            yield is_file, line


def _sockets(first: int) -> int:
    found = re.search(rb"sockets: used ([0-9]+)", _read(f"/proc/{first}/net/sockstat"))
    return int(found[1]) if found else 0


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()
