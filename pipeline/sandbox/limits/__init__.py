"""The limits of a command in the sandbox, and how they are enforced.

The kernel bounds each process (`rlimits`); a cgroup bounds all processes together if there is one
(`cgroup.py`), otherwise they are counted from outside (`counting.py`).
"""

from __future__ import annotations

import resource
from dataclasses import dataclass

MAX_DESCRIPTORS = 1024  # per process
MAX_FILES = 65_536  # in scratch space
_GRACE_S = 5  # between the signal and the kernel's kill, for processes that ignore the signal


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a command; times in seconds, sizes in bytes.

    `memory_bytes` bounds all processes together: their own pages, shared pages, and the scratch
    space. `address_space_bytes` bounds the reservations of each process (0: the memory limit),
    `file_bytes` each file and all scratch space together; `processes` counts threads too.
    """

    cpu_s: int = 300
    wall_s: float = 300
    memory_bytes: int = 2 * 1024**3
    processes: int = 256
    output_bytes: int = 4 * 1024**2
    file_bytes: int = 512 * 1024**2
    address_space_bytes: int = 0


def rlimits(limits: Limits) -> list[str]:
    """The options of `prlimit` (util-linux) that set the limits of one process.

    None exceeds what this process may set.
    """
    chosen = {
        "as": limits.address_space_bytes or limits.memory_bytes,
        "core": 0,
        "cpu": limits.cpu_s,
        "fsize": limits.file_bytes,
        "memlock": 1 << 16,
        "msgqueue": 0,
        "nofile": MAX_DESCRIPTORS,
        "nproc": limits.processes,
    }
    options = []
    for name, wanted in chosen.items():
        _, highest = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
        # The soft limit of processor time comes first: its signal shows the cause.
        hard = wanted + _GRACE_S if name == "cpu" else wanted
        if highest != resource.RLIM_INFINITY:
            wanted, hard = min(wanted, highest), min(hard, highest)
        options.append(f"--{name}={wanted}:{hard}")
    return options
