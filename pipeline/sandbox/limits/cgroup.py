"""A cgroup v2 for one sandbox, if one can be made: then the kernel enforces the limits.

It is made below the nearest cgroup above this process that gives memory to its children and is
writable, as systemd delegates them (`Delegate=memory pids`). No cgroup in use is changed.

Source: Linux, "Control Group v2", Delegation; `memory.oom.group`.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.sandbox.limits import Limits

MOUNTED = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A cgroup that holds one sandbox."""

    folder: Path

    def joining(self) -> tuple[str, ...]:
        """The command prefix that runs a command in this cgroup."""
        join = 'echo $$ >"$0" && exec "$@"'
        return ("/bin/sh", "-c", join, str(self.folder / "cgroup.procs"))

    def over_limit(self) -> str | None:
        """`memory` once the kernel killed a process in it for memory; None otherwise."""
        for line in (self.folder / "memory.events").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name in {"oom_kill", "oom_group_kill"} and count != "0":
                return "memory"
        return None


def find_parent(mounted: Path = MOUNTED, own: Path = Path("/proc/self/cgroup")) -> Path | None:
    """The cgroup below which one can be made; None if there is none."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    path = next((line[3:] for line in lines if line.startswith("0::/")), None)
    if path is None or ".." in path.split("/"):
        return None
    here = mounted / path.lstrip("/")
    for folder in (here, *here.parents):
        if not folder.is_relative_to(mounted):
            break
        with suppress(OSError):
            given = (folder / "cgroup.subtree_control").read_text().split()
            if "memory" in given and os.access(folder / "cgroup.procs", os.W_OK):
                return folder
    return None


@contextmanager
def sandbox_cgroup(parent: Path | None, limits: Limits) -> Iterator[Cgroup | None]:
    """A cgroup below `parent` with these limits, empty and removed afterwards; None without one."""
    folder = _make(parent, limits) if parent is not None else None
    try:
        yield Cgroup(folder) if folder is not None else None
    finally:
        if folder is not None:
            _remove(folder)


def _make(parent: Path, limits: Limits) -> Path | None:
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="primitive-pipeline-", dir=parent))
        (folder / "memory.max").write_text(str(limits.memory_bytes))
        (folder / "memory.oom.group").write_text("1")
        with suppress(OSError):  # a kernel without swap has no such file
            (folder / "memory.swap.max").write_text("0")
    except OSError:
        if folder is not None:
            _remove(folder)
        return None
    return folder


def _remove(folder: Path) -> None:
    for _ in range(200):  # the kernel takes a moment to release ended processes
        with suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.005)
