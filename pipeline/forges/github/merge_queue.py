"""What GitHub's merge queue is about to merge, as its branches in a repository tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.git.repository import GitRepository

# One branch a pull request.
QUEUE_REFS = "refs/heads/gh-readonly-queue/"


def read_queued_commits(git: GitRepository) -> frozenset[str]:
    """The commits that the queue made and has not merged yet."""
    return frozenset(git.read_refs((QUEUE_REFS,)).values())
