"""Asks for staging by the commit that the agent pushed itself."""

from __future__ import annotations

from tests.attacks.steps import ask
from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import CODE


def ask_for_branch(world: AttackWorld) -> None:
    """The request names the head of the agent's own branch."""
    commit = world.git(CODE).resolve("refs/heads/quick-fix")
    pins = {"digest": "sha256:" + "1" * 64, "tree": "a" * 40}
    promotion = {"to": "staging", "bare": True, "commit": commit, **pins}
    ask(world, {"as": "acme-agent", "changes": [{"promotion": promotion}]})
