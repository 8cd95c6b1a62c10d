"""The clock of the machine, and what stops it."""

from __future__ import annotations

import time

import pytest

from pipeline.machine.clock import read_clock


def test_the_epoch_of_reproducible_builds_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    assert read_clock() == 1_767_225_600


@pytest.mark.parametrize("said", [None, "", "-1", "soon", "\u0661"])
def test_it_says_whole_seconds_of_now(monkeypatch: pytest.MonkeyPatch, said: str | None) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_796_122_355.9)
    if said is None:
        monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    else:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", said)
    assert read_clock() == 1_796_122_355
