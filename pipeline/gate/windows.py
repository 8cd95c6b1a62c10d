"""Whether windows let a promotion pass at a moment, which one does not, and until when. Pure.

The platform's windows and the environment's are two levels; each is judged alone and may close. A
level is closed while any of its `deny` windows lasts and, if it has `allow` windows, while none of
those lasts. A window counts only for the tenants, tiers and environments that it names, and not for
the lanes that it lets pass. An unreadable window is closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.models.requests import RiskTier
from pipeline.models.windows import Lane, PlatformWindow, Window
from pipeline.requests.windows import Span, WindowProblem, schedule_of

_DAY_S = 86_400
_AHEAD_S = 800 * _DAY_S  # how far to look for the next change
_STEPS = 200  # changes of single windows to try until all of them together change


@dataclass(frozen=True, slots=True)
class Passing:
    """The properties of a promotion that windows distinguish."""

    environment: str
    tenant: str
    tier: RiskTier
    lane: Lane


@dataclass(frozen=True, slots=True)
class Closing:
    """The windows that stop a promotion: one that denies, or all that could allow it."""

    effect: str
    windows: tuple[Window, ...]


def is_for(window: Window, subject: Passing) -> bool:
    """Whether a window applies to the subject."""
    if window.tenants and subject.tenant not in window.tenants:
        return False
    if window.risk_tiers and subject.tier not in window.risk_tiers:
        return False
    environments = window.environments if isinstance(window, PlatformWindow) else ()
    if environments and subject.environment not in environments:
        return False
    return subject.lane not in window.lanes


def closings(
    levels: Iterable[Sequence[Window]], subject: Passing, moment_s: int
) -> Iterator[Closing]:
    """What stops the subject at a moment; empty if it may pass."""
    for level in levels:
        if not level:
            continue
        found = [window for window in level if is_for(window, subject)]
        denying = [w for w in found if w.effect == "deny" and lasts(w, moment_s)]
        for window in denying:
            yield Closing("deny", (window,))
        allowing = tuple(w for w in found if w.effect == "allow")
        if allowing and not any(lasts(w, moment_s) for w in allowing):
            yield Closing("allow", allowing)


def lasts(window: Window, moment_s: int) -> bool:
    """Whether a window lasts at a moment. An unreadable one always denies and never allows."""
    try:
        spans = _spans_on(window, moment_s // _DAY_S)
    except WindowProblem:
        return window.effect == "deny"
    return any(span.begin_s <= moment_s < span.end_s for span in spans)


# The windows of a control repo on the day of a run, or on the days of an audit's facts.
@lru_cache(maxsize=2_048)
def _spans_on(window: Window, day: int) -> tuple[Span, ...]:
    """The spans of a window that overlap a day in UTC."""
    begin_s, end_s = day * _DAY_S, (day + 1) * _DAY_S
    return tuple(schedule_of(window).spans_between(begin_s, end_s - 1))


def next_change(levels: Iterable[Sequence[Window]], subject: Passing, moment_s: int) -> int | None:
    """The next moment at which the answer changes between pass and not pass.

    None if there is none in the foreseeable future. It may be too early if very many windows
    change, but never too late.
    """
    levels = [tuple(w for w in level if is_for(w, subject)) for level in levels]
    windows = [window for level in levels for window in level]
    now = is_open(levels, subject, moment_s)
    at, last = moment_s, moment_s + _AHEAD_S
    for _ in range(_STEPS):
        changes = [found for w in windows if (found := _next_edge(w, at, last)) is not None]
        at = min(changes, default=last)
        if at >= last:
            return None
        if is_open(levels, subject, at) != now:
            return at
    return at


def is_open(levels: Iterable[Sequence[Window]], subject: Passing, moment_s: int) -> bool:
    """Whether windows let the subject pass at a moment."""
    return next(closings(levels, subject, moment_s), None) is None


def _next_edge(window: Window, moment_s: int, last_s: int) -> int | None:
    """The next moment after this one at which a span of the window begins or ends; None if there is
    none up to `last_s`.
    """
    ends: list[int] = []
    try:
        for span in schedule_of(window).spans_between(moment_s, last_s):
            if span.begin_s > moment_s:
                return min([span.begin_s, *ends])
            ends.append(span.end_s)
    except WindowProblem:
        return None
    return min(ends, default=None)
