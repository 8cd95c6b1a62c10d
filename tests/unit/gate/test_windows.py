"""Windows: open or closed to the second, over both edges of summer time, and when that changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from pipeline.gate.windows import Passing, closings, is_open, lasts, next_change
from pipeline.models.base import moment_of, seconds_of
from pipeline.models.windows import PlatformWindow, Window

PASSING = Passing("prod", "acme", "MEDIUM", "normal")


def window(**given: object) -> Window:
    """A window that denies, with defaults filled in."""
    fields = {"name": "freeze", "effect": "deny", "zone": "UTC", "reason": "Nobody is there"}
    kind = PlatformWindow if "environments" in given else Window
    return kind.model_validate_json(json.dumps({**fields, **given}))


def nightly(zone: str, day: str, time: str = "02:30:00", duration: str = "PT1H") -> Window:
    """A window of an hour every night, from a day on."""
    return window(zone=zone, rrule="FREQ=DAILY", dtstart=f"{day}T{time}", duration=duration)


def lasting(each: Window, around: str) -> tuple[str, str]:
    """Begin and end, in UTC, of the span that lasts at a moment; both to the second."""
    at = seconds_of(around)
    assert lasts(each, at), around
    begin, end = at, at
    while lasts(each, begin - 1):
        begin -= 1
    while lasts(each, end):
        end += 1
    return moment_of(begin), moment_of(end)


# Zone, the night before the clock goes forward, that night, the one after: 02:30 to 03:30, in UTC.
FORWARD = [
    ("Europe/Berlin", "2026-03-28T01:45:00Z", "2026-03-28T01:30:00Z", "2026-03-28T02:30:00Z"),
    # 02:30 is left out, so it begins when the clock shows 03:30, and still lasts for an hour.
    ("Europe/Berlin", "2026-03-29T01:45:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"),
    ("Europe/Berlin", "2026-03-30T00:45:00Z", "2026-03-30T00:30:00Z", "2026-03-30T01:30:00Z"),
    ("America/New_York", "2026-03-07T07:45:00Z", "2026-03-07T07:30:00Z", "2026-03-07T08:30:00Z"),
    ("America/New_York", "2026-03-08T07:45:00Z", "2026-03-08T07:30:00Z", "2026-03-08T08:30:00Z"),
    ("America/New_York", "2026-03-09T06:45:00Z", "2026-03-09T06:30:00Z", "2026-03-09T07:30:00Z"),
    # Lord Howe goes forward by half an hour: 02:00 is 02:30 at once, so nothing is left out.
    ("Australia/Lord_Howe", "2026-10-02T16:15:00Z", "2026-10-02T16:00:00Z", "2026-10-02T17:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:45:00Z", "2026-10-03T15:30:00Z", "2026-10-03T16:30:00Z"),
    ("Australia/Lord_Howe", "2026-10-04T15:45:00Z", "2026-10-04T15:30:00Z", "2026-10-04T16:30:00Z"),
]
# The same where the clock goes back: 02:30, which may come twice, is the first one.
BACK = [
    ("Europe/Berlin", "2026-10-24T00:45:00Z", "2026-10-24T00:30:00Z", "2026-10-24T01:30:00Z"),
    ("Europe/Berlin", "2026-10-25T00:45:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
    ("Europe/Berlin", "2026-10-26T01:45:00Z", "2026-10-26T01:30:00Z", "2026-10-26T02:30:00Z"),
    ("America/New_York", "2026-10-31T06:45:00Z", "2026-10-31T06:30:00Z", "2026-10-31T07:30:00Z"),
    ("America/New_York", "2026-11-01T07:45:00Z", "2026-11-01T07:30:00Z", "2026-11-01T08:30:00Z"),
    ("America/New_York", "2026-11-02T07:45:00Z", "2026-11-02T07:30:00Z", "2026-11-02T08:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-03T15:45:00Z", "2026-04-03T15:30:00Z", "2026-04-03T16:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T16:15:00Z", "2026-04-04T16:00:00Z", "2026-04-04T17:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-05T16:15:00Z", "2026-04-05T16:00:00Z", "2026-04-05T17:00:00Z"),
]


@pytest.mark.parametrize(("zone", "around", "begin", "end"), [*FORWARD, *BACK])
def test_a_window_by_the_hour_follows_the_clock_of_its_zone(
    zone: str, around: str, begin: str, end: str
) -> None:
    assert lasting(nightly(zone, "2026-01-01"), around) == (begin, end)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("UTC", "2026-03-29", 24),
    ],
)
def test_a_day_of_the_calendar_is_as_long_as_it_is_there(zone: str, day: str, hours: float) -> None:
    rule = {"zone": zone, "rrule": "FREQ=YEARLY", "dtstart": f"{day}T00:00:00"}
    by_calendar, counted = window(**rule, duration="P1D"), window(**rule, duration="PT24H")
    noon = int(datetime.fromisoformat(f"{day}T12:00:00Z").timestamp())
    begin, end = map(seconds_of, lasting(by_calendar, moment_of(noon)))
    assert (end - begin) / 3600 == hours
    begin, end = map(seconds_of, lasting(counted, moment_of(noon)))
    assert (end - begin) / 3600 == 24


@pytest.mark.parametrize(
    ("first", "last", "begin", "end"),
    [
        # 02:30 of the night is left out: it is 01:30 in UTC, as it would be without the change.
        ("2026-03-29T02:30:00", "2026-03-29T04:00:00", "01:30", "02:00"),
        ("2026-03-29T01:00:00", "2026-03-29T02:30:00", "00:00", "01:30"),
        # It comes twice: the first one is meant.
        ("2026-10-25T02:30:00", "2026-10-25T04:00:00", "00:30", "03:00"),
        ("2026-10-25T01:00:00", "2026-10-25T02:30:00", "23:00", "00:30"),
    ],
)
def test_an_end_in_the_night_of_the_change(first: str, last: str, begin: str, end: str) -> None:
    each = window(zone="Europe/Berlin", **{"from": first}, to=last)
    inside = seconds_of(f"{first[:10]}T{end}:00Z") - 1
    found = lasting(each, moment_of(inside))
    assert tuple(text[11:16] for text in found) == (begin, end)


@pytest.mark.parametrize(
    "each",
    [
        window(**{"from": "2026-12-20T10:00:00"}, to="2026-12-20T12:00:00"),
        window(rrule="FREQ=WEEKLY", dtstart="2026-12-06T10:00:00", duration="PT2H"),
    ],
)
def test_a_window_holds_from_its_first_second_until_before_its_last(each: Window) -> None:
    begin, end = seconds_of("2026-12-20T10:00:00Z"), seconds_of("2026-12-20T12:00:00Z")
    seen = {at: lasts(each, at) for at in (begin - 1, begin, begin + 1, end - 1, end, end + 1)}
    assert [at - begin for at, is_in in seen.items() if is_in] == [0, 1, 7199]
    allows = each.model_copy(update={"effect": "allow"})
    for at, is_in in seen.items():
        assert is_open([[each]], PASSING, at) != is_in
        assert is_open([[allows]], PASSING, at) == is_in


def test_the_next_change_is_told_to_the_second() -> None:
    each = window(rrule="FREQ=WEEKLY", dtstart="2026-12-06T10:00:00", duration="PT2H")
    begin = seconds_of("2026-12-20T10:00:00Z")
    assert next_change([[each]], PASSING, begin - 1) == begin
    assert next_change([[each]], PASSING, begin) == begin + 7200
    assert next_change([[each]], PASSING, begin + 7199) == begin + 7200
    assert next_change([[each]], PASSING, begin + 7200) == begin + 7 * 86_400


def test_adjacent_windows_count_as_one() -> None:
    first = window(name="first", **{"from": "2026-12-20T00:00:00"}, to="2026-12-24T00:00:00")
    second = window(name="second", **{"from": "2026-12-23T00:00:00"}, to="2027-01-02T00:00:00")
    daily = nightly("UTC", "2026-12-20", "00:00:00", "P1D").model_copy(update={"name": "daily"})
    now = seconds_of("2026-12-21T00:00:00Z")
    assert next_change([[first, second]], PASSING, now) == seconds_of("2027-01-02T00:00:00Z")
    assert next_change([[first], [second]], PASSING, now) == seconds_of("2027-01-02T00:00:00Z")
    # One that denies for ever: no end of it is in sight, and the search ends.
    found = next_change([[daily]], PASSING, now)
    assert found is not None and found > now + 100 * 86_400
    assert next_change([[first]], PASSING, seconds_of("2027-02-01T00:00:00Z")) is None


def test_each_file_by_itself_says_when_promotions_pass() -> None:
    days = {"zone": "UTC", "dtstart": "2026-12-01T08:00:00", "duration": "PT8H"}
    platform = window(effect="allow", rrule="FREQ=DAILY", **days, environments=["prod"])
    own = window(effect="allow", rrule="FREQ=DAILY", **{**days, "dtstart": "2026-12-01T14:00:00"})
    hours = {
        hour
        for hour in range(24)
        if is_open([[platform], [own]], PASSING, seconds_of(f"2026-12-07T{hour:02}:00:00Z"))
    }
    assert hours == {14, 15}, "an environment's window widens no window of the platform"
    of_one_file = [[platform, own]]
    assert is_open(of_one_file, PASSING, seconds_of("2026-12-07T21:00:00Z"))
    closing = next(closings(of_one_file, PASSING, seconds_of("2026-12-07T23:00:00Z")))
    assert (closing.effect, len(closing.windows)) == ("allow", 2)
    denying = window(**{"from": "2026-12-07T15:00:00"}, to="2026-12-07T15:30:00")
    at = seconds_of("2026-12-07T15:10:00Z")
    assert not is_open([[platform, denying], [own]], PASSING, at)
    assert next_change([[platform, denying], [own]], PASSING, at) == at + 20 * 60


@pytest.mark.parametrize(
    ("narrowed", "is_closed"),
    [
        ({}, True),
        ({"tenants": ["acme"]}, True),
        ({"tenants": ["contoso"]}, False),
        ({"risk_tiers": ["LOW", "MEDIUM"]}, True),
        ({"risk_tiers": ["HIGH", "CRITICAL"]}, False),
        ({"environments": ["prod", "staging"]}, True),
        ({"environments": ["staging"]}, False),
        ({"environments": []}, True),
        ({"lanes": ["security", "rollback"]}, True),
    ],
)
def test_a_window_applies_to_those_that_it_names(
    narrowed: dict[str, object], is_closed: bool
) -> None:
    each = window(**{"from": "2026-12-20T00:00:00"}, to="2026-12-24T00:00:00", **narrowed)
    now = seconds_of("2026-12-21T00:00:00Z")
    assert is_open([[each]], PASSING, now) != is_closed
    # An allowance for others asks nothing of this one.
    later = each.model_copy(
        update={"effect": "allow", "from_": "2026-12-22T00:00:00", "to": "2026-12-23T00:00:00"}
    )
    assert is_open([[later]], PASSING, now) != is_closed


@pytest.mark.parametrize("lane", ["security", "rollback"])
def test_a_lane_passes_the_windows_that_allow_it(lane: str) -> None:
    each = window(**{"from": "2026-12-20T00:00:00"}, to="2026-12-24T00:00:00", lanes=["security"])
    subject = Passing("prod", "acme", "MEDIUM", lane)  # type: ignore[arg-type]  # a lane
    now = seconds_of("2026-12-21T00:00:00Z")
    assert is_open([[each]], subject, now) == (lane == "security")


@pytest.mark.parametrize("effect", ["deny", "allow"])
def test_an_invalid_window_keeps_everything_closed(effect: str) -> None:
    each = window(effect=effect, zone="Europe/Atlantis", **{"from": "2026-12-20T00:00:00"})
    for year in (1970, 2026, 2099):
        at = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
        assert not is_open([[each]], PASSING, at)
        assert next_change([[each]], PASSING, at) is None


def test_a_zone_that_leaves_out_a_whole_day() -> None:
    # Samoa had no 30 December 2011: that day begins with the next one.
    each = window(zone="Pacific/Apia", **{"from": "2011-12-29T00:00:00"}, to="2011-12-31T00:00:00")
    begin, end = lasting(each, "2011-12-29T12:00:00Z")
    assert (begin, end) == ("2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z")
