"""Edits of a request file that change the named values and leave every other line alone.

Pure. An edit replaces the span of one value, found by the parser's own marks, so comments, blank
lines, quoting and order of everything else survive byte for byte. Each result is read again: what
does not give exactly the value asked for is never returned.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yaml import events

from pipeline.documents.events import Path, open_events
from pipeline.documents.reader import parse_document
from pipeline.documents.writer import entry_lines, item_lines, render_flow
from pipeline.errors import PipelineError, Refused, UsageFault


@dataclass(slots=True)
class _Span:
    """One node: where it and its key start, where its last leaf ends, and how it is written."""

    start: int
    end: int
    column: int
    key_start: int
    in_flow: bool
    shape: str  # scalar, block (a block scalar), mapping, list
    is_flow: bool = False


def edit_document(content: bytes, changes: Mapping[Path, object]) -> bytes:
    """`content` with the value at each path set; everything else is the same bytes.

    A path may name a new key of an existing mapping, or the index behind the last item of a list.
    Raises Refused if `content` is no acceptable document, UsageFault for a path whose parent does
    not exist or a value that no request may hold.
    """
    document = parse_document("(document)", content)
    if not document.ok:
        raise Refused("the document to edit is refused", document.findings)
    text = content.decode("utf-8")
    wanted: Any = copy.deepcopy(document.value)
    for path, value in changes.items():
        if not path:
            raise UsageFault("an edit names a field, not the whole document")
        wanted = _with_value(wanted, path, value)
        text = _edit(text, path, value)
    edited = text.encode("utf-8")
    result = parse_document("(edited document)", edited)
    if not result.ok or result.value != wanted:
        names = ", ".join(".".join(map(str, path)) for path in changes)
        raise PipelineError(f"an edit of {names} would change more than it says")
    return edited


def _with_value(tree: Any, path: Path, value: object) -> Any:
    target: Any = tree
    try:
        for step in path[:-1]:
            target = target[step]
        if isinstance(target, list) and path[-1] == len(target):
            target.append(None)
        if not isinstance(target, (dict, list)):
            raise KeyError(path[-1])
        place: Any = target
        place[path[-1]] = _plain(value)
    except (KeyError, IndexError, TypeError) as error:
        message = f"there is no place `{'.'.join(map(str, path))}` in the document"
        raise UsageFault(message) from error
    return tree


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, str) else value


def _edit(text: str, path: Path, value: object) -> str:
    spans = _read_spans(text)
    line_end = "\r\n" if "\r\n" in text else "\n"
    span = spans.get(path)
    if span is None:
        return _insert(text, spans[path[:-1]], path[-1], value, line_end)
    if span.in_flow:
        replacement = render_flow(value, in_flow=True)
    elif span.shape == "scalar" and _is_one_line(value):
        replacement = render_flow(value)
    else:
        return _replace_entry(text, span, path[-1], value, line_end)
    if span.start == span.end:  # nothing stood behind the colon or the dash
        replacement = " " + replacement
    return text[: span.start] + replacement + text[span.end :]


def _is_one_line(value: object) -> bool:
    if isinstance(value, str):
        return "\n" not in value
    return not (isinstance(value, (Mapping, list, tuple)) and value)


def _lines(step: str | int, value: object) -> list[str]:
    return item_lines(value) if isinstance(step, int) else entry_lines(step, value)


def _replace_entry(text: str, span: _Span, step: str | int, value: object, line_end: str) -> str:
    """The text with an entry written anew, from its key or dash to the end of its last line."""
    start = span.key_start
    if isinstance(step, int):
        start = text.rindex("-", 0, span.key_start)
    indent = " " * (start - (text.rfind("\n", 0, start) + 1))
    first, *others = _lines(step, value)
    block = line_end.join([first, *(indent + line if line else "" for line in others)])
    return text[:start] + block + text[_end_of_line(text, span.end) :]


def _insert(text: str, parent: _Span, step: str | int, value: object, line_end: str) -> str:
    if parent.is_flow:
        entry = render_flow(value, in_flow=True)
        if isinstance(step, str):
            entry = render_flow({step: value})[1:-1]
        closing = parent.end - 1
        inside = text[parent.start + 1 : closing]
        comma = "" if not inside.strip() or inside.rstrip().endswith(",") else ","
        before = closing - (len(inside) - len(inside.rstrip()))
        space = " " if inside.strip() else ""
        return text[:before] + comma + space + entry + text[before:]
    indent = " " * parent.column
    block = line_end.join(indent + line if line else "" for line in _lines(step, value))
    end = _end_of_line(text, parent.end)
    return text[:end] + line_end + block + text[end:]


def _end_of_line(text: str, index: int) -> int:
    end = text.find("\n", index)
    if end == -1:
        return len(text)
    return end - 1 if text[end - 1] == "\r" else end


def _read_spans(text: str) -> dict[Path, _Span]:
    """The span of every node of an accepted document."""
    spans: dict[Path, _Span] = {}
    stack: list[tuple[Path, _Span, list[int]]] = []  # path, span, [index of the next item]
    key: tuple[str, int] | None = None
    for event in open_events(text):
        if isinstance(event, events.CollectionEndEvent):
            _, span, _ = stack.pop()
            if span.is_flow:
                end: Any = event.end_mark
                span.end = end.index
            if stack:
                stack[-1][1].end = span.end
            continue
        if not isinstance(event, events.NodeEvent):
            continue
        mark: Any = event.start_mark
        parent = stack[-1] if stack else None
        key_start = mark.index
        path: Path = ()
        if parent is not None and parent[1].shape == "mapping":
            if key is None:
                assert isinstance(event, events.ScalarEvent)  # the reader took no other keys
                key = (event.value, mark.index)
                continue
            path, key_start, key = (*parent[0], key[0]), key[1], None
        elif parent is not None:
            path = (*parent[0], parent[2][0])
            parent[2][0] += 1
        span = _span_of(text, event, key_start, parent is not None and parent[1].is_flow)
        spans[path] = span
        if isinstance(event, events.CollectionStartEvent):
            stack.append((path, span, [0]))
        elif parent is not None:
            parent[1].end = span.end
    return spans


def _span_of(text: str, event: Any, key_start: int, in_flow: bool) -> _Span:
    start, end = event.start_mark.index, event.end_mark.index
    shape, is_flow = "scalar", False
    if isinstance(event, events.ScalarEvent):
        if event.style in ("|", ">"):
            # The mark lies behind the line ends, which are part of the text only after `+`.
            raw = text[start:end]
            keeps = "+" in raw.split("\n", 1)[0].split("#", 1)[0]
            shape, end = "block", start + len(raw.rstrip(" ")[:-1] if keeps else raw.rstrip())
    else:
        shape = "mapping" if isinstance(event, events.MappingStartEvent) else "list"
        is_flow = bool(event.flow_style)
    return _Span(start, end, event.start_mark.column, key_start, in_flow, shape, is_flow)
