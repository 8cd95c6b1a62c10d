"""The values that templates are rendered with: frozen JSON values, and the filters on them. Pure.

Values are data: they have no methods and are never compiled. Values that Backstage's engine would
silently render wrong (`a,b` for a list, `[object Object]`) have no text here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

_SAFE_INTEGER = 2**53 - 1
_ARRAY_INDEX_MAX = 2**32 - 2


class TemplateFault(ValueError):
    """One reason, with file and line, why something does not render.

    Internal: callers outside see `pipeline.templating.TemplateError`.
    """


class Object:
    """A JSON object for templates: keys are attributes, and a loop over it gives pairs."""

    __slots__ = ("items_of",)

    def __init__(self, items_of: dict[str, object]) -> None:
        self.items_of = items_of

    def __iter__(self) -> Iterator[tuple[str, object]]:
        # Like Backstage's engine for `for key, value in object`. No `__len__`: even an empty object
        # is true in a condition, as in JavaScript.
        return iter(self.items_of.items())


class List(tuple[object, ...]):
    """A JSON list for templates: it has a `length`, and is true even if empty."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return True


def context_of(values: Mapping[str, object]) -> dict[str, object]:
    """The context of every file: `values`, copied and frozen.

    Raises TemplateFault for anything that JSON or JavaScript cannot represent exactly.
    """
    return {"values": _as_json(values, "values")}


def _as_json(value: object, where: str) -> object:
    match value:
        case None | bool():
            return value
        case str():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise TemplateFault(f"{where}: the text holds a lone surrogate") from error
            return str(value)
        case int():
            if abs(value) > _SAFE_INTEGER:
                raise TemplateFault(f"{where}: {value} is beyond what JSON numbers hold exactly")
            return value
        case float():
            if not math.isfinite(value) or not value.is_integer() or abs(value) > _SAFE_INTEGER:
                raise TemplateFault(f"{where}: {value} is not a whole number")
            return int(value)
        case Mapping():
            return Object(
                {
                    key: _as_json(value[key], f"{where}.{key}")
                    for key in _keys_in_order(value, where)
                }
            )
        case Sequence():
            return List(_as_json(item, f"{where}[{i}]") for i, item in enumerate(value))
        case _:
            raise TemplateFault(f"{where}: a {type(value).__name__} is not a JSON value")


def _keys_in_order(value: Mapping[object, object], where: str) -> list[str]:
    """Keys as JavaScript lists them: array indices first and ascending, then as inserted."""
    for key in value:
        if not isinstance(key, str):
            raise TemplateFault(f"{where}: the key {key!r} is not text")
    keys = [str(key) for key in value]
    indices = [
        key for key in keys if re.fullmatch(r"0|[1-9][0-9]*", key) and int(key) <= _ARRAY_INDEX_MAX
    ]
    return sorted(indices, key=int) + [key for key in keys if key not in set(indices)]


def json_text(value: object) -> str:
    """The value as JavaScript's JSON.stringify writes it; also a valid YAML and TOML scalar.

    That holds for text without control characters and line separators, which the schemas refuse.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Object):
        return value.items_of
    raise TemplateFault(f"a {type(value).__name__} is not a JSON value")


def written(value: object) -> object:
    """The text of an expression's value; lists, objects and null are refused."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return value
    what = {type(None): "null", Object: "an object"}.get(type(value), "a list")
    raise TemplateFault(f"{what} has no text; use `| dump` or `| join`")


def _replaced(text: str, old: str, new: str) -> str:
    return text.replace(old, new)


def _joined(items: Sequence[str], separator: str = "") -> str:
    return separator.join(str(written(item)) for item in items)


FILTERS: Final[Mapping[str, Callable[..., object]]] = {
    "dump": json_text,
    "join": _joined,
    "lower": str.lower,
    "replace": _replaced,
    "upper": str.upper,
}
