"""prod's promotion is told by a fact whose cause is staging's."""

from __future__ import annotations

from tests.attacks.forging import forge_promotion
from tests.attacks.worlds import AttackWorld


def forge(world: AttackWorld) -> None:
    """The cause is that of the promotion to staging."""
    forge_promotion(world, "prod", approved_by=(1501, 1601), cause_of="staging")
