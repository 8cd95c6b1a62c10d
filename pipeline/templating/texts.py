"""The texts of a skeleton, ready to be rendered: by hand where they only name values. Pure.

Most files hold nothing but `${{ values.x }}`, perhaps with filters; for those no program is
compiled. Anything else, and every text that does not come out (so that the message is the same),
goes to Jinja (`pipeline.templating.engine`). Measured on the domain template, 51 files, in a fresh
process, Jinja's own import included: 70 ms without this, 43 ms with it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from pipeline.templating.files import MARKS
from pipeline.templating.values import FILTERS, List, Object, written

_MARKS: Final = tuple(mark.decode() for mark in MARKS)
_TEXT = r"""(?:"[^"\\\n]*"|'[^'\\\n]*')"""
_FILTER = rf" *\| *([a-z]+)(?:\(({_TEXT}(?:, *{_TEXT})*)\))?"
_EXPRESSION: Final = re.compile(
    rf"\$\{{\{{ *values((?:\.[A-Za-z_]\w*|\[[0-9]+\])+)((?:{_FILTER})*) *\}}\}}", re.ASCII
)
_STEP: Final = re.compile(r"\.(\w+)|\[([0-9]+)\]")
_FILTERS: Final = re.compile(_FILTER)


@dataclass(frozen=True, slots=True)
class _Value:
    """A value by its steps from `values`, and the filters with their arguments that it takes."""

    steps: tuple[str | int, ...]
    filters: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    """One text; `file` is what faults name, `pieces` are None where a program is needed."""

    file: str
    text: str
    pieces: tuple[str | _Value, ...] | None = field(repr=False)

    def render(self, context: Mapping[str, object]) -> str:
        """The text with the values of `context` in it. Raises TemplateFault with file and line."""
        if self.pieces is not None:
            try:
                return "".join(
                    piece if isinstance(piece, str) else _text_of(piece, context["values"])
                    for piece in self.pieces
                )
            except (AttributeError, LookupError, TypeError, ValueError):
                pass  # told below, in the words of the one engine that knows lines
        from pipeline.templating.engine import compile_program

        return compile_program(self.file, self.text).render(context)


def _text_of(piece: _Value, value: object) -> str:
    for step in piece.steps:
        match value, step:
            case Object(), str():
                value = value.items_of[step]
            case List(), int():
                value = value[step]
            case List(), "length":
                value = len(value)
            case _:
                raise LookupError(step)
    for name, arguments in piece.filters:
        value = FILTERS[name](value, *arguments)
    return str(written(value))


@lru_cache(maxsize=4096)
def compile_text(file: str, text: str) -> Compiled:
    """The text ready to be rendered; it has been through the engine's `check_text` before."""
    return Compiled(file, text, _pieces_of(text))


def _pieces_of(text: str) -> tuple[str | _Value, ...] | None:
    """The text in pieces, or None when it holds more than plain expressions."""
    if not any(mark in text for mark in _MARKS):
        return (text,)
    if "{%" in text or "{#" in text or "\r" in text:
        return None
    pieces: list[str | _Value] = []
    end = 0
    for found in _EXPRESSION.finditer(text):
        pieces += text[end : found.start()], _value_of(found[1], found[2])
        end = found.end()
    pieces.append(text[end:])
    if any("${{" in piece for piece in pieces if isinstance(piece, str)):
        return None
    return tuple(pieces)


def _value_of(steps: str, filters: str) -> _Value:
    return _Value(
        tuple(name or int(index) for name, index in _STEP.findall(steps)),
        tuple(
            (name, ast.literal_eval(f"({arguments},)") if arguments else ())
            for name, arguments in _FILTERS.findall(filters)
        ),
    )
