"""What a case changes in the evidence about soaks, and a naive judgement of observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.gate.authorise import Evidence
from pipeline.models.soak import Soak

KEYS = ("soak", "seen", "known_for")
HOUR_S = 3600


def changed_soak(e: Evidence, key: str, value: object) -> Evidence:
    """The evidence with one thing changed; `key` is one of `KEYS`."""
    before = e.environment.promotes_from
    match key:
        case "soak":
            soak = Soak.model_validate(value, strict=False)
            return replace(e, environment=e.environment.model_copy(update={"soak": soak}))
        case "seen":
            # From when to when each run before was seen healthy, and the longest gap, in hours.
            assert isinstance(value, Mapping)
            told = {
                "healthy_since": value.get("from"),
                "healthy_seen": value.get("to"),
                "longest_gap_s": int(value.get("gap", 0)) * HOUR_S,
                "was_healthy": "from" in value,
            }
            runs = tuple(
                run.model_copy(update=told) if run.environment in before else run
                for run in e.status.runs
            )
            return replace(e, status=e.status.model_copy(update={"runs": runs}))
        case "known_for":
            # For how many hours an observation counts there.
            assert isinstance(value, int)
            return replace(e, known_for_s=dict.fromkeys(before, value * HOUR_S))
    raise ValueError(f"no case changes `{key}`")


def naively_soaked(reports: Sequence[tuple[int, bool]], wanted: int, known_for: int) -> bool:
    """Whether some minutes of health, each walked through, are enough at the newest report.

    `reports` are minutes and whether a report then said healthy, in order. A minute between two
    healthy reports was healthy if they are no further apart than a report counts.
    """
    if not reports:
        return False
    said = dict(reports)
    streak, is_healthy, since_report = 0, False, 0
    for minute in range(min(said), max(said) + 1):
        since_report += 1
        streak += 1
        if minute not in said:
            continue
        if not said[minute]:
            streak, is_healthy = 0, False
        elif not is_healthy or since_report > known_for:
            streak, is_healthy = 0, True
        since_report = 0
    return is_healthy and streak >= wanted
