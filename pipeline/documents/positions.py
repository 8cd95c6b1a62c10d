"""The position of every node of a document, computed when a finding needs it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import yaml
from yaml import events

from pipeline.documents import rules
from pipeline.documents.events import Path, open_events

_Place: TypeAlias = tuple[int, int]


# Findings are made and shown file by file, so few files are enough.
@lru_cache(maxsize=64)
def read_positions(text: str) -> dict[Path, tuple[_Place, _Place]]:
    """Path of each node → the positions of its key (in a list, of itself) and of its value."""
    positions: dict[Path, tuple[_Place, _Place]] = {}
    try:
        for path, key, value in _walk_positions(text):
            positions.setdefault(path, (key, value))
    except yaml.YAMLError:
        pass  # keep the positions before the syntax error
    return positions


@dataclass(slots=True)
class _Open:
    """An open collection in the second pass: `index` counts a list, `key` waits in a mapping."""

    path: Path
    index: int | None
    key: tuple[str, _Place] | None = None


def _walk_positions(text: str) -> Iterator[tuple[Path, _Place, _Place]]:
    stack: list[_Open] = []
    for event in open_events(text):
        if isinstance(event, events.CollectionEndEvent):
            stack.pop()
        if not isinstance(event, events.NodeEvent):
            continue
        mark: Any = event.start_mark
        place = (mark.line + 1, mark.column + 1)
        top = stack[-1] if stack else None
        path: Path = ()
        key = place
        if top is not None and top.index is not None:
            path = (*top.path, top.index)
            top.index += 1
        elif top is not None and top.key is not None:
            path, key = (*top.path, top.key[0]), top.key[1]
            top.key = None
        elif top is not None:
            text_of_key = event.value if isinstance(event, events.ScalarEvent) else ""
            top.key = (text_of_key, place)
            if isinstance(event, (events.ScalarEvent, events.AliasEvent)):
                continue
            path = (*top.path, text_of_key)
        yield path, key, place
        if isinstance(event, events.CollectionStartEvent):
            if len(stack) >= rules.DEPTH_MAXIMUM:
                return
            is_list = isinstance(event, events.SequenceStartEvent)
            stack.append(_Open(path, 0 if is_list else None))
