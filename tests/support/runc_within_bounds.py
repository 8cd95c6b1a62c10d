"""runc, without the capabilities that this machine may not give.

    runc_within_bounds.py RUNC ARGUMENT…

buildx builds in a privileged container: Docker asks for every capability, and runc fails if the
machine itself lacks one, as CI machines may.
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
    """Those of these capabilities that are not in the bounding set."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    [bounds] = [int(line.split()[1], 16) for line in lines if line.startswith("CapBnd:")]
    return {name for name, number in NUMBERS.items() if not bounds >> number & 1}


def reduce(path: Path) -> None:
    """Remove the missing capabilities from a container's or a process's configuration."""
    told = json.loads(path.read_bytes())
    sets = told.get("process", told).get("capabilities") or {}
    for name, granted in sets.items():
        sets[name] = [capability for capability in granted if capability not in lacking()]
    path.write_text(json.dumps(told), encoding="utf-8")


def main() -> None:
    """Replace this process by runc."""
    runc, *arguments = sys.argv[1:]
    for option, value in pairwise(arguments):
        if option == "--bundle":
            reduce(Path(value) / "config.json")
        if option == "--process":
            reduce(Path(value))
    os.execv(runc, [runc, *arguments])


if __name__ == "__main__":
    main()
