"""A cache of bytes by key, always safe to lose and never trusted unchecked.

An entry is one file: the SHA-256 of its content, a newline, the content. An entry whose hash does
not match counts as absent. Files appear by rename, so a reader sees all or nothing.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path


def cache_dir() -> Path:
    """The cache's folder: $PIPELINE_CACHE, else the user's cache folder; it may not exist yet."""
    if named := os.environ.get("PIPELINE_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    # The XDG specification says to ignore a relative path.
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    return root / "primitive-pipeline"


def cache_key(*parts: str | bytes) -> str:
    """The key of these parts: hex, different whenever any part differs."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def read_cached(kind: str, key: str) -> bytes | None:
    """The bytes kept under this kind and key; None if absent or damaged."""
    try:
        raw = _entry(kind, key).read_bytes()
    except OSError:
        return None
    stored, newline, content = raw[:64], raw[64:65], raw[65:]
    if newline != b"\n" or hashlib.sha256(content).hexdigest().encode() != stored:
        return None
    return content


def write_cached(kind: str, key: str, content: bytes) -> None:
    """Keep the bytes; do nothing if the cache cannot be written."""
    path = _entry(kind, key)
    # A read-only or full cache costs time but changes no result.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise


def _entry(kind: str, key: str) -> Path:
    return cache_dir() / kind / key[:2] / key[2:]
