"""What ran in each environment, newest last; the order of environments depends on it. Pure.

A run begins with the fact of a promotion and ends with the next one to the same environment. The
status lists the newest 10 per environment (`LISTED_RUNS`); facts hold all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from pipeline.models.base import Moment, seconds_of
from pipeline.models.facts import Fact, Observed, Promoted
from pipeline.models.status import DraftStatus, RunRecord

LISTED_RUNS = 10  # per environment

Runs = tuple[RunRecord, ...]
_BROKEN: dict[str, object] = {
    "healthy_since": None,
    "healthy_seen": None,
    "longest_gap_s": 0,
}


def runs_after(runs: Runs, fact: Fact) -> Runs:
    """The runs after one more fact."""
    body = fact.body
    if isinstance(body, Promoted):
        since = body.merged_at or fact.decided_at
        begun = RunRecord(
            environment=body.environment,
            release=body.release,
            fact=fact.sequence,
            since=since,
            goes_further=body.goes_further,
        )
        ended: dict[str, object] = {"until": since, "rolled_back": body.automatic}
        return (*_with_newest(runs, body.environment, lambda _: ended), begun)
    if not isinstance(body, Observed):
        return runs
    seen = body.observation
    moment = seen.observed_at or fact.decided_at

    def told(run: RunRecord) -> dict[str, object]:
        if not seen.is_healthy_as(run.release.digest):
            return _BROKEN
        return {"was_healthy": True, **_seen_healthy(run, moment)}

    return _with_newest(runs, seen.environment, told)


def _seen_healthy(run: RunRecord, moment: Moment | None) -> dict[str, object]:
    """What one more healthy observation, made at a moment, changes about time."""
    before = run.healthy_seen
    if moment is None or (before and moment <= before):
        return {}
    gap_s = seconds_of(moment) - seconds_of(before) if before else 0
    return {
        "healthy_since": run.healthy_since or moment,
        "healthy_seen": moment,
        "longest_gap_s": max(run.longest_gap_s, gap_s),
    }


def _with_newest(
    runs: Runs, environment: str, changes: Callable[[RunRecord], dict[str, object]]
) -> Runs:
    """The runs, with the newest one of an environment, if any, changed by `changes`."""
    newest = max((run.fact for run in runs if run.environment == environment), default=0)
    return tuple(run.model_copy(update=changes(run)) if run.fact == newest else run for run in runs)


def runs_of(facts: Iterable[Fact]) -> Runs:
    """All runs in these facts."""
    runs: Runs = ()
    for fact in facts:
        runs = runs_after(runs, fact)
    return runs


def listed_runs(runs: Runs) -> Runs:
    """The newest runs of each environment that a status lists."""
    counts: dict[str, int] = {}
    kept: list[RunRecord] = []
    for run in reversed(runs):
        counts[run.environment] = counts.get(run.environment, 0) + 1
        if counts[run.environment] <= LISTED_RUNS:
            kept.append(run)
    return runs if len(kept) == len(runs) else tuple(reversed(kept))


def lists_all_runs(status: DraftStatus) -> bool:
    """Whether a status certainly lists every run."""
    counts = Counter(run.environment for run in status.runs)
    return not lacks_runs(status) and all(count < LISTED_RUNS for count in counts.values())


def lacks_runs(status: DraftStatus) -> bool:
    """Whether an older tool wrote the status, listing only what runs now."""
    return not {p.fact for p in status.promotions} <= {run.fact for run in status.runs}


def without_runs(status: DraftStatus) -> DraftStatus:
    """The status as an older tool wrote it."""
    return status.model_copy(update={"runs": ()})
