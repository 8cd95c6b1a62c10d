"""What acme asked for is done."""

from __future__ import annotations

from tests.attacks.worlds import AttackWorld
from tests.support.samples import DRAFT


def acme_goes_on(world: AttackWorld) -> None:
    """dev runs acme's draft."""
    assert world.story.engine.status(DRAFT).promotion("dev") is not None
