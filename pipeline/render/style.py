"""The few signs used in results, plain or in colour. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.characters import short_digest as short_digest
from pipeline.characters import short_id as short_id
from pipeline.characters import shown_moment as shown_moment

_CODES = {"good": "32", "bad": "31", "wait": "33", "dim": "2", "bold": "1"}


@dataclass(frozen=True, slots=True)
class Style:
    """Colours words if `colour` is set."""

    colour: bool = False

    def paint(self, kind: str, text: str) -> str:
        """The text in one of the styles good, bad, wait, dim, bold."""
        return f"\x1b[{_CODES[kind]}m{text}\x1b[0m" if self.colour else text

    @property
    def good(self) -> str:
        """The sign of success."""
        return self.paint("good", "✓")

    @property
    def bad(self) -> str:
        """The sign of a refusal or failure."""
        return self.paint("bad", "✗")

    @property
    def wait(self) -> str:
        """The sign of waiting."""
        return self.paint("wait", "…")


PLAIN = Style()


def counted(number: int, word: str) -> str:
    """A number with its word: `1 effect`, `2 effects`."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def table(rows: Sequence[tuple[str, ...]], *, gap: str = "  ") -> list[str]:
    """The rows as lines with aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return [
        gap.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def wants_colour(environment: Mapping[str, str], *, is_terminal: bool) -> bool:
    """Whether to use colour: `NO_COLOR` wins, then `FORCE_COLOR`, then whether it is a terminal."""
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return is_terminal and environment.get("TERM") != "dumb"
