"""The team on the forge loses a member."""

from __future__ import annotations

from tests.attacks.worlds import AttackWorld
from tests.support.fact_history import ENGINEER_ID


def leave(world: AttackWorld) -> None:
    """The first engineer leaves."""
    assert world.story.server is not None
    world.story.server.state.teams["ameide", "acme-engineers"].members.discard(ENGINEER_ID)
