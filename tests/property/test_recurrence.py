"""Recurrences are read as python-dateutil reads them, and never at a cost without bound."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import islice

import pytest
from dateutil.rrule import rrulestr
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pipeline.requests import recurrence
from pipeline.requests.recurrence import (
    FREQUENCIES,
    LAST_DAY,
    WEEKDAYS,
    days_of,
    parse_recurrence,
    starts_between,
)

# To explain a failure, every line is traced, of which there are many here.
UNEXPLAINED = [phase for phase in Phase if phase is not Phase.explain]
STARTS = st.datetimes(datetime(2000, 1, 1), datetime(2060, 12, 31)).map(
    lambda found: found.replace(microsecond=0)
)
MONTHS = st.sets(st.integers(1, 12), min_size=1, max_size=4)
MONTH_DAYS = st.sets(st.integers(-31, 31).filter(bool), min_size=1, max_size=4)
POSITIONS = st.sets(st.integers(-4, 4).filter(bool), min_size=1, max_size=3)


def _listed(name: str, values: object) -> str:
    assert isinstance(values, set)
    return f"{name}={','.join(map(str, sorted(values, key=str)))}"


@st.composite
def rules(draw: st.DrawFn) -> str:
    """Texts of rules, with every part that is taken but COUNT and UNTIL."""
    frequency = draw(st.sampled_from(FREQUENCIES))
    parts = [f"FREQ={frequency}"]
    if draw(st.booleans()):
        parts.append(f"INTERVAL={draw(st.integers(1, 5))}")
    by = []
    if draw(st.booleans()):
        by.append(_listed("BYMONTH", draw(MONTHS)))
    if frequency != "WEEKLY" and draw(st.booleans()):
        by.append(_listed("BYMONTHDAY", draw(MONTH_DAYS)))
    if draw(st.booleans()):
        days = st.sampled_from(WEEKDAYS)
        if frequency in ("MONTHLY", "YEARLY") and draw(st.booleans()):
            days = st.tuples(st.sampled_from(["1", "2", "-1", "+3", "5"]), days).map("".join)
        by.append(_listed("BYDAY", draw(st.sets(days, min_size=1, max_size=3))))
    if by and draw(st.booleans()):
        by.append(_listed("BYSETPOS", draw(POSITIONS)))
    if draw(st.booleans()):
        by.append(f"WKST={draw(st.sampled_from(WEEKDAYS))}")
    return ";".join([*parts, *by])


@settings(max_examples=100, phases=UNEXPLAINED)
@given(rules(), STARTS)
def test_the_starts_are_those_of_dateutil(text: str, start: datetime) -> None:
    rule = parse_recurrence(text, start)
    last = start.date() + timedelta(days=800)
    ours = list(starts_between(rule, start.date(), last))
    # As many as ours, since theirs looks for one that never comes until the year 9999.
    theirs = list(islice(rrulestr(text, dtstart=start), len(ours)))
    if rule.frequency == "WEEKLY" and rule.positions:
        # Theirs counts positions of the first week from the start, not from the week's first day
        # (RFC 5545 §3.3.10, BYSETPOS: of the whole interval).
        week = start + timedelta(days=7)
        ours, theirs = ([s for s in found if s >= week] for found in (ours, theirs))
        theirs, ours = theirs[: len(ours)], ours[: len(theirs)]
    assert theirs == ours


@settings(max_examples=40, phases=UNEXPLAINED)
@given(rules(), STARTS, st.integers(0, 700), st.integers(1, 12))
def test_a_part_of_the_starts_is_a_slice_of_all(
    text: str, start: datetime, days: int, count: int
) -> None:
    first, last = start.date(), (start + timedelta(days=800)).date()
    for counted in (text, f"{text};COUNT={count}"):
        rule = parse_recurrence(counted, start)
        whole = list(starts_between(rule, first, last))
        begin = first + timedelta(days=days)
        assert list(starts_between(rule, begin, last)) == [s for s in whole if s.date() >= begin]
    unbounded = list(starts_between(parse_recurrence(text, start), first, last))
    assert whole == unbounded[:count]


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=WEEKLY;INTERVAL=366;BYMONTH=2;BYDAY=MO;BYSETPOS=4",
        "FREQ=MONTHLY;BYDAY=5MO,-5TU;BYSETPOS=300",
        "FREQ=YEARLY;BYDAY=53MO;BYMONTH=2;COUNT=1000",
    ],
)
def test_a_recurrence_without_starts_ends_with_the_century(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[date] = []
    real = recurrence._is_meant
    monkeypatch.setattr(
        recurrence, "_is_meant", lambda rule, day: looked_at.append(day) or real(rule, day)
    )
    rule = parse_recurrence(text, datetime(2026, 1, 1))
    assert list(starts_between(rule, date(2026, 1, 1))) == []
    assert len(looked_at) <= (LAST_DAY - date(2025, 12, 1)).days
    looked_at.clear()
    assert list(starts_between(rule, date(2026, 1, 1), date(2026, 1, 31))) == []
    assert len(looked_at) <= 366


def test_a_long_interval_is_skipped_in_one_step() -> None:
    rule = parse_recurrence("FREQ=DAILY;INTERVAL=366", datetime(2000, 1, 1, 12))
    found = next(starts_between(rule, date(2098, 1, 1)))
    assert (found.date() - date(2000, 1, 1)).days % 366 == 0
    assert 0 <= (found.date() - date(2098, 1, 1)).days < 366


def test_days_of_a_period_are_in_order() -> None:
    rule = parse_recurrence("FREQ=MONTHLY;BYMONTHDAY=-1,1,15", datetime(2026, 1, 1))
    days = days_of(rule, date(2026, 2, 1), date(2026, 2, 28))
    assert days == [date(2026, 2, 1), date(2026, 2, 15), date(2026, 2, 28)]
