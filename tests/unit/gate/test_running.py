"""What runs against what was sealed: the same of a report and of a recorded status."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.gate.running import Running, check_running
from tests.support import fact_history as history
from tests.support.deliveries import observation

SEALED = history.DIGEST
OTHER = "sha256:" + "9" * 64
IMAGE = history.sample_status().image
BOTH = [f"{IMAGE}@{SEALED}", f"{IMAGE}@{OTHER}"]


def running(**over: Any) -> Running:
    """What is told, by a report and by the status that records it."""
    seen = observation("dev", **over)
    record = history.sample_status().promotion("dev")
    assert record is not None
    promotion = record.model_copy(update={"observation": seen}).model_dump(mode="json")
    found = Running.seen(seen, SEALED)
    assert Running.of(promotion) == found
    return found


@pytest.mark.parametrize(
    ("over", "codes", "words"),
    [
        ({}, [], ""),
        ({"digest": None}, [], ""),
        ({"digest": OTHER}, ["running-digest-differs"], "not what was promoted"),
        ({"digest": OTHER, "health": "Progressing"}, [], "not what was promoted"),
        ({"digest": None, "images": BOTH}, ["running-digest-differs"], "runs 2 digests at once"),
        (
            {"digest": None, "images": BOTH, "health": "Progressing"},
            [],
            "runs 2 digests while rolling out",
        ),
        (
            {"digest": None, "images": [f"{IMAGE}:1"], "health": "Progressing"},
            ["running-without-digest"],
            "without a digest",
        ),
        (
            {"digest": None, "images": [f"{IMAGE}:1", BOTH[1]]},
            ["running-without-digest", "running-digest-differs"],
            "without a digest",
        ),
    ],
)
def test_what_runs_in_place_of_the_sealed_image(
    over: dict[str, Any], codes: list[str], words: str
) -> None:
    found = running(**over)
    assert [finding.code for finding in check_running(found)] == codes
    assert words in found.describe() and bool(found.describe()) is bool(words)


def test_what_was_never_seen_is_nothing() -> None:
    record = history.sample_status().promotion("dev")
    assert record is not None
    assert Running.of(record.model_dump(mode="json")) is None


@pytest.mark.parametrize("missing", ["draft", "environment", "health"])
def test_a_damaged_status_is_no_answer(missing: str) -> None:
    record = history.sample_status().promotion("dev")
    assert record is not None
    values = record.model_copy(update={"observation": observation("dev")}).model_dump(mode="json")
    del values["observation"][missing]
    with pytest.raises(KeyError):
        Running.of(values)


def test_what_it_says_commands_no_terminal() -> None:
    found = running(digest=None, images=[f"{IMAGE}:\x1b[2K"])
    [finding] = check_running(found)
    assert "\x1b" not in finding.message + found.describe()
