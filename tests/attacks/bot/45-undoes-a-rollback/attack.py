"""prod ran two releases, and people rolled it back to the first."""

from __future__ import annotations

from tests.attacks.worlds import AttackWorld
from tests.support import second_day


def roll_back(world: AttackWorld) -> None:
    """A second release goes to prod, and people go back to the first."""
    story = world.story
    story.change_policy(second_day.PLATFORM, second_day.with_lanes())
    second_day.release_again(story)
    second_day.roll_back(story)
    story.go()
