"""runc, never asked for a capability that this machine may not give.

    runc_within_bounds.py RUNC ARGUMENT…

A builder of buildx is a privileged container: Docker asks for every capability there is, and runc
fails where the machine itself lacks one, as machines of a CI may.
"""

from __future__ import annotations

import json
import os
import sys
from itertools import pairwise
from pathlib import Path

# linux/capability.h: those that machines are known to go without.
NUMBERS = {"CAP_SYS_RESOURCE": 24, "CAP_SYS_TIME": 25, "CAP_SYS_BOOT": 22, "CAP_SYS_MODULE": 16}


def lacking() -> set[str]:
    """What of these is not in the bounding set."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    [bounds] = [int(line.split()[1], 16) for line in lines if line.startswith("CapBnd:")]
    return {name for name, number in NUMBERS.items() if not bounds >> number & 1}


def reduce(path: Path) -> None:
    """Take what the machine lacks out of a container's configuration, or out of a process's."""
    told = json.loads(path.read_bytes())
    sets = told.get("process", told).get("capabilities") or {}
    for name, granted in sets.items():
        sets[name] = [capability for capability in granted if capability not in lacking()]
    path.write_text(json.dumps(told), encoding="utf-8")


def main() -> None:
    """Become runc."""
    runc, *arguments = sys.argv[1:]
    for option, value in pairwise(arguments):
        if option == "--bundle":
            reduce(Path(value) / "config.json")
        if option == "--process":
            reduce(Path(value))
    os.execv(runc, [runc, *arguments])


if __name__ == "__main__":
    main()
