"""Files of a template, for parser and engine: paths, globs, marks. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pipeline.characters import FORBIDDEN_IN_TEXT

# Rendering does not change a file without any of these.
MARKS: Final = (b"${{", b"{%", b"{#")
_GLOB = re.compile(r"(?!/)(?!.*//)[A-Za-z0-9_./*?@ -]+\Z")


@dataclass(frozen=True, slots=True)
class TemplateFile:
    """One file: its path with `/`, its bytes, and whether it is executable and shared.

    A shared file is outside the skeleton and is copied as it is, its name included.
    """

    path: str
    content: bytes
    executable: bool = False
    shared: bool = False


def is_safe_path(path: str) -> bool:
    """Whether the path is relative, normalised, visible, and outside any git folder."""
    parts = path.split("/")
    return (
        not any(part in ("", ".", "..") or part.lower() == ".git" for part in parts)
        and "\\" not in path
        and "\n" not in path
        and "\t" not in path
        and not FORBIDDEN_IN_TEXT.search(path)
    )


def is_copied(file: TemplateFile, copy_only: Collection[str]) -> bool:
    """Whether the content is copied as it is: shared, nothing to render, binary, or matched."""
    return (
        file.shared
        or not any(mark in file.content for mark in MARKS)
        or b"\0" in file.content
        or any(glob_matches(glob, file.path) for glob in copy_only)
    )


def is_plain_glob(glob: str) -> bool:
    """Whether the glob means the same here and in Backstage's globby."""
    return bool(_GLOB.match(glob))


def glob_matches(glob: str, path: str) -> bool:
    """Whether the path or a folder above it matches: globby matches a folder with its content."""
    return bool(_glob_pattern(glob).match(path))


# The `copyWithoutTemplating` of the templates in use: a few globs each.
@lru_cache(maxsize=256)
def _glob_pattern(glob: str) -> re.Pattern[str]:
    parts = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", glob.rstrip("/"))
    return re.compile(
        "".join(parts.get(piece, re.escape(piece)) for piece in pieces) + r"(?:/.*)?\Z"
    )
