"""A name that is too long by one, in the repository of code."""

from __future__ import annotations

from tests.attacks.steps import play
from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import CODE


def name_it(world: AttackWorld) -> None:
    """256 letters."""
    change = {"write": {"path": f"primitives/order-router/{'x' * 256}", "text": ""}}
    words = {"as": "acme-engineer-1", "repo": CODE, "branch": "main", "changes": [change]}
    play(world, [{"write on disk": words}])
