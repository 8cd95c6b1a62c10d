"""Writes files from memory to disk for a tool: plain paths only, no links followed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import CouldNotCheck
from pipeline.sandbox.sources import require_plain_paths


def write_files(
    root: Path, files: Mapping[str, bytes], executables: frozenset[str] = frozenset()
) -> None:
    """Write `files` (relative path → bytes) below `root`, with fixed modes.

    Raises OverBound for a path that would leave `root` or that no file system can hold,
    CouldNotCheck if it can't be written.
    """
    require_plain_paths(files)
    for path, content in sorted(files.items()):
        parts = path.split("/")
        target = root.joinpath(*parts)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(0o755 if path in executables else 0o644)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise CouldNotCheck(f"`{path!r}` cannot be written: {reason}") from error
