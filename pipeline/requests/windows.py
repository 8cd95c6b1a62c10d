"""The meaning of windows: a window in, the moments at which it begins and ends out. Pure.

Moments are whole seconds since the epoch, times are wall-clock times in the window's zone, and
zones are those of the package `tzdata`, so that all machines decide alike. When the clock goes
forward, a skipped time counts with the old offset (02:30 is then 03:30); when it goes back, an
ambiguous time is the first one (RFC 5545, section 3.3.5). Days and weeks of a duration end at the
same wall-clock time; hours and smaller units are exact (section 3.3.6). A window lasts from its
begin until just before its end.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from pipeline.diagnostics import Finding, Location, Rule, Subject, register
from pipeline.documents import ParsedDocument
from pipeline.models.base import API_VERSION
from pipeline.models.windows import PlatformWindow, Window
from pipeline.requests.recurrence import Recurrence, parse_recurrence, starts_between

DURATION_DAYS_MAXIMUM = 31
_DURATION = re.compile(
    r"P(?:(?P<weeks>[0-9]{1,2})W|(?:(?P<days>[0-9]{1,2})D)?"
    r"(?:T(?:(?P<hours>[0-9]{1,3})H)?(?:(?P<minutes>[0-9]{1,5})M)?(?:(?P<seconds>[0-9]{1,7})S)?)?)",
    re.ASCII,
)
_DAY_S = 86_400
_ABSOLUTE, _RECURRING = ("from", "to"), ("rrule", "dtstart", "duration")


def _window(id: str, summary: str, why: str, fix: str, fails: str, passes: str) -> Rule:
    return register(Rule(id, summary, why, fix, Subject.REQUEST, _example(fails), _example(passes)))


def _example(when: str) -> str:
    return f"""# file: environments/dev/environment.yaml
apiVersion: {API_VERSION}
kind: Environment
environment: dev
windows:
  - name: year-end
    effect: deny
    reason: Nobody is there who could help
{when}"""


_GOOD = """    zone: Europe/Berlin
    from: 2026-12-19T00:00:00
    to: 2027-01-04T06:00:00
"""
_WEEKLY = """    zone: Europe/Berlin
    rrule: FREQ=WEEKLY;BYDAY=FR
    dtstart: 2026-01-02T16:00:00
    duration: P2DT14H
