"""Where GitHub's merge queue keeps what it is about to merge."""

from __future__ import annotations

# One branch a pull request, at the commit that the queue made of it.
QUEUE_REFS = "refs/heads/gh-readonly-queue/"
