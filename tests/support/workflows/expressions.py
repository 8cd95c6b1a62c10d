"""Expressions of workflows, `${{ … }}`, evaluated over a tree of contexts.

Source: GitHub, "Evaluate expressions in workflows and actions". What is not here is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z_][A-Za-z0-9_-]*)"
    r"|(?P<mark>==|!=|&&|\|\||[!().,\[\]]))"
)
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
Contexts = Mapping[str, Any]
Functions = Mapping[str, Callable[..., Any]]


class ExpressionError(Exception):
    """An expression that GitHub, or this module, cannot evaluate."""


def expanded(value: Any, contexts: Contexts, functions: Functions) -> Any:
    """A value of a workflow with its expressions evaluated; one that is all there is keeps its
    type."""
    if isinstance(value, dict):
        return {key: expanded(item, contexts, functions) for key, item in value.items()}
    if isinstance(value, list):
        return [expanded(item, contexts, functions) for item in value]
    if not isinstance(value, str):
        return value
    whole = _EXPRESSION.fullmatch(value.strip())
    if whole and "}}" not in whole[1]:
        return evaluated(whole[1], contexts, functions)
    return _EXPRESSION.sub(lambda m: as_text(evaluated(m[1], contexts, functions)), value)


def evaluated(text: str, contexts: Contexts, functions: Functions) -> Any:
    """The value of an expression. Raises ExpressionError."""
    return _Parser(text, contexts, functions).whole()


def as_text(value: Any) -> str:
    """A value as GitHub writes it into text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        raise ExpressionError(f"{value!r} is not text")
    return str(value)


class _Parser:
    def __init__(self, text: str, contexts: Contexts, functions: Functions) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        text = text.strip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                raise ExpressionError(f"`{text}` at {text[at:]!r}")
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        self.text, self.contexts, self.functions = text, contexts, functions
        self.at = 0

    def whole(self) -> Any:
        value = self.either()
        if self.at != len(self.tokens):
            raise ExpressionError(f"`{self.text}`: {self.tokens[self.at][1]} was not expected")
        return value

    def next_is(self, *marks: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at] in [("mark", m) for m in marks]

    def take(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise ExpressionError(f"`{self.text}` ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, mark: str) -> None:
        if self.take() != ("mark", mark):
            raise ExpressionError(f"`{self.text}`: {mark} was expected")

    def either(self) -> Any:
        value = self.both()
        while self.next_is("||"):
            self.take()
            other = self.both()
            value = value or other
        return value

    def both(self) -> Any:
        value = self.compared()
        while self.next_is("&&"):
            self.take()
            other = self.compared()
            value = value and other
        return value

    def compared(self) -> Any:
        value = self.single()
        while self.next_is("==", "!="):
            mark = self.take()[1]
            same = _alike(value) == _alike(self.single())
            value = same if mark == "==" else not same
        return value

    def single(self) -> Any:
        kind, text = self.take()
        match kind, text:
            case "mark", "!":
                return not self.single()
            case "mark", "(":
                value = self.either()
                self.expect(")")
                return value
            case "text", _:
                return text[1:-1].replace("''", "'")
            case "number", _:
                return int(text)
            case "name", "true" | "false":
                return text == "true"
            case "name", "null":
                return None
            case "name", _ if self.next_is("("):
                return self.called(text)
            case "name", _:
                return self.looked_up(text)
        raise ExpressionError(f"`{self.text}`: {text} was not expected")

    def called(self, name: str) -> Any:
        self.expect("(")
        arguments = []
        while not self.next_is(")"):
            arguments.append(self.either())
            if not self.next_is(")"):
                self.expect(",")
        self.expect(")")
        known: Functions = {"fromJSON": json.loads, **self.functions}
        if name not in known:
            raise ExpressionError(f"there is no function `{name}`")
        return known[name](*arguments)

    def looked_up(self, name: str) -> Any:
        if name not in self.contexts:
            raise ExpressionError(f"there is no context `{name}`")
        value = self.contexts[name]
        while self.next_is(".", "["):
            if self.take()[1] == "[":
                kind, place = self.take()
                self.expect("]")
                if kind != "number":
                    raise ExpressionError(f"`{self.text}`: {place} was not expected")
                listed = value if isinstance(value, list) else []
                value = listed[int(place)] if int(place) < len(listed) else None
                continue
            kind, key = self.take()
            if kind != "name":
                raise ExpressionError(f"`{self.text}`: {key} was not expected")
            value = value.get(key) if isinstance(value, Mapping) else None
        return value


def _alike(value: Any) -> Any:
    """A value as comparisons see it: strings without case; null is an empty one."""
    if value is None:
        return ""
    return value.lower() if isinstance(value, str) else value
