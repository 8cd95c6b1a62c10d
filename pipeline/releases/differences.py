"""The diff between a release and what runs now: counted, and shown. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from pipeline.characters import visible


def count_changed_lines(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> tuple[int, int]:
    """The numbers of lines that a diff of two sets of files (path → bytes) adds and removes.

    Only a line feed ends a line, as in git: a line that loses it, or gains a carriage return, is a
    different line.
    """
    added = removed = 0
    for path in sorted({*old, *new}):
        before, after = old.get(path, b""), new.get(path, b"")
        if before == after:
            continue
        # `autojunk` stays on: without it 5,000 lines of seven kinds take minutes to compare.
        matcher = difflib.SequenceMatcher(None, _lines(before), _lines(after))
        for tag, first, last, new_first, new_last in matcher.get_opcodes():
            if tag != "equal":
                removed += last - first
                added += new_last - new_first
    return added, removed


def _lines(content: bytes) -> list[bytes]:
    *ended, rest = content.split(b"\n")
    return [*(line + b"\n" for line in ended), *([rest] if rest else [])]


def diff_lines(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> Iterator[str]:
    """The unified diff of two sets of files, with invisible characters shown."""
    for path in sorted({*old, *new}):
        before, after = (
            [visible(line) for line in files.get(path, b"").decode("utf-8", "replace").splitlines()]
            for files in (old, new)
        )
        yield from difflib.unified_diff(
            before,
            after,
            visible(path) if path in old else "/dev/null",
            visible(path) if path in new else "/dev/null",
            lineterm="",
            n=2,
        )
