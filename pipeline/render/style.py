"""The few signs used in results, plain or in colour. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


def short_digest(digest: str | None) -> str:
    """A digest shortened for people: algorithm and the first twelve digits."""
    return f"{digest[:19]}…" if digest and len(digest) > 20 else digest or "(not built yet)"


def short_id(id: str | None) -> str:
    """A git object id shortened for people: its first twelve digits."""
    return id[:12] if id else "-"


def shown_moment(moment: str | None) -> str:
    """A moment for people, such as `2026-12-01 10:52Z`; a dash for None."""
    return f"{moment[:10]} {moment[11:16]}Z" if moment else "-"


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
