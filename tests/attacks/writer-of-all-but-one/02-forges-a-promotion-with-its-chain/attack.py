"""prod's promotion is told by a fact that rests on a request that is not there."""

from __future__ import annotations

from tests.attacks.forging import forge_promotion
from tests.attacks.worlds import AttackWorld


def forge(world: AttackWorld) -> None:
    """The cause names prod's request at main's head."""
    forge_promotion(world, "prod", approved_by=(1501, 1601))
