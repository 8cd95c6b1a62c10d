"""What ran in each environment, newest last: order is that a release *has run* somewhere. Pure.

A run begins with the fact of a promotion and ends with the next one to the same environment. The
status lists the newest 10 of each environment (`LISTED_RUNS`); facts hold all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pipeline.models.facts import Fact, Observed, Promoted
from pipeline.models.status import DraftStatus, RunRecord

LISTED_RUNS = 10  # of each environment

Runs = tuple[RunRecord, ...]


def runs_after(runs: Runs, fact: Fact) -> Runs:
    """The runs with one more fact."""
    body = fact.body
    if isinstance(body, Promoted):
        if body.automatic:
            runs = _rolled_back(runs, body.environment)
        begun = RunRecord(
            environment=body.environment,
            release=body.release,
            fact=fact.sequence,
            goes_further=body.goes_further,
        )
        return (*runs, begun)
    if not isinstance(body, Observed):
        return runs
    seen = body.observation
    newest = _newest(runs, seen.environment)
    return tuple(
        run.model_copy(update={"was_healthy": True})
        if run.fact == newest and seen.is_healthy_as(run.release.digest)
        else run
        for run in runs
    )


def _newest(runs: Runs, environment: str) -> int:
    """The number of the newest promotion to an environment; 0 if there was none."""
    return max((run.fact for run in runs if run.environment == environment), default=0)


def _rolled_back(runs: Runs, environment: str) -> Runs:
    """The runs, with the newest of an environment marked as ended by policy itself."""
    newest = _newest(runs, environment)
    return tuple(
        run.model_copy(update={"rolled_back": True}) if run.fact == newest else run for run in runs
    )


def runs_of(facts: Iterable[Fact]) -> Runs:
    """All runs that some facts tell of."""
    runs: Runs = ()
    for fact in facts:
        runs = runs_after(runs, fact)
    return runs


def listed_runs(runs: Runs) -> Runs:
    """The newest runs of each environment, as many as a status lists."""
    counts: dict[str, int] = {}
    kept: list[RunRecord] = []
    for run in reversed(runs):
        counts[run.environment] = counts.get(run.environment, 0) + 1
        if counts[run.environment] <= LISTED_RUNS:
            kept.append(run)
    return runs if len(kept) == len(runs) else tuple(reversed(kept))


def lists_all_runs(status: DraftStatus) -> bool:
    """Whether a status surely lists every run that there was."""
    counts = Counter(run.environment for run in status.runs)
    return not lacks_runs(status) and all(count < LISTED_RUNS for count in counts.values())


def lacks_runs(status: DraftStatus) -> bool:
    """Whether an older tool wrote the status, which listed what runs now alone."""
    return not {p.fact for p in status.promotions} <= {run.fact for run in status.runs}


def without_runs(status: DraftStatus) -> DraftStatus:
    """The status as an older tool wrote it."""
    return status.model_copy(update={"runs": ()})
