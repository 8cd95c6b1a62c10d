"""The folder of the draft's facts has one fact less, by the same id, in the auditor's clone."""

from __future__ import annotations

import subprocess
import zlib

from pipeline.git.objects import parse_tree, tree_object
from pipeline.git.process import git_environment
from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import CONTROL


def put_other_bytes(world: AttackWorld) -> None:
    """Unpack the clone, and write that one object over."""
    assert world.clones is not None
    clone = world.clones / CONTROL

    def git(*words: str, stdin: bytes | None = None) -> bytes:
        return subprocess.run(
            ["git", "-C", str(clone), *words],
            env=git_environment(),
            input=stdin,
            capture_output=True,
            check=True,
        ).stdout

    spec = "refs/remotes/origin/state/acme:drafts/order-router/facts"
    id = git("rev-parse", spec).decode().strip()
    other = tree_object(parse_tree(git("cat-file", "tree", id))[:-1])
    for pack in sorted((clone / ".git/objects/pack").glob("*.pack")):
        content = pack.read_bytes()
        for part in pack.parent.glob(f"{pack.stem}.*"):
            part.unlink()
        git("unpack-objects", "-q", stdin=content)
    loose = clone / ".git/objects" / id[:2] / id[2:]
    loose.chmod(0o644)
    loose.write_bytes(zlib.compress(b"tree %d\0" % len(other.content) + other.content))
    assert git("cat-file", "tree", spec) == other.content
