"""prod's promotion is told by a fact with another digest."""

from __future__ import annotations

from tests.attacks.forging import forge_promotion
from tests.attacks.worlds import AttackWorld


def forge(world: AttackWorld) -> None:
    """Everything else is as it would be."""
    digest = "sha256:" + "1" * 64
    forge_promotion(world, "prod", approved_by=(1501, 1601), cause_of="prod", digest=digest)
