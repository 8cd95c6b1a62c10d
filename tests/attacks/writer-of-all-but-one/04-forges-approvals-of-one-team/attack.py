"""prod's promotion is told by a fact with approvals of one team."""

from __future__ import annotations

from tests.attacks.forging import forge_promotion
from tests.attacks.worlds import AttackWorld


def forge(world: AttackWorld) -> None:
    """The request is there; the approvals never were."""
    forge_promotion(world, "prod", approved_by=(1501, 1502), cause_of="prod")
