"""Objects judged by the allow-list: what is not allowed, where, and what would be. Pure.

`Bound` holds the required names, labels and references of one overlay; the allow-list refers to
them as words in angle brackets. An unbound word allows nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pipeline.characters import visible
from pipeline.releases.allowlist import (
    FIELD_RULE,
    VALUE_RULE,
    AllowedValue,
    AllowList,
    Field,
    Fields,
    Keyed,
    Node,
)

MOST_ENTRIES = 200  # of a list or a map
_WORD = re.compile(r"<([a-z][a-z0-9 ./-]*)>")
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused value: the rule's id, the field's path, and the problem."""

    rule: str
    path: str
    problem: str


@dataclass(frozen=True, slots=True)
class Bound:
    """The bound words of an overlay, as sorted pairs so that they compare; lists are joined."""

    words: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, words: Mapping[str, str]) -> Bound:
        """The bound words of a mapping."""
        return cls(tuple(sorted(words.items())))

    def get(self, word: str) -> str | None:
        """The value that the word is bound to; None if it is unbound."""
        return dict(self.words).get(word)


UNBOUND = Bound(())


def check_object(
    item: Mapping[str, object], kind: tuple[str, str], allowed: AllowList, bound: Bound
) -> Iterator[Refusal]:
    """The refusals in an object of an allowed kind."""
    yield from check_node(item, allowed.kinds[kind].node, bound)


def check_node(value: object, node: Node, bound: Bound) -> Iterator[Refusal]:
    """The refusals in a value, judged by a node."""
    yield from _check(value, node, "", "", bound)


def _check(value: object, node: Node, path: str, rule: str, bound: Bound) -> Iterator[Refusal]:
    match node:
        case AllowedValue():
            if not is_allowed(value, node, bound):
                yield Refusal(
                    node.refused_as or rule or VALUE_RULE,
                    path,
                    f"is {shown(value)}; allowed: {says(node, bound)}",
                )
        case Keyed():
            yield from _check_keyed(value, node, path, rule, bound)
        case Fields():
            yield from _check_fields(value, node, path, node.refused_as or rule, bound)


def _check_fields(
    value: object, node: Fields, path: str, rule: str, bound: Bound
) -> Iterator[Refusal]:
    if not isinstance(value, Mapping):
        yield Refusal(rule or VALUE_RULE, path, f"is {shown(value)}; allowed: an object")
        return
    for key, child in value.items():
        below = _join(path, str(key))
        field = node.fields.get(str(key))
        if field is None:
            listed = ", ".join(node.fields)
            yield Refusal(rule or FIELD_RULE, below, f"is not allowed; allowed there: {listed}")
        else:
            yield from _check_field(child, field, below, rule, bound)
    for name, field in node.fields.items():
        if field.required and name not in value:
            told, missing = describe_required(field, bound)
            yield Refusal(missing or rule or VALUE_RULE, _join(path, name), f"is missing; {told}")


def _check_field(
    value: object, field: Field, path: str, rule: str, bound: Bound
) -> Iterator[Refusal]:
    if not field.many:
        yield from _check(value, field.node, path, rule, bound)
        return
    if not isinstance(value, list) or len(value) > MOST_ENTRIES:
        yield Refusal(
            rule or VALUE_RULE,
            path,
            f"is {shown(value)}; allowed: a list of at most {MOST_ENTRIES} items",
        )
        return
    if field.required and not value:
        told, missing = describe_required(field, bound)
        yield Refusal(missing or rule or VALUE_RULE, path, f"is empty; {told}")
    for index, item in enumerate(value):
        yield from _check(item, field.node, f"{path}[{index}]", rule, bound)


def _check_keyed(
    value: object, node: Keyed, path: str, rule: str, bound: Bound
) -> Iterator[Refusal]:
    if not isinstance(value, Mapping) or len(value) > MOST_ENTRIES:
        yield Refusal(
            rule or VALUE_RULE,
            path,
            f"is {shown(value)}; allowed: a map of at most {MOST_ENTRIES} keys",
        )
        return
    for key, child in value.items():
        if not is_allowed(key, node.keys, bound):
            yield Refusal(
                rule or VALUE_RULE,
                path,
                f"has the key {shown(key)}; allowed: {says(node.keys, bound)}",
            )
        yield from _check(child, node.values, _join(path, str(key)), rule, bound)


