"""What was promoted lies there again, and nothing else."""

from __future__ import annotations

from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import GITOPS


def it_is_gone(world: AttackWorld) -> None:
    """The override is not a file of main any more."""
    files = world.git(GITOPS).read_files(world.main(GITOPS))
    assert not [path for path in files if "argocd-source" in path]
