"""What windows may say: each fault is found where it stands, whatever a rule tries to cost."""

from __future__ import annotations

import pytest

from pipeline.models.windows import Window
from pipeline.requests.layout import PLATFORM_PATH, environment_path
from pipeline.requests.windows import WindowProblem, schedule_of, zone_names, zone_of
from tests.support.samples import findings_of, world_files

RULE = {"rrule": "FREQ=WEEKLY", "dtstart": "2026-12-07T08:00:00", "duration": "PT8H"}


def problem_of(**given: object) -> tuple[str, str]:
    """The code and the field of what is wrong with a window; empty when nothing is."""
    fields = {"name": "freeze", "effect": "deny", "zone": "UTC", "reason": "Nobody is there"}
    try:
        schedule_of(Window.model_validate({**fields, **given}))
    except WindowProblem as problem:
        return problem.rule.id, problem.field
    return "", ""


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=SECONDLY",
        "FREQ=MINUTELY",
        "FREQ=HOURLY;COUNT=2",
        "FREQ=WEEKLY;COUNT=1001",
        "FREQ=WEEKLY;COUNT=99999999999999999999",
        "FREQ=WEEKLY;COUNT=0",
        "FREQ=WEEKLY;INTERVAL=0",
        "FREQ=WEEKLY;INTERVAL=367",
        "FREQ=WEEKLY;INTERVAL=-1",
        "FREQ=WEEKLY;INTERVAL=١",
        "FREQ=WEEKLY;UNTIL=20271231",
        "FREQ=WEEKLY;UNTIL=20270231T000000Z",
        "FREQ=WEEKLY;UNTIL=99991231T235959Z",
        "FREQ=WEEKLY;UNTIL=20271231T235959",
        "FREQ=WEEKLY;COUNT=2;UNTIL=20271231T235959Z",
        "FREQ=WEEKLY;BYHOUR=1,2,3",
        "FREQ=WEEKLY;BYSECOND=1",
        "FREQ=WEEKLY;BYEASTER=0",
        "FREQ=WEEKLY;BYWEEKNO=1",
        "FREQ=WEEKLY;BYMONTHDAY=1",
        "FREQ=WEEKLY;BYDAY=1MO",
        "FREQ=MONTHLY;BYDAY=1MO,TU",
        "FREQ=MONTHLY;BYDAY=54MO",
        "FREQ=MONTHLY;BYDAY=0MO",
        "FREQ=MONTHLY;BYDAY=XX",
        "FREQ=MONTHLY;BYMONTH=13",
        "FREQ=MONTHLY;BYMONTH=-1",
        "FREQ=MONTHLY;BYMONTHDAY=32",
        "FREQ=MONTHLY;BYSETPOS=1",
        "FREQ=MONTHLY;WKST=XX",
        "FREQ=WEEKLY;FREQ=DAILY",
        "FREQ=WEEKLY;BYDAY=MO;BYDAY=TU",
        "FREQ",
        "FREQ=",
        "BYDAY=MO",
        "freq=weekly",
        "FREQ=WEEKLY;",
        "FREQ=WEEKLY\nDTSTART:20260101",
        "RRULE:FREQ=WEEKLY",
    ],
)
def test_an_unsupported_recurrence_is_refused(text: str) -> None:
    assert problem_of(**{**RULE, "rrule": text}) == ("window-recurrence", "rrule")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, ("", "")),
        ({"rrule": "FREQ=MONTHLY;BYDAY=-1MO"}, ("window-never-opens", "dtstart")),
        ({"rrule": "FREQ=MONTHLY;BYDAY=1MO"}, ("", "")),
        ({"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, ("window-never-opens", "dtstart")),
        (
            {"rrule": "FREQ=YEARLY;BYMONTH=12;BYDAY=MO;BYSETPOS=9"},
            ("window-never-opens", "dtstart"),
        ),
        ({"rrule": "FREQ=WEEKLY;UNTIL=20261206T000000Z"}, ("window-never-opens", "rrule")),
        ({"rrule": "FREQ=WEEKLY;UNTIL=20261207T080000Z"}, ("", "")),
        ({"dtstart": "2026-02-30T08:00:00"}, ("window-form", "dtstart")),
        ({"duration": "PT0S"}, ("window-never-opens", "duration")),
        ({"duration": "P32D"}, ("window-form", "duration")),
        ({"duration": "P31DT1S"}, ("window-form", "duration")),
        ({"duration": "P31D"}, ("", "")),
        ({"duration": "P4W"}, ("", "")),
        ({"duration": "PT744H"}, ("", "")),
        ({"duration": "-PT1H"}, ("window-form", "duration")),
        ({"duration": "P"}, ("window-form", "duration")),
        ({"duration": "P1DT"}, ("window-form", "duration")),
        ({"duration": "P1Y"}, ("window-form", "duration")),
        ({"duration": "P1M"}, ("window-form", "duration")),
        ({"duration": "8h"}, ("window-form", "duration")),
        ({"duration": None}, ("window-form", "name")),
        ({"dtstart": None}, ("window-form", "name")),
        ({"rrule": None}, ("window-form", "name")),
        ({"from": "2026-12-07T08:00:00"}, ("window-form", "name")),
        ({"zone": "Mars/Olympus"}, ("window-zone-unknown", "zone")),
        ({"zone": "/etc/localtime"}, ("window-zone-unknown", "zone")),
        ({"zone": "zones"}, ("window-zone-unknown", "zone")),
        ({"zone": "europe/berlin"}, ("window-zone-unknown", "zone")),
        ({"zone": "Europe/"}, ("window-zone-unknown", "zone")),
    ],
)
def test_a_recurring_window(changes: dict[str, object], found: tuple[str, str]) -> None:
    assert problem_of(**{**RULE, **changes}) == found


