"""Files from memory onto disk for a tool to read: plain paths only, nothing followed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import CouldNotCheck


def write_files(
    root: Path, files: Mapping[str, bytes], executables: frozenset[str] = frozenset()
) -> None:
    """Write `files` (relative path → bytes) below `root`, with fixed modes.

    Raises CouldNotCheck for a path that would leave `root` or that no file system holds.
    """
    for path, content in sorted(files.items()):
        parts = path.split("/")
        if any(part in {"", ".", ".."} for part in parts) or "\\" in path or "\0" in path:
            raise CouldNotCheck(f"`{path!r}` is no plain relative path")
        target = root.joinpath(*parts)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(0o755 if path in executables else 0o644)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise CouldNotCheck(f"`{path!r}` cannot be written: {reason}") from error


@contextmanager
def temporary_folder(files: Mapping[str, bytes]) -> Iterator[Path]:
    """A folder that holds `files` and is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        root = Path(name)
        write_files(root, files)
        yield root
