"""The pieces of a skeleton's text: values, choices and loops in their plain forms. Pure.

Plain forms are `${{ name.path | filter }}`; `if` and `elif` with terms joined by `and`, each a
path, perhaps with `not`, perhaps compared with a constant text; and `for name in path`. A text with
anything else has no pieces (None) and goes to Jinja. Pieces render the same as Jinja
(`tests/property/test_templating.py`); for anything they cannot render they raise LookupError,
TypeError, AttributeError or ValueError without details, since Jinja knows the lines.

Why not Jinja alone. One scaffold, first in a fresh process and again in the same, in ms:

| template | files | with pieces | with Jinja, compiled there | with Jinja, loaded as byte code |
|---|---|---|---|---|
| domain | 77 | 4.5, then 0.5 | 61, then 0.5 | 32, then 0.5 |
| process | 72 | 5.0, then 0.5 | 78, then 0.6 | 30, then 0.6 |
| agent | 69 | 4.9, then 0.5 | 69, then 0.6 | 33, then 0.6 |
| ui | 85 | 3.3, then 0.5 | 42, then 0.5 | 35, then 0.5 |

A run mostly scaffolds one draft in a fresh process, so the first number counts, and it may take
20 ms: importing Jinja alone takes 26 ms. A whole `pipeline run` of one domain took 573 ms of
processor time with pieces, 614 with Jinja compiled there and 598 from byte code (least of 15,
taking turns), and byte code on disk would have to be trusted like the package itself.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from pipeline.templating.files import MARKS
from pipeline.templating.values import FILTERS, List, Object, written

_MARKS: Final = tuple(mark.decode() for mark in MARKS)
_TEXT = r"""(?:"[^"\\\n]*"|'[^'\\\n]*')"""
_PATH = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[[0-9]+\])*"
_FILTER = rf"\| *([a-z]+)(?:\(({_TEXT}(?:, *{_TEXT})*)\))?"
_EXPRESSION: Final = re.compile(rf"\$\{{\{{ *({_PATH})((?: *{_FILTER})*) *\}}\}}", re.ASCII)
_FILTERS: Final = re.compile(_FILTER)
_STEP: Final = re.compile(r"\.?(\w+)|\[([0-9]+)\]")
_BLOCK: Final = re.compile(r"\{%(-?) *(if|elif|else|endif|for|endfor)\b([^{}%\n]*)%\}")
_TERM: Final = re.compile(rf"(not +)?({_PATH})(?: *(==|!=) *({_TEXT}))?", re.ASCII)
_OVER: Final = re.compile(rf" +([A-Za-z_]\w*) +in +({_PATH})", re.ASCII)

Context = Mapping[str, object]


class Path(NamedTuple):
    """A value, by its first name and the steps from there."""

    name: str
    steps: tuple[str | int, ...]

    def value(self, context: Context) -> object:
        """The value there. Raises LookupError."""
        value = context[self.name]
        for step in self.steps:
            match value, step:
                case Object(), str():
                    value = value.items_of[step]
                case List(), int():
                    value = value[step]
                case List(), "length":
                    value = len(value)
                case _:
                    raise LookupError(step)
        return value


class Value(NamedTuple):
    """A value as text, after its filters with their arguments."""

    path: Path
    filters: tuple[tuple[str, tuple[str, ...]], ...]

    def texts(self, context: Context) -> Iterator[str]:
        """The one text."""
        value = self.path.value(context)
        for name, arguments in self.filters:
            value = FILTERS[name](value, *arguments)
        yield str(written(value))


class Term(NamedTuple):
    """One condition: a value that is true, or (not) equal to a text."""

    negated: bool
    path: Path
    comparison: str  # "==", "!=" or empty
    constant: str

    def holds(self, context: Context) -> bool:
        """Whether the condition holds."""
        value = self.path.value(context)
        if self.comparison:
            value = (value == self.constant) is (self.comparison == "==")
        return bool(value) is not self.negated


class Choice(NamedTuple):
    """The first branch whose terms all hold; `else` is a branch without terms."""

    branches: tuple[tuple[tuple[Term, ...], Pieces], ...]

    def texts(self, context: Context) -> Iterator[str]:
        """The texts of that branch, if there is one."""
        for terms, pieces in self.branches:
            if all(term.holds(context) for term in terms):
                yield from texts_of(pieces, context)
                return


