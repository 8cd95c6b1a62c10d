"""Recurrences of RFC 5545, section 3.3.10: a rule's text in, the days on which it recurs out. Pure.

It supports the part of the grammar that windows need: DAILY to YEARLY, with INTERVAL, COUNT or
UNTIL, BYMONTH, BYMONTHDAY, BYDAY, BYSETPOS and WKST. The cost of a rule is bounded: days are tried
one by one, from the requested day, and none after the year 2099. General libraries have no such
bound (python-dateutil looks for a 30 February until the year 9999, for 8 s);
`tests/property/test_recurrence.py` compares with them.
"""

from __future__ import annotations

import re
from calendar import isleap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
LAST_DAY = date(2099, 12, 31)
COUNT_MAXIMUM = 1000
INTERVAL_MAXIMUM = 366
_PARTS = ("INTERVAL", "COUNT", "UNTIL", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS", "WKST")
_BY_DAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,4}", re.ASCII)
_UNTIL = re.compile(r"20[0-9]{6}T[0-9]{6}Z", re.ASCII)
_DAY = timedelta(days=1)
_MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A rule with its first start; times are wall-clock times, `until` is in UTC.

    Values that RFC 5545 takes from the first start are filled in: the weekday of WEEKLY, the day of
    MONTHLY, the day and month of YEARLY.
    """

    start: datetime
    frequency: str
    interval: int = 1
    count: int | None = None
    until: datetime | None = None
    months: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    numbered: frozenset[tuple[int, int]] = frozenset()  # (number in its month or year, weekday)
    positions: frozenset[int] = frozenset()
    week_start: int = 0

    @property
    def is_in_step(self) -> bool:
        """Whether the first start matches the rule; otherwise RFC 5545 leaves it undefined."""
        day = self.start.date()
        return day in days_of(self, *_period(self, day))


def parse_recurrence(text: str, start: datetime) -> Recurrence:
    """The rule in `text`. Raises ValueError with the problem."""
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise ValueError(f"`{part}` is not NAME=VALUE")
        if name in parts:
            raise ValueError(f"{name} is given twice")
        parts[name] = value
    frequency = parts.pop("FREQ", "")
    if frequency not in FREQUENCIES:
        raise ValueError(f"FREQ is one of {', '.join(FREQUENCIES)}, not `{frequency}`")
    unknown = [name for name in parts if name not in _PARTS]
    if unknown:
        raise ValueError(f"{unknown[0]} is not taken; parts are FREQ, {', '.join(_PARTS)}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise ValueError("COUNT and UNTIL exclude each other")
    if frequency == "WEEKLY" and "BYMONTHDAY" in parts:
        raise ValueError("BYMONTHDAY says nothing of a WEEKLY rule")
    return _with_defaults(_rule_of(parts, frequency, start))


def _rule_of(parts: Mapping[str, str], frequency: str, start: datetime) -> Recurrence:
    weekdays = [_weekday(item, frequency) for item in _items(parts, "BYDAY")]
    if len({bool(number) for number, _ in weekdays}) > 1:
        raise ValueError("BYDAY has days with a number or without, not both")
    positions = _numbers(parts, "BYSETPOS", 366, signed=True)
    if positions and not {"BYMONTH", "BYMONTHDAY", "BYDAY"} & parts.keys():
        raise ValueError("BYSETPOS picks from what another BY part gives")
    week_start = parts.get("WKST", "MO")
    if week_start not in WEEKDAYS:
        raise ValueError(f"WKST is one of {', '.join(WEEKDAYS)}, not `{week_start}`")
    return Recurrence(
        start,
        frequency,
        interval=_one_number(parts, "INTERVAL", INTERVAL_MAXIMUM) or 1,
        count=_one_number(parts, "COUNT", COUNT_MAXIMUM),
        until=_until(parts["UNTIL"]) if "UNTIL" in parts else None,
        months=_numbers(parts, "BYMONTH", 12),
        month_days=_numbers(parts, "BYMONTHDAY", 31, signed=True),
        weekdays=frozenset(day for number, day in weekdays if not number),
        numbered=frozenset((number, day) for number, day in weekdays if number),
        positions=positions,
        week_start=WEEKDAYS.index(week_start),
    )


def _with_defaults(rule: Recurrence) -> Recurrence:
    start = rule.start
    by_days = rule.month_days or rule.weekdays or rule.numbered
    match rule.frequency:
        case "WEEKLY" if not rule.weekdays:
            return replace(rule, weekdays=frozenset([start.weekday()]))
        case "MONTHLY" if not by_days:
            return replace(rule, month_days=frozenset([start.day]))
        case "YEARLY" if not by_days:
            months = rule.months or frozenset([start.month])
            return replace(rule, month_days=frozenset([start.day]), months=months)
    return rule


def _items(parts: Mapping[str, str], name: str) -> list[str]:
    return parts[name].split(",") if name in parts else []


def _numbers(
    parts: Mapping[str, str], name: str, most: int, *, signed: bool = False
) -> frozenset[int]:
    return frozenset(_number(item, name, most, signed=signed) for item in _items(parts, name))


def _one_number(parts: Mapping[str, str], name: str, most: int) -> int | None:
    return _number(parts[name], name, most) if name in parts else None


def _number(text: str, name: str, most: int, *, signed: bool = False) -> int:
    value = int(text) if _NUMBER.fullmatch(text) else 0
    if not 1 <= (abs(value) if signed else value) <= most:
        raise ValueError(f"{name} is a number from 1 to {most}, not `{text}`")
    return value


def _weekday(text: str, frequency: str) -> tuple[int, int]:
    match = _BY_DAY.fullmatch(text)
    if match is None:
        raise ValueError(f"BYDAY has days such as MO or -1FR, not `{text}`")
    if match[1] is None:
        return 0, WEEKDAYS.index(match[2])
    if frequency not in ("MONTHLY", "YEARLY"):
        raise ValueError(f"BYDAY may number days of a month or year, not in a {frequency} rule")
    return _number(match[1], "BYDAY", 53, signed=True), WEEKDAYS.index(match[2])


def _until(text: str) -> datetime:
    if not _UNTIL.fullmatch(text):
        raise ValueError(f"UNTIL is a moment in UTC such as 20271231T235959Z, not `{text}`")
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"UNTIL is no moment: `{text}`") from None


# -- days ----------------------------------------------------------------------------------


def starts_between(rule: Recurrence, day: date, last: date = LAST_DAY) -> Iterator[datetime]:
    """The starts of a rule from one day to another, both included, in order.

    The caller, which knows the zone, applies UNTIL.
    """
    if rule.count is not None:
        yield from (start for start in _counted(rule) if day <= start.date() <= last)
        return
    yield from _starts(rule, max(day, rule.start.date()), last)


# A control repo has some dozens of recurrences, and few of them count.
@lru_cache(maxsize=256)
def _counted(rule: Recurrence) -> tuple[datetime, ...]:
    """All starts of a rule with COUNT, counted from the first one; at most a thousand."""
    found = []
    for start in _starts(rule, rule.start.date(), LAST_DAY):
        found.append(start)
        if len(found) == rule.count:
            break
    return tuple(found)


def _starts(rule: Recurrence, day: date, last: date) -> Iterator[datetime]:
    time = rule.start.time()
    for begin, end in _periods(rule, day):
        if begin > last:
            return
        for found in days_of(rule, begin, end):
            if day <= found <= last:
                yield datetime.combine(found, time)


def _period(rule: Recurrence, day: date) -> tuple[date, date]:
    """The first and the last day of the period that contains a day."""
    match rule.frequency:
        case "DAILY":
            return day, day
        case "WEEKLY":
            begin = day - timedelta(days=(day.weekday() - rule.week_start) % 7)
            return begin, begin + 6 * _DAY
        case "MONTHLY":
            return day.replace(day=1), _next_month(day) - _DAY
    return date(day.year, 1, 1), date(day.year, 12, 31)


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def _periods(rule: Recurrence, day: date) -> Iterator[tuple[date, date]]:
    """The rule's periods from the one that contains `day`, or from the next in its interval."""
    first = _period(rule, rule.start.date())[0]
    number = -(-_distance(rule, first, _period(rule, day)[0]) // rule.interval)
    while True:
        begin = _moved(rule, first, number * rule.interval)
        if begin is None:
            return
        yield _period(rule, begin)
        number += 1


def _distance(rule: Recurrence, first: date, other: date) -> int:
    """The number of periods between the starts of two."""
    match rule.frequency:
        case "DAILY":
            return (other - first).days
        case "WEEKLY":
            return (other - first).days // 7
        case "MONTHLY":
            return (other.year - first.year) * 12 + other.month - first.month
    return other.year - first.year


def _moved(rule: Recurrence, first: date, periods: int) -> date | None:
    """The start of a period so many after the first; None after the last supported day."""
    match rule.frequency:
        case "DAILY" | "WEEKLY":
            days = periods * (7 if rule.frequency == "WEEKLY" else 1)
            return first + days * _DAY if days <= (LAST_DAY - first).days else None
        case "MONTHLY":
            months = first.year * 12 + first.month - 1 + periods
            year, month = divmod(months, 12)
            return date(year, month + 1, 1) if year <= LAST_DAY.year else None
    year = first.year + periods
    return date(year, 1, 1) if year <= LAST_DAY.year else None


def days_of(rule: Recurrence, begin: date, end: date) -> list[date]:
    """The days of one period on which a rule recurs, ignoring its first start."""
    found = []
    day = begin
    while day <= end:
        if _is_meant(rule, day):
            found.append(day)
        day += _DAY
    if not rule.positions:
        return found
    picked = {p - 1 if p > 0 else len(found) + p for p in rule.positions}
    return [day for at, day in enumerate(found) if at in picked]


def _is_meant(rule: Recurrence, day: date) -> bool:
    if rule.months and day.month not in rule.months:
        return False
    if rule.month_days:
        length = _month_length(day)
        if day.day not in rule.month_days and day.day - length - 1 not in rule.month_days:
            return False
    if not (rule.weekdays or rule.numbered):
        return True
    weekday = day.weekday()
    return weekday in rule.weekdays or (bool(rule.numbered) and _is_numbered(rule, day, weekday))


def _month_length(day: date) -> int:
    return 29 if day.month == 2 and isleap(day.year) else _MONTH_LENGTHS[day.month - 1]


def _is_numbered(rule: Recurrence, day: date, weekday: int) -> bool:
    """Whether a day is a numbered weekday, counted from the start or from the end."""
    if rule.frequency == "MONTHLY" or rule.months:
        before, length = day.day - 1, _month_length(day)
    else:
        before, length = day.timetuple().tm_yday - 1, 366 if isleap(day.year) else 365
    front, back = before // 7 + 1, -((length - 1 - before) // 7 + 1)
    return (front, weekday) in rule.numbered or (back, weekday) in rule.numbered
