"""Writes a file of the source that is too long to stand in a description."""

from __future__ import annotations

from pipeline.git.objects import MODE_FILE
from tests.attacks.changes import Files
from tests.attacks.worlds import AttackWorld


def open_braces(world: AttackWorld, files: Files) -> None:
    """One line of opened actions."""
    files["primitives/order-router/chart/templates/more.yaml"] = (
        MODE_FILE,
        b"x: " + b"{{" * 100_000 + b"\n",
    )
