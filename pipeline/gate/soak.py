"""Whether a release was seen healthy long enough in an environment before. Pure.

What counts is the time between the first and the newest of an unbroken row of healthy observations
of one run. Anything else that is seen of it begins the row anew, and so does a time in which nobody
looked for longer than an observation counts. After the newest observation nothing counts: it is not
known how the release did. The row of a run that was replaced stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pipeline.gate import rules as rule
from pipeline.gate.ran import runs_of_release
from pipeline.gate.reasons import DecisionReason, waits
from pipeline.models.base import moment_of, seconds_of
from pipeline.models.requests import Environment
from pipeline.models.status import RunRecord

if TYPE_CHECKING:
    from pipeline.gate.authorise import Evidence  # which lists this clause

_HOUR_S, _MINUTE_S = 3600, 60


def seen_healthy_s(run: RunRecord, known_for_s: int) -> int | None:
    """For how many seconds a run was seen healthy without a break; None if that is not known.

    An observation counts for `known_for_s` seconds.
    """
    since, seen = run.healthy_since, run.healthy_seen
    if since is None or seen is None or run.longest_gap_s > known_for_s:
        return None
    return seconds_of(seen) - seconds_of(since)


def soaked(run: RunRecord, wanted_s: int, known_for_s: int) -> bool:
    """Whether a run was seen healthy for `wanted_s` seconds without a break."""
    found_s = seen_healthy_s(run, known_for_s)
    return found_s is not None and found_s >= wanted_s


def longest_soak_s(environments: Mapping[str, Environment], name: str) -> int:
    """The longest soak, in seconds, that environments after this one ask for; 0 for none."""
    after = (e for e in environments.values() if name in e.promotes_from)
    return max((e.soak.seconds for e in after if e.soak), default=0)


def clause_soak(e: Evidence) -> Iterator[DecisionReason]:
    """The release was seen healthy long enough in an environment before, if policy asks for it."""
    policy = e.environment.soak
    if policy is None or e.promotion.lane in policy.lanes:
        return
    runs = _runs_before(e)
    if any(soaked(run, policy.seconds, _known_for_s(e, run)) for run in runs):
        return
    said = f"{describe_soaks(e)}; {e.environment.environment} asks for {policy.hours} h"
    if all(seen_healthy_s(run, _known_for_s(e, run)) is None for run in runs):
        yield waits(rule.SOAK_UNKNOWN, said)
        return
    until_s = _passes_at(e, runs, policy.seconds)
    if until_s is not None:
        said += f", complete at {moment_of(until_s)} at the earliest"
    yield waits(rule.SOAK_NOT_OVER, said, until_s)


def describe_soaks(e: Evidence) -> str:
    """How long the release was seen healthy, by environment before."""
    told = [_describe(e, run) for run in _runs_before(e)]
    return "; ".join(told) or f"{' or '.join(e.environment.promotes_from)} has not run it"


def _describe(e: Evidence, run: RunRecord) -> str:
    known_for_s, name = _known_for_s(e, run), run.environment
    found_s = seen_healthy_s(run, known_for_s)
    if found_s is not None:
        time = f"{found_s // _HOUR_S} h {found_s % _HOUR_S // _MINUTE_S} min"
        more = "" if _runs_now(e, run) else ", until another release replaced it"
        return f"{name} has seen it healthy for {time}{more}"
    if run.healthy_since is None:
        return f"{name} has not seen it healthy" + (" again" if run.was_healthy else "")
    hours = known_for_s // _HOUR_S
    return f"{name} has not looked at it for longer than {hours} hours at a time"


def _runs_before(e: Evidence) -> tuple[RunRecord, ...]:
    """The newest run of this release in each environment before."""
    base = e.overlay.release.base_tree if e.overlay else None
    runs = runs_of_release(e, e.environment.promotes_from)
    newest = {r.environment: r for r in runs if base in (None, r.release.base_tree)}
    return tuple(newest.values())


def _known_for_s(e: Evidence, run: RunRecord) -> int:
    return e.known_for_s.get(run.environment, 0)


def _runs_now(e: Evidence, run: RunRecord) -> bool:
    record = e.status.promotion(run.environment)
    return record is not None and record.fact == run.fact


def _passes_at(e: Evidence, runs: tuple[RunRecord, ...], wanted_s: int) -> int | None:
    """The next moment at which one of the runs may have soaked; None if none is foreseen."""
    ends = [
        seconds_of(run.healthy_since) + wanted_s
        for run in runs
        if run.healthy_since is not None
        and _runs_now(e, run)
        and seen_healthy_s(run, _known_for_s(e, run)) is not None
    ]
    return min((end for end in ends if end > e.now_s), default=None)
