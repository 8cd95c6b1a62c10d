"""prod runs what was asked for, and the new folder is gone."""

from __future__ import annotations

from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import GITOPS
from tests.support.samples import DRAFT


def it_is_gone(world: AttackWorld) -> None:
    """Foreign content was put back before the promotion."""
    files = world.git(GITOPS).read_files(world.main(GITOPS))
    assert not [path for path in files if path.startswith("environments/dev/quick-fix")]
    assert world.story.engine.status(DRAFT).promotion("prod") is not None