@pytest.mark.parametrize(
    ("begin", "end", "found"),
    [
        ("2026-12-20T00:00:00", "2026-12-20T00:00:01", ("", "")),
        ("2026-12-20T00:00:00", "2026-12-20T00:00:00", ("window-never-opens", "to")),
        ("2026-12-20T00:00:00", "2026-12-19T00:00:00", ("window-never-opens", "to")),
        ("2026-12-20T00:00:00", None, ("window-form", "name")),
        (None, "2026-12-20T00:00:00", ("window-form", "name")),
        (None, None, ("window-form", "name")),
        ("2026-02-29T00:00:00", "2026-12-20T00:00:00", ("window-form", "from")),
    ],
)
def test_a_window_between_two_times(
    begin: str | None, end: str | None, found: tuple[str, str]
) -> None:
    assert problem_of(**{"from": begin}, to=end) == found


def test_an_end_that_the_change_of_the_clock_brings_before_its_begin() -> None:
    # 02:45 comes twice and the first is meant; in spring 02:30 is what others call 03:30.
    times = {"zone": "Europe/Berlin", "from": "2026-03-29T02:30:00", "to": "2026-03-29T03:15:00"}
    assert problem_of(**times) == ("window-never-opens", "to")


def test_every_zone_of_the_data_is_read() -> None:
    for name in zone_names():
        assert zone_of(name).key == name


def test_a_time_is_text_of_one_form() -> None:
    for text in (
        "2026-12-20",
        "2026-12-20T24:00:00",
        "1999-01-01T00:00:00",
        "2026-12-20T00:00:00Z",
    ):
        with pytest.raises(ValueError, match="pattern"):
            problem_of(**{"from": text}, to="2026-12-31T00:00:00")


WINDOWS = """windows:
  - name: year-end
    effect: deny
    zone: Europe/Berlin
    from: 2026-12-19T00:00:00
    to: 2027-01-04T06:00:00
    reason: Nobody is there who could help
    environments: [prod, qa]
    tenants: [acme, nobody]
  - name: year-end
    effect: allow
    zone: Europe/Atlantis
    from: 2026-12-19T00:00:00
    to: 2027-01-04T06:00:00
    reason: Nobody is there who could help
"""


def test_the_platform_s_windows_are_checked_where_they_stand() -> None:
    text = world_files()[PLATFORM_PATH].decode() + WINDOWS
    first = text[: text.index("windows:")].count("\n") + 1
    found = findings_of(PLATFORM_PATH, text.encode())
    places = [(f.code, (f.location.line or 0) - first, f.location.column) for f in found]
    assert places == [
        ("window-scope-unknown", 7, 26),
        ("window-scope-unknown", 8, 21),
        ("window-name-twice", 9, 11),
        ("window-zone-unknown", 11, 11),
    ]


def test_an_environment_s_windows_name_no_environment() -> None:
    path = environment_path("dev")
    found = findings_of(path, world_files()[path] + WINDOWS.encode())
    assert [f.code for f in found] == ["request-unknown-field"]


def test_the_number_of_windows_is_limited() -> None:
    path = environment_path("dev")
    one = (
        "  - {{name: w{}, effect: deny, zone: UTC, from: 2026-12-19T00:00:00, "
        "to: 2026-12-20T00:00:00, reason: Nobody is there}}\n"
    )
    for number, codes in ((50, []), (51, ["request-bad-value"])):
        many = "windows:\n" + "".join(one.format(n) for n in range(number))
        found = findings_of(path, world_files()[path] + many.encode())
        assert [f.code for f in found] == codes