class Loop(NamedTuple):
    """The body once for each item, named `name` in it; `loop` holds the position."""

    name: str
    over: Path
    body: Pieces

    def texts(self, context: Context) -> Iterator[str]:
        """The texts of all rounds."""
        items = _items_of(self.over.value(context))
        for index, item in enumerate(items):
            at = {"index0": index, "index": index + 1, "length": len(items)}
            at |= {"first": index == 0, "last": index + 1 == len(items)}
            yield from texts_of(self.body, {**context, "loop": Object(dict(at)), self.name: item})


def _items_of(value: object) -> tuple[object, ...]:
    if isinstance(value, (List, Object, str)):
        return tuple(value)
    raise TypeError("there is nothing to loop over")


Piece = str | Value | Choice | Loop
Pieces = tuple[Piece, ...]


def texts_of(pieces: Pieces, context: Context) -> Iterator[str]:
    """The text, in parts. Raises the errors in the module's docstring."""
    for piece in pieces:
        if isinstance(piece, str):
            yield piece
        else:
            yield from piece.texts(context)


class _NotPlain(Exception):
    """The text holds something that only Jinja can read."""


def pieces_of(text: str) -> Pieces | None:
    """The text in pieces, or None if it holds more than plain forms."""
    if not any(mark in text for mark in _MARKS):
        return (text,)
    if "{#" in text or "\r" in text:
        return None
    # Text, then for each block: `-` or nothing, keyword, argument with its own `-`, text.
    parts = iter(_BLOCK.split(text))
    try:
        before = next(parts)
        blocks: list[tuple[str, str, str]] = []
        for left, keyword, rest, after in zip(*[parts] * 4, strict=True):
            argument = rest.removesuffix("-").rstrip(" ")
            blocks.append((before.rstrip() if left else before, keyword, argument))
            before = after.lstrip() if rest.endswith("-") else after
        reading = iter([*blocks, (before, "", "")])
        pieces, keyword, _ = _read(reading)
    except _NotPlain:
        return None
    return None if keyword else pieces


def _read(blocks: Iterator[tuple[str, str, str]]) -> tuple[Pieces, str, str]:
    """The pieces up to the block that ends them, with its keyword (empty: the end) and argument."""
    pieces: list[Piece] = []
    for text, keyword, argument in blocks:
        pieces += _values_of(text)
        if keyword == "if":
            pieces.append(_choice(blocks, argument))
        elif keyword == "for":
            pieces.append(_loop(blocks, argument))
        else:
            return tuple(pieces), keyword, argument
    raise _NotPlain


def _choice(blocks: Iterator[tuple[str, str, str]], argument: str) -> Choice:
    branches: list[tuple[tuple[Term, ...], Pieces]] = []
    keyword = "if"
    while keyword != "endif":
        terms = () if keyword == "else" else _terms_of(argument)
        pieces, following, argument = _read(blocks)
        allowed = {"endif"} if keyword == "else" else {"elif", "else", "endif"}
        if following not in allowed or (following != "elif" and argument):
            raise _NotPlain
        branches.append((terms, pieces))
        keyword = following
    return Choice(tuple(branches))


def _loop(blocks: Iterator[tuple[str, str, str]], argument: str) -> Loop:
    found = _OVER.fullmatch(argument)
    body, keyword, rest = _read(blocks)
    if found is None or found[1] == "loop" or keyword != "endfor" or rest:
        raise _NotPlain
    return Loop(found[1], _path_of(found[2]), body)


def _terms_of(argument: str) -> tuple[Term, ...]:
    found = [_TERM.fullmatch(term) for term in re.split(r" +and +", argument.strip(" "))]
    return tuple(
        Term(bool(term[1]), _path_of(term[2]), term[3] or "", (term[4] or "  ")[1:-1])
        if term
        else _refuse()
        for term in found
    )


def _refuse() -> Term:
    raise _NotPlain


def _values_of(text: str) -> Iterator[Piece]:
    end = 0
    for found in _EXPRESSION.finditer(text):
        yield _plain(text[end : found.start()])
        yield Value(_path_of(found[1]), tuple(_filters_of(found[2])))
        end = found.end()
    yield _plain(text[end:])


def _plain(text: str) -> str:
    if any(mark in text for mark in _MARKS):
        raise _NotPlain
    return text


def _path_of(path: str) -> Path:
    name, *steps = (word or int(index) for word, index in _STEP.findall(path))
    if name == "loop" and not steps:
        raise _NotPlain  # the state of a loop is not a value
    return Path(str(name), tuple(steps))


def _filters_of(filters: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, arguments in _FILTERS.findall(filters):
        yield name, ast.literal_eval(f"({arguments},)") if arguments else ()
