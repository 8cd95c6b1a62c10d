"""The functions that a chart's templates call, judged by an allow-list. Pure, linear in their size.

A release is approved as exact bytes, so a template may only call functions with the same result at
any time and place (`allowed/functions.yaml`). Names are found as Go's text/template lexes an
action: outside strings and comments, and not after a dot or a dollar sign. Only `tpl`, which is not
on the list, can call a function whose name is composed from text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import cast

from pipeline.documents import parse_document

# One token of an action; each alternative consumes its text once, so no text is read twice.
_TOKEN = re.compile(
    r"(?P<text>\"(?:[^\"\\\n]|\\.)*\"|`[^`]*`|'(?:[^'\\\n]|\\.)*')"
    r"|(?P<close>-?\}\})"
    r"|(?P<plain>[.$]\w+|[0-9]\w*)"
    r"|(?P<name>\w+)"
    r"|(?P<other>[^\w\"`'}])"
    r"|(?P<brace>\})"
)
_COMMENT = re.compile(r"(?:-[ \t\r\n])?/\*")


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """A problem in a template: the line, counted from 1, and the text there."""

    line: int
    problem: str


# Without a parameter: one value a process.
@lru_cache(maxsize=1)
def load_functions() -> frozenset[str]:
    """The names that a template may call."""
    content = files("pipeline.releases").joinpath("allowed", "functions.yaml").read_bytes()
    groups = cast("Mapping[str, list[str]]", parse_document("functions.yaml", content).value)
    return frozenset(name for lines in groups.values() for line in lines for name in line.split())


def is_template(path: str) -> bool:
    """Whether helm reads a file of a chart, or of a subchart, as a template."""
    return "templates" in path.split("/")[:-1]


def check_template(content: bytes) -> Iterator[TemplateProblem]:
    """Problems with forbidden calls and unterminated actions."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        yield TemplateProblem(1, "is not UTF-8 text")
        return
    allowed = load_functions()
    line, counted = 1, 0
    for position, called in _read_calls(text):
        if called in allowed:
            continue
        line += text.count("\n", counted, position)
        counted = position
        problem = f"calls `{called[:80]}`" if called else "opens an action that does not end"
        yield TemplateProblem(line, problem)


def _read_calls(text: str) -> Iterator[tuple[int, str]]:
    """Position and name of every call; an empty name for an unterminated action."""
    at = 0
    while (opened := text.find("{{", at)) >= 0:
        at = opened + 2
        if comment := _COMMENT.match(text, at):
            closed = text.find("*/", comment.end())
            at = text.find("}}", closed) + 2 if closed >= 0 else 1
            if at < 2:
                yield opened, ""
                return
            continue
        while token := _TOKEN.match(text, at):
            at = token.end()
            if token.lastgroup == "name":
                yield token.start(), token[0]
            elif token.lastgroup == "close":
                break
        else:
            yield opened, ""
            return
