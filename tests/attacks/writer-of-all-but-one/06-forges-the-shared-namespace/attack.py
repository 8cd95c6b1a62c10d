"""prod's promotion is told by a fact with the shared namespace."""

from __future__ import annotations

from tests.attacks.forging import forge_promotion
from tests.attacks.worlds import AttackWorld


def forge(world: AttackWorld) -> None:
    """Everything else is as it would be."""
    forge_promotion(
        world, "prod", approved_by=(1501, 1601), cause_of="prod", namespace="ameide-prod"
    )
