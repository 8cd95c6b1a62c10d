"""A patch against the scaffold, of a file that was changed since."""

from __future__ import annotations

from tests.attacks.changes import CHANGES, Files
from tests.attacks.worlds import AttackWorld
from tests.support.samples import DRAFT
from tests.support.story import SOURCE


def stale(world: AttackWorld, files: Files) -> None:
    """The base is the scaffold's commit."""
    facts = world.story.engine.facts(DRAFT)
    [base] = [f.body.commit for f in facts if f.body.type == "scaffolded"]
    files_of = {f"{SOURCE}/routing.py": "SLOW = 1\n"}
    CHANGES["patch"](world, files, {"base": base, "files": files_of})
