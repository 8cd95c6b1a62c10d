"""Pushes to `draft/…`, through the forge and past it."""

from __future__ import annotations

from tests.attacks.steps import play
from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import CODE
from tests.support.samples import DRAFT


def push_to_the_draft_s_branch(world: AttackWorld) -> None:
    """Both ways."""
    branch = world.story.engine.status(DRAFT).branch_name
    changes = [{"write": {"path": "primitives/order-router/src/late.py", "text": "x = 1\n"}}]
    where = {"repo": CODE, "branch": branch, "changes": changes}
    play(world, [{"push": {"as": "acme-engineer-1", **where}}, {"plain push": where}])
