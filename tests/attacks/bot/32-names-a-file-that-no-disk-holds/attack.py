"""A patch with a name that is too long by one."""

from __future__ import annotations

from tests.attacks.changes import CHANGES, Files
from tests.attacks.worlds import AttackWorld


def long_name(world: AttackWorld, files: Files) -> None:
    """256 letters and an ending."""
    CHANGES["patch"](world, files, {"files": {f"src/{'x' * 253}.py": "x = 1\n"}})