def describe_required(field: Field, bound: Bound) -> tuple[str, str]:
    """The requirement of a field, in words, and the rule that its absence breaks."""
    if isinstance(field.node, AllowedValue):
        return f"required: {says(field.node, bound)}", field.node.refused_as
    if isinstance(field.node, Fields):
        return f"required, with {', '.join(field.node.fields)}", field.node.refused_as
    return "required", ""


def is_allowed(value: object, allowed: AllowedValue, bound: Bound) -> bool:
    """Whether a field may hold the value."""
    if allowed.any_of:
        return any(is_allowed(value, other, bound) for other in allowed.any_of)
    if allowed.boolean:
        return isinstance(value, bool)
    if allowed.integer:
        least, most = allowed.integer
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    if allowed.one_of:
        return _is_one_of(value, allowed.one_of, bound)
    if allowed.text:
        return isinstance(value, str) and _is_text(value, allowed, bound)
    if isinstance(allowed.equals, str):
        return isinstance(value, str) and value == _filled(allowed.equals, bound)
    held = tuple(value) if isinstance(value, list) else value
    return type(held) is type(allowed.equals) and held == allowed.equals


def _is_one_of(value: object, choices: tuple[object, ...] | str, bound: Bound) -> bool:
    if isinstance(choices, str):
        choices = tuple(part for part in (_filled(choices, bound) or "").split(",") if part)
    return any(type(value) is type(choice) and value == choice for choice in choices)


def _is_text(value: str, allowed: AllowedValue, bound: Bound) -> bool:
    if allowed.longest and len(value) > allowed.longest:
        return False
    pattern = _pattern(allowed.text, bound)
    return pattern is not None and pattern.fullmatch(value) is not None


# Some dozens of patterns, filled in with the two or three bounds of the current overlay and of
# earlier ones.
@lru_cache(maxsize=1024)
def _pattern(text: str, bound: Bound) -> re.Pattern[str] | None:
    """The pattern with its words filled in; None if one of them is unbound."""
    words = dict(bound.words)
    found = _WORD.findall(text) if "<" in text else []
    if any(word not in words for word in found):
        return None
    return re.compile(_WORD.sub(lambda m: re.escape(words[m[1]]), text) if found else text)


# Size as for `_pattern`.
@lru_cache(maxsize=1024)
def _filled(text: str, bound: Bound) -> str | None:
    """The text with its words filled in; None if one of them is unbound."""
    words = dict(bound.words)
    if any(word not in words for word in _WORD.findall(text)):
        return None
    return _WORD.sub(lambda m: words[m[1]], text)


def says(allowed: AllowedValue, bound: Bound) -> str:
    """The allowed values, in words, with bound words filled in."""
    if isinstance(allowed.one_of, str) and allowed.one_of:
        choices = _filled(allowed.one_of, bound) or ""
        return ", ".join(f"`{choice}`" for choice in choices.split(",") if choice) or "nothing"
    words = dict(bound.words)
    return _WORD.sub(lambda m: words.get(m[1], "nothing"), allowed.says)


def shown(value: object) -> str:
    """A value as one short line, every character visible."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value is None:
        return "`null`"
    if isinstance(value, Mapping):
        return f"an object of {len(value)} fields"
    if isinstance(value, list):
        return f"a list of {len(value)} items"
    text = str(value)
    return f"`{visible(text[:_SHOWN])}…`" if len(text) > _SHOWN else f"`{visible(text)}`"


def _join(path: str, key: str) -> str:
    """The path of a field; a key that is not a plain word is put in brackets."""
    plain = re.fullmatch(r"[A-Za-z0-9_-]{1,80}", key)
    if plain:
        return f"{path}.{key}" if path else key
    return f"{path}[{visible(key[:_SHOWN])}]"
