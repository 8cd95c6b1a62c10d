"""Faults on demand: what can go wrong with the n-th call, and how a test requests it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """What goes wrong with one call."""

    DROP_REPLY = "drop-reply"  # it acts, and the connection closes without an answer
    ERROR_BEFORE = "error-before"  # 502, and it does not act
    ERROR_AFTER = "error-after"  # it acts, and answers 500
    SECONDARY_LIMIT = "secondary-limit"  # 403 with `retry-after: 0`, and it does not act
    STALE = "stale"  # a write, after which some reads of the API still see the time before it
    EXPIRED = "expired"  # 401, as for a token that has run out


@dataclass(frozen=True, slots=True)
class Seen:
    """One call: its number from 1 on, and what it was."""

    number: int
    method: str  # of HTTP; GraphQL is POST, git is GET or POST
    path: str
    template: str  # the description's name of the path, `/graphql`, or `git-upload-pack` and so on
    account: int | None
    writes: bool
    status: int = 0
    permission: tuple[str, str] | None = None
    cached: bool = False


FaultHook = Callable[[Seen], Fault | None]


def no_faults(seen: Seen) -> Fault | None:
    """No fault."""
    return None


@dataclass(slots=True)
class Faults:
    """The hook that is called before each call, and the log of calls."""

    hook: FaultHook = no_faults
    log: list[Seen] = field(default_factory=list)

    def at(self, number: int, fault: Fault) -> None:
        """Let one fault happen, to the call with this number."""
        self.hook = lambda seen: fault if seen.number == number else None
