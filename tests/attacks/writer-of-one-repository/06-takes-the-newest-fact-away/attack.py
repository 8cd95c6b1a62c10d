"""The newest fact is gone."""

from __future__ import annotations

from tests.attacks.changes import Files
from tests.attacks.worlds import AttackWorld


def without_newest(world: AttackWorld, files: Files) -> None:
    """The file with the highest number goes."""
    del files[max(path for path in files if "/facts/" in path)]
