"""The team on the forge loses a member."""

from __future__ import annotations

from tests.attacks.worlds import AttackWorld
from tests.support.fact_history import RELEASE_MANAGERS


def leave(world: AttackWorld) -> None:
    """The second release manager leaves."""
    assert world.story.server is not None
    team = world.story.server.state.teams["ameide", "release-managers"]
    team.members.discard(RELEASE_MANAGERS[1])
