"""Whether windows let a promotion pass at a moment, which one does not, and until when. Pure.

Windows add up: the platform's and the environment's are looked at by themselves, and each may
close. One is closed while any of its `deny` windows lasts, and, where it has `allow` windows, while
none of these lasts. A window counts only for the tenants, tiers and environments that it names, and
not for the lanes that it lets pass. A window that cannot be read is closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.models.requests import RiskTier
from pipeline.models.windows import Lane, PlatformWindow, Window
from pipeline.requests.windows import Span, WindowProblem, schedule_of

_DAY_S = 86_400
_AHEAD_S = 800 * _DAY_S  # what changes later is not looked for
_STEPS = 200  # changes of single windows that are looked at for one of them all together


@dataclass(frozen=True, slots=True)
class Passing:
    """What is to be promoted, as far as windows tell one from another."""

    environment: str
    tenant: str
    tier: RiskTier
    lane: Lane


@dataclass(frozen=True, slots=True)
class Closing:
    """The windows that keep something from passing: one that denies, or all that would allow."""

    effect: str
    windows: tuple[Window, ...]


def is_for(window: Window, subject: Passing) -> bool:
    """Whether a window says anything of the subject."""
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
    """What keeps the subject from passing at a moment; nothing when it may pass."""
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
    """Whether a window lasts at a moment. One that cannot be read denies always, allows never."""
    try:
        spans = _spans_on(window, moment_s // _DAY_S)
    except WindowProblem:
        return window.effect == "deny"
    return any(span.begin_s <= moment_s < span.end_s for span in spans)


# The windows of a control repo on the day of a run, or on the days of the facts of an audit.
@lru_cache(maxsize=2_048)
def _spans_on(window: Window, day: int) -> tuple[Span, ...]:
    """The spans of a window that a day of UTC has a part of."""
    begin_s, end_s = day * _DAY_S, (day + 1) * _DAY_S
    return tuple(schedule_of(window).spans_between(begin_s, end_s - 1))


def next_change(levels: Iterable[Sequence[Window]], subject: Passing, moment_s: int) -> int | None:
    """The next moment at which the subject may pass if it may not now, or the other way round.

    None when no such moment is in sight. It may be too early where very many windows change, never
    too late.
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
    """The next moment after this one at which a span of the window begins or ends; None when none
    begins until the last one.
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
