"""Clocks for tests."""

from __future__ import annotations

from dataclasses import dataclass

from worlds.control_repo import CLOCK_S


@dataclass
class SetClock:
    """A clock that stands still until a test sets `now_s`; it starts where stories do."""

    now_s: int = CLOCK_S

    def __call__(self) -> int:
        return self.now_s