"""
WINDOW_FORM = _window(
    "window-form",
    "A window has `from` and `to`, or `rrule`, `dtstart` and `duration`.",
    "otherwise nobody can say when it holds",
    "give both ends, or a recurrence with its first begin and its duration of at most 31 days, "
    "such as `P2DT14H`",
    _GOOD.replace("    to: 2027-01-04T06:00:00\n", ""),
    _GOOD,
)
WINDOW_RECURRENCE = _window(
    "window-recurrence",
    "`rrule` is a recurrence of RFC 5545 by days, weeks, months or years.",
    "a rule that nobody reads in the same way, or that takes long to read, holds nothing",
    "see docs/gate.md for the parts that are taken, and their limits",
    _WEEKLY.replace("FREQ=WEEKLY;BYDAY=FR", "FREQ=SECONDLY"),
    _WEEKLY,
)
WINDOW_NEVER_OPENS = _window(
    "window-never-opens",
    "A window holds at some time: its end is after its begin, and `dtstart` is one of its "
    "`rrule`'s own.",
    "a freeze that never comes protects nothing, and an allowance that never comes stops all",
    "put the end after the begin; let `dtstart` be the first time that the rule means",
    _GOOD.replace("2027-01-04", "2026-12-04"),
    _GOOD,
)
WINDOW_ZONE_UNKNOWN = _window(
    "window-zone-unknown",
    "`zone` is one of the IANA Time Zone Database.",
    "times of a zone that nobody knows are no times",
    "use a name such as `Europe/Berlin`, or `UTC`",
    _GOOD.replace("Europe/Berlin", "Europe/Atlantis"),
    _GOOD,
)
WINDOW_NAME_TWICE = _window(
    "window-name-twice",
    "Windows of one file have different names.",
    "a decision names the window that it waits for",
    "give each window a name of its own",
    _GOOD + "  - name: year-end\n    effect: deny\n    reason: Again\n" + _GOOD,
    _GOOD,
)
WINDOW_SCOPE_UNKNOWN = _window(
    "window-scope-unknown",
    "A window is for tenants and environments that exist.",
    "a window for nobody looks like a freeze and holds nothing up",
    "correct the name, or leave the field out, which means all",
    _GOOD + "    tenants: [acme-corp]\n",
    _GOOD + "    tenants: [acme]\n",
)


class WindowProblem(ValueError):
    """Why a window is invalid: the broken rule, the field, the message."""

    def __init__(self, rule: Rule, field: str, message: str) -> None:
        super().__init__(message)
        self.rule, self.field = rule, field


@dataclass(frozen=True, slots=True)
class Span:
    """The time from one moment until just before another."""

    begin_s: int
    end_s: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed window: one span, or a recurrence with its duration."""

    zone: ZoneInfo
    once: Span | None
    rule: Recurrence | None
    days: int = 0  # of the duration, by the calendar
    seconds: int = 0  # of the duration, in addition

    def spans_between(self, moment_s: int, last_s: int) -> Iterator[Span]:
        """The spans that end after one moment and begin no later than another, in order."""
        if self.once is not None:
            if self.once.end_s > moment_s and self.once.begin_s <= last_s:
                yield self.once
            return
        if self.rule is None:
            return
        # One more day for zones ahead of UTC, and one for a duration that ends within a day.
        back = self.days + self.seconds // _DAY_S + 2
        first = _utc_day(moment_s) - timedelta(days=back)
        last = _utc_day(last_s) + timedelta(days=1)
        for start in starts_between(self.rule, first, last):
            if self.rule.until is not None and start.replace(tzinfo=self.zone) > self.rule.until:
                return
            span = self._span(start)
            if span.end_s > moment_s and span.begin_s <= last_s:
                yield span

    def _span(self, start: datetime) -> Span:
        end = seconds_at(start + timedelta(days=self.days), self.zone) + self.seconds
        return Span(seconds_at(start, self.zone), end)


def seconds_at(time: datetime, zone: ZoneInfo) -> int:
    """Seconds since the epoch at a wall-clock time in a zone."""
    return int(time.replace(tzinfo=zone, fold=0).timestamp())


