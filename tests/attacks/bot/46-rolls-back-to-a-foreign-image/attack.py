"""The platform offers lane `rollback`."""

from __future__ import annotations

from tests.attacks.worlds import AttackWorld
from tests.support import second_day


def offer_lane(world: AttackWorld) -> None:
    """The platform's owners list the lane, and release managers vouch for it."""
    world.story.change_policy(second_day.PLATFORM, second_day.with_lanes())
