"""Moments: one form, in the order of time, and the same second back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pipeline.models.base import Moment, moment_of, seconds_of

MOMENT: TypeAdapter[str] = TypeAdapter(Moment)
SECONDS = st.integers(min_value=0, max_value=253_402_300_799)


@given(SECONDS, SECONDS)
def test_moments_order_as_seconds_do(one: int, other: int) -> None:
    first, second = moment_of(one), moment_of(other)
    assert seconds_of(first) == one and MOMENT.validate_python(first) == first
    assert (first < second, first == second) == (one < other, one == other)


def test_a_moment_reads_as_people_write_it() -> None:
    assert moment_of(1_796_122_355) == "2026-12-01T10:52:35Z"
    assert seconds_of("1970-01-01T00:00:01Z") == 1


@pytest.mark.parametrize("time_s", [-1, -(10**18), 253_402_300_800, 10**18])
def test_times_out_of_range_give_the_first_or_last_moment(time_s: int) -> None:
    expected = "1970-01-01T00:00:00Z" if time_s < 0 else "9999-12-31T23:59:59Z"
    assert moment_of(time_s) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-01T10:52:35+00:00",
        "2026-12-01T10:52:35.5Z",
        "2026-12-01T10:52Z",
        "2026-12-01 10:52:35Z",
        "2026-12-01t10:52:35z",
        "2026-02-30T10:52:35Z",
        "2026-12-01T24:00:00Z",
        "2026-12-01T10:52:60Z",
        "0000-01-01T00:00:00Z",
        "\u0662026-12-01T10:52:35Z",
        "2026-12-01T10:52:35Z\n",
        "",
    ],
)
def test_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(text)
