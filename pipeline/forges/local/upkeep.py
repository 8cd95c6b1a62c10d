"""Upkeep of a local forge's repositories: packs many small packs, objects and refs into few files.

Every push leaves a pack and perhaps a file for each ref, and reading slows down with their number.
Only files that have a copy are removed: unreferenced objects may belong to a push in progress.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import GitFailed
from pipeline.git.repository import GitRepository

# After a repack each pack holds at least twice as many objects as the next smaller one, so there
# are fewer than this many.
_PACKS = 24
# One of the 256 folders of loose objects is sampled, as `git gc` does: about 6,700 objects in all.
_SAMPLE, _LOOSE = "17", 27


def keep_up(git: GitRepository) -> None:
    """Pack a bare repository if much was written to it and no other process is packing it.

    A failure loses nothing: the next write tries again.
    """
    if not _is_due(git.path):
        return
    with _alone(git.path) as alone, suppress(GitFailed):
        if alone and _is_due(git.path):
            git.pack_all()


def _is_due(path: Path) -> bool:
    packs = sum(name.endswith(".pack") for name in _names(path / "objects" / "pack"))
    return packs >= _PACKS or len(_names(path / "objects" / _SAMPLE)) >= _LOOSE


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except FileNotFoundError:
        return []


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether this process got the lock for packing this repository; held while this is open.

    Two at once lose nothing, but do the same work twice. The lock, on the folder of objects, ends
    with the process.
    """
    folder = os.open(path / "objects", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except OSError:
        alone = False
    try:
        yield alone
    finally:
        os.close(folder)
