"""A report's bytes as plain objects: one strict, bounded reader of JSON and YAML. Pure.

It reads the output of `kubectl get -o json` and `-o yaml`: one object, a List, or several
documents. Duplicate keys, anchors, aliases, tags and input over the bounds are refused. Characters
in texts are not judged here: one hostile message must not hide all others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

import yaml

from pipeline.characters import visible
from pipeline.delivery.rules import REPORT_MALFORMED
from pipeline.diagnostics import Finding, Location
from pipeline.documents.yaml12 import NumberRefused, resolve_plain

MAX_BYTES = 64 * 1024**2
# libyaml's events cost far more per byte than JSON.
MAX_YAML_BYTES = 16 * 1024**2
MAX_DEPTH = 64
MAX_OBJECTS = 20_000
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

Object = dict[str, object]


class _Malformed(ValueError):
    """The report cannot be read; with the place, if known."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.place = (line, column)


def parse_objects(file: str, content: bytes) -> tuple[tuple[Object, ...], tuple[Finding, ...]]:
    """The objects of a report in order, with Lists expanded; or none and the findings.

    An object without a kind in a List gets the List's kind.
    """
    try:
        return tuple(_objects(content)), ()
    except _Malformed as error:
        at = Location(file, *error.place)
        return (), (REPORT_MALFORMED.finding(visible(str(error)), at),)


def parse_json_object(content: bytes) -> Object:
    """The one object in an answer. Raises ValueError with the problem."""
    found = _json(_text(content))
    if not isinstance(found, dict):
        raise _Malformed("the top level is not one object")
    return found


def _text(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise _Malformed(f"it has {len(content):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Malformed(f"byte {error.start} is not UTF-8") from error


def _objects(content: bytes) -> list[Object]:
    text = _text(content)
    is_json = text.lstrip()[:1] in ("{", "[")
    found: list[Object] = []
    for document in [_json(text)] if is_json else _yaml(text):
        for item in _flat(document):
            if len(found) == MAX_OBJECTS:
                raise _Malformed(f"it holds more than {MAX_OBJECTS:,} objects")
            found.append(item)
    return found


def _flat(document: object) -> Iterator[Object]:
    if not isinstance(document, dict):
        raise _Malformed("the top level is not one object")
    kind, items = document.get("kind"), document.get("items")
    if not (isinstance(kind, str) and kind.endswith("List") and "items" in document):
        yield document
        return
    items = [] if items is None else items
    if not isinstance(items, list):
        raise _Malformed("the items of the List are not a list")
    for item in items:
        if not isinstance(item, dict):
            raise _Malformed("an item of the List is not an object")
        known = {"apiVersion": document.get("apiVersion"), "kind": kind.removesuffix("List")}
        yield cast("Object", {**(known if kind != "List" else {}), **item})


def _json(text: str) -> object:
    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        mapping = dict(found)
        if len(mapping) != len(found):
            twice = _first_twice(key for key, _ in found)
            raise _Malformed(f"the key `{twice[:40]}` occurs twice")
        return mapping

    def constant(name: str) -> object:
        raise _Malformed(f"`{name}` is not JSON")

    try:
        found = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise _Malformed(f"it is not JSON: {error.msg}", error.lineno, error.colno) from error
    except RecursionError as error:
        raise _Malformed("it nests too deep") from error
    except _Malformed:
        raise
    except ValueError as error:
        raise _Malformed("a number has too many digits") from error
    return found


def _first_twice(keys: Iterable[str]) -> str:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    return ""


def _yaml(text: str) -> Iterator[object]:
    if len(text) > MAX_YAML_BYTES:
        raise _Malformed(
            f"it has {len(text):,} characters of YAML; at most {MAX_YAML_BYTES:,} are read, and "
            f"{MAX_BYTES:,} bytes of JSON"
        )
    reader = _YamlReader()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            yield from reader.read(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else ()
        raise _Malformed(f"it is not YAML: {error.problem}", *place) from error
    except yaml.YAMLError as error:
        raise _Malformed(f"it is not YAML: {' '.join(str(error).split())[:200]}") from error


class _YamlReader:
    """Makes values from events; open containers are a stack, each with its next key."""

    def __init__(self) -> None:
        self._open: list[tuple[dict[str, object] | list[object], str | None]] = []

    def read(self, event: Any) -> Iterator[object]:
        """The document that ends with this event, if any."""
        if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            ended, _ = self._open.pop()
            if not self._open:
                yield ended
            return
        if not isinstance(event, yaml.NodeEvent):
            return
        mark: Any = event.start_mark  # a parsed event always has one
        line, column = mark.line + 1, mark.column + 1
        if event.anchor is not None:
            raise _Malformed("anchors and aliases are refused", line, column)
        if getattr(event, "tag", None) is not None:
            raise _Malformed("tags are refused", line, column)
        value: object = _scalar(event) if isinstance(event, yaml.ScalarEvent) else _container(event)
        try:
            is_key = self._put(value)
        except KeyError as error:
            raise _Malformed(f"the key `{error.args[0]}` occurs twice", line, column) from error
        except TypeError as error:
            raise _Malformed("a key is not text", line, column) from error
        if isinstance(value, (dict, list)):
            if is_key:
                raise _Malformed("a key is not text", line, column)
            self._open.append((value, None))
            if len(self._open) > MAX_DEPTH:
                raise _Malformed(f"it nests more than {MAX_DEPTH} levels deep", line, column)
        elif not self._open and value is not None:
            raise _Malformed("the top level is not one object", line, column)

    def _put(self, value: object) -> bool:
        """Whether the value is a key; puts it into the open container."""
        if not self._open:
            return False
        container, key = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        elif key is not None:
            container[key] = value
            self._open[-1] = (container, None)
        elif not isinstance(value, str):
            raise TypeError
        elif value in container:
            raise KeyError(value[:40])
        else:
            self._open[-1] = (container, value)
            return True
        return False


def _container(event: object) -> dict[str, object] | list[object]:
    return {} if isinstance(event, yaml.MappingStartEvent) else []


def _scalar(event: Any) -> object:
    if event.style:
        return event.value
    try:
        return resolve_plain(event.value)
    except NumberRefused:
        return event.value  # as text; no field that is read can hold such a number
