"""A tag of the draft's commit, and a request that names the tag's id."""

from __future__ import annotations

import subprocess

from pipeline.git.process import git_environment
from tests.attacks.steps import ask
from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import CODE
from tests.support.samples import DRAFT


def tag(world: AttackWorld) -> None:
    """The tag is an object of the repository of code."""
    head = world.story.engine.status(DRAFT).head
    text = f"object {head}\ntype commit\ntag v1\ntagger x <x@example.com> 1767226500 +0000\n\nv1\n"
    made = subprocess.run(
        [
            "git",
            "-C",
            str(world.story.forge.path(CODE)),
            "hash-object",
            "-t",
            "tag",
            "-w",
            "--stdin",
        ],
        env=git_environment(),
        input=text.encode(),
        capture_output=True,
        check=True,
    )
    promotion = {"to": "dev", "bare": True, "commit": made.stdout.decode().strip()}
    ask(world, {"as": "acme-agent", "changes": [{"promotion": promotion}]})
