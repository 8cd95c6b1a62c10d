"""A hash of where all refs of a bare repository stand, read from its files without a process."""

from __future__ import annotations

import hashlib
from pathlib import Path


def read_ref_fingerprint(path: Path) -> str | None:
    """Hex that differs whenever a ref does; None where refs are not kept in files.

    Source: gitrepository-layout. A ref on its way from a loose file to `packed-refs` changes the
    hash and nothing else, which costs a look and hides nothing.
    """
    if not (path / "refs").is_dir() or (path / "reftable").exists():
        return None
    digest = hashlib.sha256()
    files = [path / "packed-refs", *sorted((path / "refs").rglob("*"))]
    for file in files:
        try:
            content = file.read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            continue
        name = file.relative_to(path).as_posix().encode()
        digest.update(b"%d %s %d " % (len(name), name, len(content)) + content)
    return digest.hexdigest()
