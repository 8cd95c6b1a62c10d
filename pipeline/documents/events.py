"""One YAML document as events, read into values and findings in one pass.

Pure. `EventReader` enforces every limit on the way. The events come from libyaml, or from PyYAML's
own parser if libyaml is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml
from yaml import events

from pipeline.characters import (
    ESCAPE,
    FINDINGS_MAXIMUM,
    FORBIDDEN_IN_VALUE,
    SHORT_ESCAPES,
    line_and_column,
    look_of,
)
from pipeline.diagnostics import Finding, Location, Rule
from pipeline.documents import rules
from pipeline.documents.characters import character_finding
from pipeline.documents.yaml12 import NumberRefused, resolve_plain

Path: TypeAlias = tuple[str | int, ...]
Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | float | bool | None"
# PyYAML's events and marks: its stubs do not know that parsed events always have marks.
_Event: TypeAlias = Any
_Mark: TypeAlias = Any

_LOADER: Callable[[str], Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _short(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= 40 else text[:37] + "…"


class _Stop(Exception):
    """Stops the reader: nothing after this place can be read."""


@dataclass(slots=True)
class _Frame:
    """One open mapping or list.

    In a mapping `keys` holds the keys seen so far with their marks, by `look_of`.
    """

    container: dict[str, Value] | list[Value]
    keys: dict[str, tuple[str, _Mark]] | None
    key: str | None = None


class EventReader:
    """Reads the events of one document into plain values and findings."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.findings: list[Finding] = []

    def read(self) -> Value:
        """The value of the document; meaningless if there are findings."""
        try:
            return self._read()
        except _Stop:
            return None
        except yaml.YAMLError as error:
            self._add_syntax_error(error)
            return None

    def _at(self, mark: _Mark) -> Location:
        return Location(self.file, mark.line + 1, mark.column + 1)

    def _at_index(self, index: int) -> Location:
        return Location(self.file, *line_and_column(self.text, index))

    def _add(self, rule: Rule, message: str, location: Location, *, help: str = "") -> None:
        self.findings.append(rule.finding(message, location, help=help))
        if len(self.findings) >= FINDINGS_MAXIMUM:
            raise _Stop

    def _read(self) -> Value:
        next_event = _LOADER(self.text).get_event
        next_event()  # start of the stream
        start = next_event()
        if isinstance(start, events.StreamEndEvent):
            self._add(rules.YAML_EMPTY, "the file holds no document", Location(self.file, 1, 1))
            raise _Stop
        self._check_document_start(start)
        value = self._read_nodes(next_event)
        next_event()  # end of the document
        after = next_event()
        if isinstance(after, events.DocumentStartEvent):
            message = "a second document starts here"
            self._add(rules.YAML_MULTIPLE_DOCUMENTS, message, self._at(after.start_mark))
        return value

    def _check_document_start(self, event: _Event) -> None:
        if event.version or event.tags:
            index = 0 if self.text.startswith("%") else self.text.find("\n%") + 1
            self._add(
                rules.YAML_DIRECTIVE, "a directive changes how to read", self._at_index(index)
            )

    def _read_nodes(self, next_event: Callable[[], _Event]) -> Value:
        stack: list[_Frame] = []
        frame: _Frame | None = None
        nodes = 0
        value: Value
        while True:
            event = next_event()
            kind = type(event)
            if kind is events.MappingEndEvent or kind is events.SequenceEndEvent:
                stack.pop()
                if not stack:
                    assert frame is not None  # it was on the stack a moment ago
                    return frame.container
                frame = stack[-1]
                continue
            nodes += 1
            if nodes > rules.NODES_MAXIMUM:
                message = f"the file holds more than {rules.NODES_MAXIMUM:,} keys and values"
                self._add(rules.YAML_TOO_MANY_NODES, message, self._at(event.start_mark))
                raise _Stop
            if event.anchor is not None:
                self._add_anchor(event)
            if kind is events.AliasEvent:
                is_key = frame is not None and frame.keys is not None and frame.key is None
                value = "*" + event.anchor if is_key else None
            else:
                if event.tag is not None:
                    self._add_tag(event)
                if kind is events.ScalarEvent:
                    if frame is not None and frame.keys is not None and frame.key is None:
                        frame.key = self._key(event, frame.keys)
                        continue
                    value = self._scalar(event)
                else:
                    value = {} if kind is events.MappingStartEvent else []
            if frame is None:
                if kind is not events.MappingStartEvent:
                    self._add_top_level(event)
                if not isinstance(value, (dict, list)):
                    return value
            elif frame.keys is None:
                frame.container.append(value)  # type: ignore[union-attr] # a list has no keys
            elif frame.key is None:
                frame.key = self._key_of_other_kind(event, kind)
                if kind is events.AliasEvent:
                    continue
            else:
                frame.container[frame.key] = value  # type: ignore[call-overload] # a mapping
                frame.key = None
            if kind is events.MappingStartEvent or kind is events.SequenceStartEvent:
                frame = _Frame(value, {} if kind is events.MappingStartEvent else None)  # type: ignore[arg-type] # made above
                stack.append(frame)
                if len(stack) > rules.DEPTH_MAXIMUM:
                    message = f"this is level {len(stack)}"
                    self._add(rules.YAML_TOO_DEEP, message, self._at(event.start_mark))
                    raise _Stop

    def _key(self, event: _Event, keys: dict[str, tuple[str, _Mark]]) -> str:
        text: str = event.value
        if not event.style:
            if text == "<<":
                self._add(rules.YAML_MERGE_KEY, "`<<` merges mappings", self._at(event.start_mark))
                return text
            try:
                is_string = isinstance(resolve_plain(text), str)
            except NumberRefused:
                is_string = False
            if not is_string:
                shown = f"`{_short(text)}`" if text else "nothing"
                message = f"the key is {shown}, which is not text"
                self._add(rules.YAML_KEY_NOT_STRING, message, self._at(event.start_mark))
        elif FORBIDDEN_IN_VALUE.search(text):
            self._add_escapes(event)
        form = look_of(text)
        if form in keys:
            first, mark = keys[form]
            again = "occurs a second time" if first == text else "looks like an earlier key"
            message = f"key `{_short(text)}` {again}, first in line {mark.line + 1}"
            self._add(rules.YAML_DUPLICATE_KEY, message, self._at(event.start_mark))
        else:
            keys[form] = (text, event.start_mark)
        return text

    def _key_of_other_kind(self, event: _Event, kind: type[object]) -> str:
        if kind is not events.AliasEvent:
            what = "mapping" if kind is events.MappingStartEvent else "list"
            message = f"the key is a {what}, which is not text"
            self._add(rules.YAML_KEY_NOT_STRING, message, self._at(event.start_mark))
        return ""

    def _scalar(self, event: _Event) -> Value:
        text: str = event.value
        if event.style:
            if FORBIDDEN_IN_VALUE.search(text):
                self._add_escapes(event)
            return text
        try:
            return resolve_plain(text)
        except NumberRefused as error:
            message = f"`{_short(text)}`: {error}"
            self._add(rules.YAML_NUMBER_RANGE, message, self._at(event.start_mark))
            return None

    def _add_anchor(self, event: _Event) -> None:
        start: int = event.start_mark.index
        if isinstance(event, events.AliasEvent):
            message = f"`*{_short(event.anchor)}` stands for a value written elsewhere"
            self._add(rules.YAML_ALIAS, message, self._at(event.start_mark))
            return
        index = self.text.find(f"&{event.anchor}", start)
        message = f"`&{_short(event.anchor)}` names this value for use elsewhere"
        self._add(rules.YAML_ANCHOR, message, self._at_index(max(index, start)))

    def _add_tag(self, event: _Event) -> None:
        start: int = event.start_mark.index
        after_anchor = start + 1 + len(event.anchor) if self.text[start] == "&" else start
        index = self.text.find("!", after_anchor)
        end = re.compile(r"[\s,\]}]").search(self.text, index)
        shown = _short(self.text[index : end.start() if end else None])
        self._add(rules.YAML_TAG, f"the value carries the tag `{shown}`", self._at_index(index))

    def _add_top_level(self, event: _Event) -> None:
        if isinstance(event, events.ScalarEvent) and not event.style and event.value == "":
            self._add(rules.YAML_EMPTY, "the document is empty", Location(self.file, 1, 1))
        else:
            what = "a list" if isinstance(event, events.SequenceStartEvent) else "a single value"
            message = f"the top level is {what}"
            self._add(rules.YAML_NOT_A_MAPPING, message, self._at(event.start_mark))

    def _add_escapes(self, event: _Event) -> None:
        """Findings at escapes that produced forbidden characters; raw ones are already found."""
        if event.style != '"':
            return
        start, end = event.start_mark.index, event.end_mark.index
        for match in ESCAPE.finditer(self.text, start, end):
            number = match[1] or match[2] or match[3]
            character = chr(int(number, 16)) if number else SHORT_ESCAPES.get(match[4], "")
            if character and FORBIDDEN_IN_VALUE.match(character):
                location = self._at_index(match.start())
                message = f"the escape `{match[0]}` makes"
                self.findings.append(character_finding(character, location, message))
                if len(self.findings) >= FINDINGS_MAXIMUM:
                    raise _Stop

    def _add_syntax_error(self, error: yaml.YAMLError) -> None:
        if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
            message = f"the YAML cannot be read: {' '.join(str(error).split())}"
            self.findings.append(rules.YAML_SYNTAX.finding(message, Location(self.file, 1, 1)))
            return
        mark = error.problem_mark
        if error.context_mark is not None and "expected ':'" in (error.problem or ""):
            mark = error.context_mark  # the line that lacks the colon, not the one after it
        index = min(mark.index, len(self.text))
        line_start = self.text.rfind("\n", 0, index) + 1
        half = re.compile(r"\\u[dD][89a-fA-F]").search(self.text, max(index - 8, 0))
        if self.text[line_start : line_start + 1] == "%":
            message = "a directive changes how to read"
            finding = rules.YAML_DIRECTIVE.finding(message, self._at_index(line_start))
        elif half and half.start() <= index and "escape" in (error.problem or ""):
            finding = rules.YAML_SURROGATE.finding(
                f"the escape `{self.text[half.start() : half.start() + 6]}` is half a character",
                self._at_index(half.start()),
            )
        elif "nesting depth" in (error.problem or ""):
            # libyaml looks ahead for a key and reaches its own limit before it makes an event.
            finding = rules.YAML_TOO_DEEP.finding("this is level 1,000 at least", self._at(mark))
        elif self.text.startswith(("<<<<<<<", "=======", ">>>>>>>"), line_start):
            message = "a merge conflict was committed"
            help = "decide which side is meant, and delete the markers"
            finding = rules.YAML_SYNTAX.finding(message, self._at_index(line_start), help=help)
        elif self.text[index : index + 1] == "\t":
            message = "a tab cannot indent or start a value"
            finding = rules.YAML_SYNTAX.finding(message, self._at(mark), help="indent with spaces")
        elif index >= len(self.text.rstrip()):
            # The start of the unclosed node helps more than the end of the file.
            start: _Mark = error.context_mark or mark
            place = self._at_index(min(start.index, max(len(self.text.rstrip()) - 1, 0)))
            finding = rules.YAML_SYNTAX.finding(f"this never ends: {error.problem}", place)
        else:
            while_ = f", {error.context}" if error.context else ""
            finding = rules.YAML_SYNTAX.finding(f"{error.problem}{while_}", self._at(mark))
        self.findings.append(finding)


def open_events(text: str) -> Iterator[_Event]:
    """The events of the first document of `text`, up to its end. Raises yaml.YAMLError."""
    loader = _LOADER(text)
    while True:
        event = loader.get_event()
        if event is None or isinstance(event, events.DocumentEndEvent):
            return
        yield event
