"""Reads a primitive's folder from Git within bounds: sizes first, then contents."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING

from pipeline.errors import OverBound
from pipeline.git.objects import File
from pipeline.sandbox.limits import MAX_FILES

if TYPE_CHECKING:
    from pipeline.git.repository import GitRepository

MAX_SOURCE_BYTES = 128 * 1024**2
MAX_SOURCE_FILES = 20_000
_MAX_PART_BYTES, _MAX_PATH_BYTES = 255, 4000  # NAME_MAX; PATH_MAX with room for the folder


def read_source_files(git: GitRepository, treeish: str, folder: str) -> dict[str, File]:
    """Path below `folder` → (mode, content) of every file there.

    Raises OverBound, before any content is read, if it exceeds the bounds of a source.
    """
    require_bounded_source(git, treeish, folder)
    return git.read_files(treeish, folder)


def require_bounded_source(git: GitRepository, treeish: str, folder: str) -> None:
    """Raise OverBound for a folder that exceeds the bounds of a source."""
    sizes = git.list_sizes(treeish, folder)
    if len(sizes) > MAX_SOURCE_FILES:
        raise OverBound(
            "files", f"the source has {len(sizes):,} files, and {MAX_SOURCE_FILES:,} are allowed"
        )
    total_bytes = sum(sizes.values())
    if total_bytes > MAX_SOURCE_BYTES:
        raise OverBound(
            "size", f"the source has {total_bytes:,} bytes, and {MAX_SOURCE_BYTES:,} are allowed"
        )
    require_plain_paths(sizes)


def require_plain_paths(paths: Collection[str]) -> None:
    """Raise OverBound, naming the path, for files that no folder can hold."""
    if len(paths) > MAX_FILES:
        raise OverBound("files", f"{len(paths):,} files, and {MAX_FILES:,} can be handled")
    for path in paths:
        parts = path.split("/")
        if "\0" in path or "\\" in path or not {"", ".", ".."}.isdisjoint(parts):
            raise OverBound("path", f"`{path[:300]!r}` is not a plain relative path")
        try:
            lengths = [len(os.fsencode(part)) for part in parts]
        except UnicodeEncodeError as error:
            raise OverBound("path", f"`{path[:300]!r}` is not text") from error
        if max(lengths) > _MAX_PART_BYTES or sum(lengths) + len(lengths) > _MAX_PATH_BYTES:
            raise OverBound("path", f"the path `{path[:100]}…` is too long for a file system")
