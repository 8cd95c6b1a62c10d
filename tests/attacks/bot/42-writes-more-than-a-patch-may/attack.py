"""A patch of one large file."""

from __future__ import annotations

from tests.attacks.changes import CHANGES, Files
from tests.attacks.worlds import AttackWorld


def large(world: AttackWorld, files: Files) -> None:
    """600 KB in one line."""
    CHANGES["patch"](world, files, {"files": {"src/more.txt": "x" * 600_000 + "\n"}})
