"""The root tree of the state branch's head is not an object of the auditor's clone any more."""

from __future__ import annotations

import subprocess

from pipeline.git.process import git_environment
from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import CONTROL


def take_the_root_tree(world: AttackWorld) -> None:
    """Unpack the clone, and delete that one object."""
    assert world.clones is not None
    clone = world.clones / CONTROL
    ref = "refs/remotes/origin/state/acme^{tree}"

    def git(*words: str, stdin: bytes | None = None) -> str:
        told = subprocess.run(
            ["git", "-C", str(clone), *words],
            env=git_environment(),
            input=stdin,
            capture_output=True,
            check=True,
        )
        return told.stdout.decode().strip()

    tree = git("rev-parse", ref)
    packs = sorted((clone / ".git/objects/pack").glob("*.pack"))
    for pack in packs:
        content = pack.read_bytes()
        for part in pack.parent.glob(f"{pack.stem}.*"):
            part.unlink()
        git("unpack-objects", "-q", stdin=content)
    (clone / ".git/objects" / tree[:2] / tree[2:]).unlink()
