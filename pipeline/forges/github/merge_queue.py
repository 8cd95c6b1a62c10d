"""The refs of GitHub's merge queue."""

from __future__ import annotations

# One branch per pull request, at the commit that the queue made for it.
QUEUE_REFS = "refs/heads/gh-readonly-queue/"
