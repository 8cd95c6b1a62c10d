"""A tag of the draft's commit, and a request that names the tag's id."""

from __future__ import annotations

from pipeline.gitobjects import git_object
from tests.attacks.steps import ask
from tests.attacks.worlds import AttackWorld
from tests.audit_world import CODE
from tests.samples import DRAFT


def tag(world: AttackWorld) -> None:
    """The tag is an object of the repository of code."""
    head = world.story.engine.status(DRAFT).head
    text = f"object {head}\ntype commit\ntag v1\ntagger x <x@example.com> 1767226500 +0000\n\nv1\n"
    made = git_object("tag", text.encode())
    world.git(CODE).write_objects([made])
    promotion = {"to": "dev", "bare": True, "commit": made.id}
    ask(world, {"as": "acme-agent", "changes": [{"promotion": promotion}]})
