"""Forgeries of times: merges, decisions, reviews and observations at other moments."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.models.base import moment_of
from pipeline.models.facts import Observed
from tests.support.forgeries.ways import (
    DEV,
    PATCHED,
    PROD,
    PROVISIONED,
    STAGING,
    Forgery,
    body,
    cause,
)
from tests.support.state_writer import Forger, with_fact
from worlds.control_repo import CLOCK_S

_BEFORE, _AFTER = moment_of(CLOCK_S - 3600), moment_of(CLOCK_S + 3600)


def decided(number: int, at: str | None) -> Callable[[Forger], object]:
    """A fact was decided at another moment, or at none."""
    return lambda f: f.retell(lambda facts: with_fact(facts, number, decided_at=at))


def seen_later(f: Forger) -> None:
    """The newest observation is of an hour after it was recorded."""
    seen = f.facts()[-1].body
    assert isinstance(seen, Observed)
    told = seen.observation.model_copy(update={"observed_at": _AFTER})
    f.retell_body(len(f.facts()), observation=told)


def reviewed_later(f: Forger) -> None:
    """prod was approved an hour after it was decided."""
    brought = f.facts()[PROD - 1].cause.brought
    assert brought is not None
    reviews = tuple(r.model_copy(update={"at": _AFTER}) for r in brought.reviews)
    f.retell_cause(PROD, brought=brought.model_copy(update={"reviews": reviews}))


def reviewed_late(f: Forger) -> None:
    """prod was approved, and decided, an hour after its request was merged."""
    reviewed_later(f)
    f.retell(lambda facts: [x.model_copy(update={"decided_at": _AFTER}) for x in facts])


TIMES = (
    Forgery(
        "a request merged earlier",
        cause(PATCHED, merged_at=_BEFORE),
        "merge-times",
        "audit-merge-time-differs",
    ),
    Forgery(
        "a request merged at no time",
        cause(PATCHED, merged_at=None),
        "merge-times",
        "audit-merge-time-differs",
    ),
    Forgery(
        "staging merged earlier",
        body(STAGING, merged_at=_BEFORE),
        "merge-times",
        "audit-merge-time-differs",
    ),
    Forgery("decided before its request", decided(1, _BEFORE), "time-order", "audit-time-order"),
    Forgery(
        "decided before the fact before it",
        decided(PROVISIONED, _AFTER),
        "time-order",
        "audit-time-order",
    ),
    Forgery("decided after its merge", decided(DEV, _AFTER), "time-order", "audit-time-order"),
    Forgery("decided at no time", decided(PROVISIONED, None), "time-order", "audit-time-order"),
    Forgery("seen after it was recorded", seen_later, "told-times", "audit-evidence-later"),
    Forgery("approved after it was decided", reviewed_later, "told-times", "audit-evidence-later"),
    Forgery("approved after the merge", reviewed_late, "told-times", "audit-review-late"),
)
