"""What a case changes in the evidence about runs, holds and rollbacks of its environment."""

from __future__ import annotations

from dataclasses import replace

from pipeline.gate.authorise import Evidence
from pipeline.gate.groups import Companion
from pipeline.gate.reasons import DecisionReason
from pipeline.models.base import moment_of
from pipeline.models.evidence import Observation
from pipeline.models.facts import Release
from pipeline.models.requests import RollbackOn
from pipeline.models.status import HoldRecord, RunRecord
from tests.support import fact_history as history
from worlds.control_repo import CLOCK_S

_OF_RUNS = ("runs_here", "healthy", "rolled_back", "health", "minutes", "automatic", "stays")
KEYS = (*_OF_RUNS, "held", "asked", "lift", "retires", "by_people", "group")
HOUR_S = 3600
RELEASES: dict[str, Release] = {
    "this": history.RELEASE,
    "other": history.RELEASE.model_copy(update={"digest": history.digest_of("other image")}),
    "third": history.RELEASE.model_copy(update={"digest": history.digest_of("third image")}),
}


def _companion(draft: str, how: str) -> Companion:
    """Another member: allowed, moved, ended, or one that waits or is refused."""
    match how:
        case "moved":
            return Companion(draft, moved_s=CLOCK_S)
        case "ended":
            return Companion(draft, ended="was refused: digest-blocked")
        case "waits" | "refused":
            reason = DecisionReason("digest-blocked", "it leaks", final=how == "refused")
            return Companion(draft, (reason,))
    assert how == "allowed"
    return Companion(draft)


def changed_run(e: Evidence, key: str, value: object) -> Evidence:
    """The evidence with one thing changed; `key` is one of `KEYS`."""
    name = e.environment.environment
    match key:
        case "runs_here":
            assert isinstance(value, list)
            return _with_runs(e, [RELEASES[str(word)] for word in value])
        case "healthy" | "rolled_back":
            # Which of those runs were seen healthy, or ended by policy.
            assert isinstance(value, list)
            field = "was_healthy" if key == "healthy" else "rolled_back"
            digests = {RELEASES[str(word)].digest for word in value}
            return _with_run_fields(e, {name}, lambda run: {field: run.release.digest in digests})
        case "health":
            return _with_health(e, str(value))
        case "minutes":
            assert isinstance(value, int)
            policy = RollbackOn(health="degraded", minutes=value)
            return replace(e, environment=e.environment.model_copy(update={"rollback_on": policy}))
        case "automatic":
            promotion = e.promotion.model_copy(update={"lane": "rollback", "overlay_tree": None})
            return replace(
                changed_run(e, "minutes", 10), automatic=bool(value), promotion=promotion
            )
        case "group":
            # Other members of its release group: draft → how far each has come.
            assert isinstance(value, dict)
            return replace(e, group=tuple(_companion(d, str(v)) for d, v in value.items()))
        case "held":
            hold = HoldRecord(environment=name, fact=9, since=moment_of(CLOCK_S - HOUR_S))
            return replace(e, status=e.status.model_copy(update={"holds": (hold,)}))
        case "asked":
            # Before or after the rollback that holds the environment.
            return replace(e, asked_s=CLOCK_S - (2 if value == "before" else 0) * HOUR_S)
        case "stays":
            before = set(e.environment.promotes_from)
            return _with_run_fields(e, before, lambda run: {"goes_further": not value})
        case "lift":
            return replace(e, promotion=e.promotion.model_copy(update={"hold": "lifted"}))
        case "retires":
            return replace(e, retires=bool(value))
        case "by_people":
            return replace(e, by_people=bool(value))
    raise ValueError(f"no case changes `{key}`")


def _with_runs(e: Evidence, releases: list[Release]) -> Evidence:
    name, status = e.environment.environment, e.status
    runs = [
        RunRecord(environment=name, release=release, fact=20 + number, was_healthy=True)
        for number, release in enumerate(releases)
    ]
    others = tuple(p for p in status.promotions if p.environment != name)
    now = []
    if runs:
        told = {"environment": name, "release": runs[-1].release, "fact": runs[-1].fact}
        now = [history.sample_status().promotions[-1].model_copy(update=told)]
    status = status.model_copy(
        update={"promotions": (*others, *now), "runs": (*status.runs, *runs)}
    )
    return replace(e, status=status)


def _with_run_fields(e: Evidence, names: set[str], fields: object) -> Evidence:
    assert callable(fields)
    runs = tuple(
        run.model_copy(update=fields(run)) if run.environment in names else run
        for run in e.status.runs
    )
    return replace(e, status=e.status.model_copy(update={"runs": runs}))


def _with_health(e: Evidence, health: str) -> Evidence:
    """The release that runs there was seen like this an hour ago."""
    name = e.environment.environment
    seen = Observation(
        environment=name,
        draft=e.promotion.draft,
        health=health,
        sync="Synced",
        observed_at=moment_of(CLOCK_S - HOUR_S),
    )
    promotions = tuple(
        p.model_copy(update={"observation": seen}) if p.environment == name else p
        for p in e.status.promotions
    )
    return replace(e, status=e.status.model_copy(update={"promotions": promotions}))
