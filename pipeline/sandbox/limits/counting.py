"""Counts from outside what all processes of one sandbox use together, if no cgroup does it.

It counts the pages of each process, with shared ones once (Pss), page tables, files in scratch
space, each inode there (bubblewrap bounds the bytes of a tmpfs but not its inodes), and what
descriptors and sockets may hold in the kernel. It cannot see memory without a process or a file;
calls that make such memory (memfds, which live on in a socket's queue; System V segments and
queues) are refused (`pipeline.sandbox.calls`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress

from pipeline.sandbox.limits import MAX_DESCRIPTORS, MAX_FILES, Limits

SCRATCH = ("/primitive", "/tmp", "/dev/shm")
_INODE_BYTES = 1024
_DESCRIPTOR_BYTES = 4096  # the size of a pipe if its user has many
_SOCKET_BYTES = 208 * 1024  # net.core.wmem_default
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_FIELD = re.compile(rb"^(RssAnon|RssShmem|VmPTE|VmSwap|Threads):\s+([0-9]+)", re.MULTILINE)
_MAPPING = re.compile(rb"[0-9a-f]+-[0-9a-f]+ \S{4} \S+ \S+ ([0-9]+) *(.*)")


def over_limit(first: int, limits: Limits) -> str | None:
    """The limit that a sandbox exceeds: `memory`, `processes`, `cpu` or `file-size`; None if none.

    `first` is the host's id of its process 1. Raises PermissionError if it can't be read, which can
    happen once for a process that is just ending.
    """
    try:
        root = f"/proc/{first}/root"
        if os.path.samestat(os.stat(root), os.stat("/")):  # noqa: PTH116 # twenty times a second
            return None  # its own root does not exist yet
        space_bytes, inodes = _scratch(root)
        pids = [n for n in os.listdir(f"{root}/proc") if n.isdigit()]  # noqa: PTH208 # twenty times a second, too
        threads, highest_bytes, descriptors = _usage(root, pids)
        # Go programs ignore the signal of the soft limit.
        longest_s = max((_cpu_s(f"{root}/proc/{pid}/stat") for pid in pids), default=0.0)
        sockets_bytes = _sockets(first) * _SOCKET_BYTES
    except PermissionError:
        raise
    except OSError:
        return None  # it is just starting or ending
    # The first two processes belong to the sandbox itself.
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
    # The estimate counted shared pages once per process.
    exact = sum(_own_bytes(root, pid) for pid in pids)
    return "memory" if besides + exact > limits.memory_bytes else None


def _scratch(root: str) -> tuple[int, int]:
    """Used bytes and inodes in scratch space."""
    found = [os.statvfs(root + folder) for folder in SCRATCH]
    used_bytes = sum((s.f_blocks - s.f_bfree) * s.f_frsize for s in found)
    return used_bytes, sum(s.f_files - s.f_ffree for s in found)


def _usage(root: str, pids: list[str]) -> tuple[int, int, int]:
    """Threads, descriptors, and an upper bound of bytes in memory."""
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
    """Processor time of a process, without its children."""
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = _read(path).rpartition(b") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
    return 0.0


def _own_bytes(root: str, pid: str) -> int:
    """A process's share of its mappings except files: those in scratch space are counted there."""
    kib = 0
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = {n: int(v) for n, v in _FIELD.findall(_read(f"{root}/proc/{pid}/status"))}
        kib = fields.get(b"VmPTE", 0)
        try:
            lines = _mappings(_read(f"{root}/proc/{pid}/smaps"))
        except PermissionError:
            return sum(v for n, v in fields.items() if n != b"Threads") * 1024
        for is_file, line in lines:
            # For a file, only the pages that the process changed privately are its own.
            if line.startswith((b"Anonymous:", b"Swap:") if is_file else (b"Pss:", b"Swap:")):
                kib += int(line.split()[1])
    return kib * 1024


def _mappings(smaps: bytes) -> Iterator[tuple[bool, bytes]]:
    """Each line of `smaps`, and whether its mapping is of a file."""
    is_file = False
    for line in smaps.split(b"\n"):
        if found := _MAPPING.fullmatch(line):
            # Shared memory has an inode, but no file that could be opened.
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
