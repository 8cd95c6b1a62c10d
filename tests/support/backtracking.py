"""How many steps a regular expression takes over a text, counted instead of timed.

A matcher that backtracks as Python's does, over the tree that `re` parses, and counts each
character that it looks at. The texts that attack a pattern come from the same tree: each repetition
is pumped, after what leads to it and before what cannot follow.
"""

import re
from collections.abc import Callable, Iterator
from re import _constants as constants  # type: ignore[attr-defined]  # has no stubs
from re import _parser as parser  # type: ignore[attr-defined]  # has no stubs
from typing import Any

_Items = Any  # of `re`'s own tree: pairs of an operator and its arguments
_SEARCHING = {"search", "finditer", "findall", "sub", "subn", "split"}
_REPEATS = (constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT)
_SINGLE = (constants.LITERAL, constants.NOT_LITERAL, constants.IN, constants.ANY)


class Counter:
    """Matches one pattern and counts its steps."""

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        text = pattern.pattern
        self.pattern = pattern
        self.tree = parser.parse(text, pattern.flags & ~re.DEBUG)
        self.steps = 0
        self._single: dict[int, Callable[[str], bool]] = {}
        self._kept: list[object] = []

    def search(self, text: str, *, everywhere: bool) -> int:
        """The steps of one search: at the start alone, or wherever a match may begin."""
        self.steps = 0
        at = 0
        while at <= len(text):
            end = next(self._match(list(self.tree), text, at), None)
            if not everywhere:
                break
            at = at + 1 if end is None or end == at else end
        return self.steps

    def _fits(self, item: Any, character: str) -> bool:
        """Whether an item of one character matches it; asked of `re` itself."""
        if id(item) not in self._single:
            self._kept.append(item)
            alone = parser.SubPattern(self.tree.state, [item])
            compiled = re._compiler.compile(alone, self.pattern.flags & ~re.DEBUG)  # type: ignore[attr-defined]  # no stub
            is_bytes = isinstance(self.pattern.pattern, bytes)

            def fits(character: str, compiled: Any = compiled) -> bool:
                given = character.encode("latin-1") if is_bytes else character
                return compiled.fullmatch(given) is not None

            self._single[id(item)] = fits
        return self._single[id(item)](character)

    def _match(self, items: list[Any], text: str, at: int) -> Iterator[int]:
        if not items:
            yield at
            return
        (operator, argument), rest = items[0], items[1:]
        for end in self._one(items[0], operator, argument, text, at):
            yield from self._match(rest, text, end)

    def _one(self, item: Any, operator: Any, argument: Any, text: str, at: int) -> Iterator[int]:
        self.steps += 1
        if operator in _SINGLE:
            if at < len(text) and self._fits(item, text[at]):
                yield at + 1
        elif operator in _REPEATS:
            low, high, body = argument
            yield from self._repeat(operator, low, high, list(body), text, at)
        elif operator is constants.SUBPATTERN:
            yield from self._match(list(argument[-1]), text, at)
        elif operator is constants.BRANCH:
            for branch in argument[1]:
                yield from self._match(list(branch), text, at)
        elif operator in (constants.ASSERT, constants.ASSERT_NOT):
            # Those that look behind have a fixed width, and none of ours looks ahead far.
            direction, body = argument
            begin = at if direction > 0 else at - body.getwidth()[0]
            found = begin >= 0 and next(self._match(list(body), text, begin), None) is not None
            if found is (operator is constants.ASSERT):
                yield at
        elif operator is constants.AT:
            if self._stands(argument, text, at):
                yield at
        else:
            # A pattern that cannot be walked was not shown to be linear.
            raise ValueError(f"unknown operator {operator} in {self.pattern.pattern!r}")

    def _stands(self, where: Any, text: str, at: int) -> bool:
        multiline = bool(self.pattern.flags & re.MULTILINE)
        if where in (constants.AT_BEGINNING, constants.AT_BEGINNING_STRING):
            lines = multiline and where is constants.AT_BEGINNING
            return at == 0 or (lines and text[at - 1] == "\n")
        if where is constants.AT_END_STRING:
            return at == len(text)
        if where is constants.AT_END:
            return at == len(text) or (text[at] == "\n" and (multiline or at + 1 == len(text)))
        before = at > 0 and re.match(r"\w", text[at - 1]) is not None
        after = at < len(text) and re.match(r"\w", text[at]) is not None
        return (before != after) is (where is constants.AT_BOUNDARY)

    def _repeat(
        self, operator: Any, low: int, high: int, body: list[Any], text: str, at: int
    ) -> Iterator[int]:
        if len(body) == 1 and body[0][0] in _SINGLE:
            end = at
            while end < len(text) and end - at < high and self._fits(body[0], text[end]):
                self.steps += 1
                end += 1
            ends = range(at + low, end + 1)
            yield from ends if operator is constants.MIN_REPEAT else reversed(ends)
            return
        if operator is constants.MIN_REPEAT and low == 0:
            yield at
        if high:
            for end in self._match(body, text, at):
                if end > at:
                    yield from self._repeat(operator, max(low - 1, 0), high - 1, body, text, end)
        if operator is not constants.MIN_REPEAT and low == 0:
            yield at


def attacks(pattern: re.Pattern[Any], size: int) -> list[str]:
    """Texts of about this size on which a pattern that is not linear is slowest."""
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    texts = [character * size for character in "a0 \n\t.-/<{'\"=*"]
    for before, body in _pumped(list(tree), ""):
        pump = body or "a"
        for tail in ("", "\x00", "\x00 \n", before):
            texts.append(before + pump * (size // len(pump)) + tail)
        whole = before + pump
        texts.append(whole * (size // len(whole)))
        texts.append((whole + "\n") * (size // (len(whole) + 1)))
        texts += [before + c * size + "\x00" for c in " \n\t0a.-"]
    return texts


def _pumped(items: list[Any], before: str) -> Iterator[tuple[str, str]]:
    """For each repetition: what leads to it, and what it repeats."""
    for operator, argument in items:
        if operator in _REPEATS:
            _, high, body = argument
            if high > 8:
                yield before, _sample(list(body))
            yield from _pumped(list(body), before)
        elif operator is constants.SUBPATTERN:
            yield from _pumped(list(argument[-1]), before)
        elif operator is constants.BRANCH:
            for branch in argument[1]:
                yield from _pumped(list(branch), before)
        before += _sample([(operator, argument)])


def _sample(items: list[Any]) -> str:
    """A text that the items match."""
    text = ""
    for operator, argument in items:
        if operator is constants.LITERAL:
            text += chr(argument)
        elif operator in (constants.NOT_LITERAL, constants.IN, constants.ANY):
            tree = parser.SubPattern(parser.State(), [(operator, argument)])
            compiled = re._compiler.compile(tree, 0)  # type: ignore[attr-defined]  # no stub
            codes = (*range(97, 123), *range(32, 127), 10, 9, *range(128, 9000))
            text += next((chr(n) for n in codes if compiled.fullmatch(chr(n))), "a")
        elif operator in _REPEATS:
            low, high, body = argument
            text += _sample(list(body)) * max(low, min(1, high))
        elif operator is constants.SUBPATTERN:
            text += _sample(list(argument[-1]))
        elif operator is constants.BRANCH:
            text += _sample(list(argument[1][0]))
    return text
