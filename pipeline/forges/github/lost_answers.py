"""What to do after a write whose answer was lost: check whether it took effect, or write again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.errors import PipelineError
from pipeline.forges.github.client import Invalid, Unanswered, Unavailable
from pipeline.forges.http.connection import TRIES


def found_or_made(find: Callable[[], Any], make: Callable[[], Any], *, again: bool = False) -> Any:
    """The result of `find`, else of `make`; with `again`, of `find` after `make`.

    After a lost answer or a clash with another run it calls `find` again. Raises what `make` raised
    if that still finds nothing.
    """
    failed: PipelineError | None = None
    for _ in range(TRIES):
        found = find()
        if found is not None:
            return found
        if isinstance(failed, Invalid):
            raise failed
        try:
            made = make()
        except (Unanswered, Invalid) as lost:
            failed = lost
            continue
        if not again:
            return made
    raise failed or Unavailable("GitHub does not show what it has just made")


def repeatedly(write: Callable[[], object]) -> None:
    """Do a write that may happen twice without harm. Raises Unanswered."""
    for number in range(TRIES):
        try:
            write()
            return
        except Unanswered:
            if number + 1 == TRIES:
                raise
