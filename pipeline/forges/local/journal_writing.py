"""Writes a local forge's journal by compare-and-swap, together with the branches that move."""

from __future__ import annotations

import random
import time

from pipeline.errors import StalePlan
from pipeline.forges.local.journal import JOURNAL_REF, objects_over
from pipeline.forges.local.pull_values import HEADS
from pipeline.forges.local.upkeep import keep_up
from pipeline.git.objects import Files, GitObject, RefUpdate, Signature, commit_object
from pipeline.git.repository import GitRepository

FORGE_SIGNATURE = Signature("local-forge", "local-forge@users.noreply.pipeline.invalid", 0)
JOURNAL_TRIES = 200


def move_journal(
    git: GitRepository,
    head: str | None,
    files: Files,
    moves: tuple[RefUpdate, ...],
    *,
    extra: tuple[GitObject, ...] = (),
) -> bool:
    """Whether the journal (with these files written over it) and `moves` moved together."""
    objects = [*extra, *objects_over(git, head, files)]
    commit = commit_object(
        objects[-1].id,
        [head] if head else [],
        "Record in the journal\n",
        FORGE_SIGNATURE,
        FORGE_SIGNATURE,
    )
    git.write_objects([*objects, commit])
    try:
        git.update_refs([RefUpdate(JOURNAL_REF, head, commit.id), *moves])
    except StalePlan:
        return False
    keep_up(git)
    return True


def wait(attempt: int) -> None:
    """Wait a moment before the next try, longer after more tries."""
    time.sleep(random.uniform(0, 0.01 * min(attempt + 1, 10)))


def too_busy(repo: str, doing: str) -> StalePlan:
    """The error after JOURNAL_TRIES tries with other writers in between each time."""
    return StalePlan(
        f"{repo} is too busy to {doing}",
        help=f"run it again; if nothing else runs, a crash left a `.lock` file below its {HEADS} "
        f"or beside its {JOURNAL_REF}: remove that",
    )
