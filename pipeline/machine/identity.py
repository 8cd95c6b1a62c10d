"""The identity of this package's code: results remembered by other code do not count."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from pipeline import __version__
from pipeline.machine.cache import cache_key


# No parameter: one value per process.
@lru_cache(maxsize=1)
def tool_identity() -> str:
    """A key over the version and the installed files, which changes with the code."""
    top = Path(__file__).resolve().parents[1]
    return cache_key(__version__, *sorted(_stamps(str(top), len(str(top)) + 1)))


def _stamps(folder: str, cut: int) -> Iterator[str]:
    """Path, size and time of every file; `scandir` stats each file once (5 ms, not 60)."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _stamps(entry.path, cut)
            else:
                stat = entry.stat()
                yield f"{entry.path[cut:]} {stat.st_size} {stat.st_mtime_ns}"
