"""A folder that no promotion wrote."""

from __future__ import annotations

from tests.attacks.changes import Files
from tests.attacks.worlds import AttackWorld


def to_prod(world: AttackWorld, files: Files) -> None:
    """All of staging's files, in prod's place."""
    for path in [p for p in files if p.startswith("environments/staging/")]:
        files[path.replace("/staging/", "/prod/", 1)] = files[path]
