"""A patch with a path of many folders."""

from __future__ import annotations

from tests.attacks.changes import CHANGES, Files
from tests.attacks.worlds import AttackWorld


def long_path(world: AttackWorld, files: Files) -> None:
    """Ten folders of 49 letters."""
    path = "/".join(["x" * 49] * 10)
    CHANGES["patch"](world, files, {"files": {f"{path}/a.py": "x = 1\n"}})
