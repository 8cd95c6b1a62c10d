"""prod's promotion is told by a fact with another digest, in the shared namespace."""

from __future__ import annotations

from tests.attacks.forging import forge_promotion
from tests.attacks.worlds import AttackWorld


def forge(world: AttackWorld) -> None:
    """Nobody built it, and it is not a tenant's place."""
    digest = "sha256:" + "1" * 64
    forge_promotion(world, "prod", approved_by=(1501, 1601), digest=digest, namespace="ameide-prod")