def _utc_day(moment_s: int) -> date:
    bounded = min(max(moment_s, 0), 4_102_444_800)  # 1970 to 2100
    return date(1970, 1, 1) + timedelta(days=bounded // _DAY_S)


# The one list of the package.
@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """The names of all zones in `tzdata`."""
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii")
    return frozenset(listed.split())


# The zones that policy names; more than any platform has.
@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """The zone with this name in `tzdata`. Raises KeyError if there is none."""
    if name not in zone_names():
        raise KeyError(name)
    package, _, file = f"tzdata/zoneinfo/{name}".rpartition("/")
    with resources.files(package.replace("/", ".")).joinpath(file).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


# A control repo has some dozens of windows, and each decision uses those that apply.
@lru_cache(maxsize=512)
def schedule_of(window: Window) -> Schedule:
    """The schedule of a window. Raises WindowProblem if it is invalid."""
    try:
        zone = zone_of(window.zone)
    except KeyError:
        message = f"there is no time zone `{window.zone}`"
        raise WindowProblem(WINDOW_ZONE_UNKNOWN, "zone", message) from None
    given = {"from": window.from_, "to": window.to}
    given |= {name: getattr(window, name) for name in _RECURRING}
    present = tuple(name for name, value in given.items() if value is not None)
    if present == _ABSOLUTE:
        return Schedule(zone, _once(str(window.from_), str(window.to), zone), None)
    if present != _RECURRING:
        told = " and ".join(f"`{name}`" for name in present) or "no time"
        raise WindowProblem(WINDOW_FORM, "name", f"it has {told}")
    return _recurring(str(window.rrule), str(window.dtstart), str(window.duration), zone)


def _once(begin: str, end: str, zone: ZoneInfo) -> Span:
    span = Span(seconds_at(_time("from", begin), zone), seconds_at(_time("to", end), zone))
    if span.end_s <= span.begin_s:
        raise WindowProblem(WINDOW_NEVER_OPENS, "to", f"it ends at {end}, not after its begin")
    return span


def _recurring(text: str, first: str, duration: str, zone: ZoneInfo) -> Schedule:
    start = _time("dtstart", first)
    try:
        rule = parse_recurrence(text, start)
    except ValueError as error:
        raise WindowProblem(WINDOW_RECURRENCE, "rrule", str(error)) from None
    days, seconds = _lasts(duration)
    if not rule.is_in_step:
        message = f"`{text}` does not mean {first[:10]}, on which it is to begin"
        raise WindowProblem(WINDOW_NEVER_OPENS, "dtstart", message)
    if rule.until is not None and start.replace(tzinfo=zone) > rule.until:
        raise WindowProblem(WINDOW_NEVER_OPENS, "rrule", "its UNTIL is before its `dtstart`")
    return Schedule(zone, None, rule, days, seconds)


def _time(field: str, text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        raise WindowProblem(WINDOW_FORM, field, f"there is no such day: {text[:10]}") from None


def _lasts(text: str) -> tuple[int, int]:
    """The calendar days and the seconds of a duration of RFC 5545."""
    match = _DURATION.fullmatch(text)
    if match is None or text.endswith(("P", "T")):
        message = f"`{text}` is no duration such as `PT8H` or `P2DT14H`"
        raise WindowProblem(WINDOW_FORM, "duration", message)
    unit = {name: int(value or 0) for name, value in match.groupdict().items()}
    days = 7 * unit["weeks"] + unit["days"]
    seconds = 3600 * unit["hours"] + 60 * unit["minutes"] + unit["seconds"]
    if days + seconds == 0:
        raise WindowProblem(WINDOW_NEVER_OPENS, "duration", f"`{text}` lasts for no time")
    if days * _DAY_S + seconds > DURATION_DAYS_MAXIMUM * _DAY_S:
        message = f"`{text}` is longer than {DURATION_DAYS_MAXIMUM} days"
        raise WindowProblem(WINDOW_FORM, "duration", message)
    return days, seconds


# -- checks --------------------------------------------------------------------------------


def check_windows(
    windows: Sequence[Window],
    document: ParsedDocument,
    tenants: Collection[str],
    environments: Collection[str],
) -> Iterator[Finding]:
    """Findings for the windows of one policy file, given all tenants and environments."""
    seen: set[str] = set()
    for number, window in enumerate(windows):
        at = ("windows", number)
        if window.name in seen:
            place = document.position_of((*at, "name"))
            yield WINDOW_NAME_TWICE.finding(f"`{window.name}` is given twice", place)
        seen.add(window.name)
        try:
            schedule_of(window)
        except WindowProblem as problem:
            place = document.position_of((*at, problem.field))
            yield problem.rule.finding(f"`{window.name}`: {problem}", place)
        yield from _check_scope("tenants", window.tenants, tenants, document, at)
        if isinstance(window, PlatformWindow):
            yield from _check_scope("environments", window.environments, environments, document, at)


def _check_scope(
    field: str,
    named: Sequence[str],
    known: Collection[str],
    document: ParsedDocument,
    at: tuple[str | int, ...],
) -> Iterator[Finding]:
    for number, name in enumerate(named):
        if name not in known:
            place: Location = document.position_of((*at, field, number))
            yield WINDOW_SCOPE_UNKNOWN.finding(f"there is no {field[:-1]} `{name}`", place)
