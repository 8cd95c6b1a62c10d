"""The draft's branch holds other code, and what it held is gone."""

from __future__ import annotations

import subprocess

from pipeline.git.process import git_environment
from tests.attacks.steps import play
from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import CODE
from tests.support.samples import DRAFT


def rewrite(world: AttackWorld) -> None:
    """Amend the newest commit of the branch."""
    branch = world.story.engine.status(DRAFT).branch_name
    changes = [{"write": {"path": "primitives/order-router/src/late.py", "text": "x = 1\n"}}]
    words = {"repo": CODE, "branch": branch, "as": "pipeline", "amend": True, "changes": changes}
    play(world, [{"write on disk": words}])
    bare = str(world.story.forge.path(CODE))
    for command in (["reflog", "expire", "--expire=now", "--all"], ["gc", "--prune=now", "-q"]):
        subprocess.run(["git", "-C", bare, *command], env=git_environment(), check=True)
