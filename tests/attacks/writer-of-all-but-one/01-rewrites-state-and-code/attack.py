"""The chain ends before dev, and adds up."""

from __future__ import annotations

from pipeline.git.repository import GitRepository
from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import CONTROL, move


def forget_dev(world: AttackWorld) -> None:
    """The state branch ends one commit earlier, where facts and status agree."""
    git = GitRepository(world.story.forge.path(CONTROL))
    head = git.resolve("refs/heads/state/acme")
    assert head is not None
    move(git, "state/acme", git.read_commit(head).parents[0])
    git.close()
