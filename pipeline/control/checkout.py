"""Finds a control checkout and the local forge it came from. Imports no models, so it is fast.

Every command opens the checkout here, also `pipeline status`, so it runs one `git config` itself:
measured in a fresh process, 3 ms instead of 79 ms with GitPython, 75 of them for its import. That
would be a third of the time that `status` may take (0.2 s). GitPython makes the checkouts
(`pipeline.git.checkouts`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageFault
from pipeline.forges.local.address import LocalOrigin, find_origin

if TYPE_CHECKING:
    from pipeline.git.repository import GitRepository


def find_checkout(directory: Path) -> Path:
    """The top of the control checkout that holds `directory`. Raises UsageFault."""
    for candidate in (directory, *directory.parents):
        if (candidate / ".git").exists() and (candidate / "environments").is_dir():
            return candidate
    raise UsageFault(
        f"{directory} is not inside a control repo",
        help="name one with -C: a git checkout with an `environments/` folder",
    )


def read_address(top: Path, git: GitRepository) -> str:
    """The address of a checkout's remote `origin`. Raises UsageFault if it has none."""
    origin = git.remote_url("origin")
    if origin is None:
        raise UsageFault(
            f"{top} has no remote `origin`, so it belongs to no forge",
            help="clone the control repo from its forge; `pipeline demo` makes one to look at",
        )
    return origin


def read_origin(top: Path, git: GitRepository) -> LocalOrigin:
    """The local forge of a checkout's remote `origin`. Raises UsageFault."""
    return find_origin(read_address(top, git), top, os.environ)
