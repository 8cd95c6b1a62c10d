"""A hash of all refs of a bare repository, read from its files without a process."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


def read_ref_fingerprint(path: Path) -> str | None:
    """Hex that differs whenever a ref does; None if refs are not kept in files.

    Source: gitrepository-layout. A ref that moves from a loose file to `packed-refs` changes the
    hash although its value is the same, which costs a look. No change is missed, since
    `packed-refs` is read last: refs that have left their own file by then are in it.
    """
    if not (path / "refs").is_dir() or (path / "reftable").exists():
        return None
    digest = hashlib.sha256()
    files = sorted(_files(str(path / "refs"), len(str(path)) + 1))
    for name in (*files, "packed-refs"):
        try:
            with open(f"{path}/{name}", "rb") as file:  # noqa: PTH123 # a Path costs what reading does
                content = file.read()
        except (FileNotFoundError, IsADirectoryError):
            continue
        said = name.encode("utf-8", "surrogateescape")
        digest.update(b"%d %s %d " % (len(said), said, len(content)) + content)
    return digest.hexdigest()


def _files(folder: str, cut: int) -> Iterator[str]:
    """The path of every file below a folder, from the `cut`-th character on."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return  # it was empty and was removed
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path, cut)
        else:
            yield entry.path[cut:]
