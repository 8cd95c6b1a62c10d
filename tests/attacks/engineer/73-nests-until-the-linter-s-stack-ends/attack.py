"""Writes a file of the source that is too long to stand in a description."""

from __future__ import annotations

from pipeline.git.objects import MODE_FILE
from tests.attacks.changes import Files
from tests.attacks.worlds import AttackWorld
from tests.support.bombs import deep_expression


def nest(world: AttackWorld, files: Files) -> None:
    """One line that no parser by recursion reads."""
    files["primitives/order-router/src/domain_order_router/deep.py"] = (
        MODE_FILE,
        deep_expression(),
    )
