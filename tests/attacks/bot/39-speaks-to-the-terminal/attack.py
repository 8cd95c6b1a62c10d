"""Looks at the pull request as a reviewer does."""

from __future__ import annotations

import subprocess

from pipeline.git.process import git_environment
from tests.attacks.worlds import AttackWorld
from tests.support.command_line import call
from tests.support.finished_story import CONTROL


def show(world: AttackWorld) -> None:
    """Both views of it; the checkout is a copy, so its origin is told anew."""
    origin = str(world.story.forge.path(CONTROL))
    checkout = world.story.root / "control"
    words = ["git", "-C", str(checkout), "remote", "set-url", "origin", origin]
    subprocess.run(words, env=git_environment(), check=True)
    for words in (("show", f"control#{world.pull}"), ("list", "control")):
        ran = call(checkout, "review", *words)
        assert ran.exit_code == 0, ran.err
        assert "\x1b" not in ran.out + ran.err
        assert "Approved by security" in ran.out
