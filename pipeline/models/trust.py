"""What clones cannot prove, and who vouches for it. A value only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trust:
    """One kind of thing taken on trust."""

    what: str
    whose: str
