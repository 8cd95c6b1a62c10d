"""Observe: a delivery tool's report on a promoted release becomes a fact. Pure.

A report counts only for the content that it describes: the commit that it names must hold exactly
the promoted tree, and it must be newer than the promotion and no older than policy allows. Without
such a report the health is unknown, never healthy. Only news is recorded: a health, sync state or
image that differs from the newest recorded one, so repeated reports add no history. While a soak
lasts (`pipeline.gate.soak`), it is recorded that a release is still healthy: twice within the time
for which an observation counts, and at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.characters import visible
from pipeline.diagnostics import Finding, Location, Rule, Subject, register
from pipeline.gate.running import Running, check_running
from pipeline.gate.soak import longest_soak_s, soaked
from pipeline.machine.clock import CLOCK_SKEW_S
from pipeline.models.base import Moment, moment_of, seconds_of
from pipeline.models.evidence import Observation
from pipeline.models.facts import Observed
from pipeline.models.requests import Environment
from pipeline.models.status import DraftStatus, PromotionRecord, RunRecord
from pipeline.plan.effects import FactEntry
from pipeline.plan.sightings import JudgedReport, Sighting
from pipeline.plan.view import DraftView, Step


def _observed(id: str, summary: str, why: str, fix: str, fails: str, passes: str) -> Rule:
    return register(Rule(id, summary, why, fix, Subject.SCENARIO, fails, passes))


OBSERVATION_FROM_FUTURE = _observed(
    "observation-from-future",
    "An observation was made before it is read.",
    "a clock that is ahead would keep a release healthy after nobody looks at it any more",
    "set the clock of the cluster or of this machine; five minutes between them are no matter",
    "an application was reconciled an hour from now",
    "an application was reconciled a minute ago",
)
OBSERVATION_UNKNOWN_RELEASE = _observed(
    "observation-unknown-release",
    "Every application of the platform runs a release that a fact promoted there.",
    "what no fact knows was neither requested nor approved",
    "find who made the application, and delete it; what should run there is promoted",
    "an application of a draft that was never promoted to prod",
    "an application of the release that prod was promoted to",
)


def judge_report(sighting: Sighting, environment: Environment, now_s: int) -> JudgedReport:
    """The judged report on a promoted release."""
    known, findings = _judged(sighting, environment, now_s)
    news = _news(sighting, known, environment)
    return JudgedReport(sighting.told, known, sighting.record, findings, news)


def _judged(
    sighting: Sighting, environment: Environment, now_s: int
) -> tuple[Observation, tuple[Finding, ...]]:
    """What is known of a release by a report, and findings about what runs."""
    told, record = sighting.told, sighting.record
    if is_from_future(told, now_s):
        at = _location(told)
        message = f"it was seen at {told.observed_at}, and it is {moment_of(now_s)}"
        unknown = _unknown(told, "seen by a clock that is ahead", observed_at=None)
        return unknown, (OBSERVATION_FROM_FUTURE.finding(message, at),)
    against = next(_reasons_against(sighting, environment, now_s), "")
    if against:
        return _unknown(told, against, told.observed_at), ()
    return told, tuple(check_running(Running.seen(told, record.release.digest)))


def _news(
    sighting: Sighting, known: Observation, environment: Environment
) -> tuple[Observation, ...]:
    """What is to be recorded of a judged report."""
    run, soak_s, known_for_s = sighting.run, sighting.soak_s, environment.known_for_s
    changed = _substance(known) != _substance(sighting.record.observation)
    anyway = (known,) if changed else ()
    if run is None or known.observed_at is None or soaked(run, soak_s, known_for_s):
        return anyway
    if not soak_s or not known.is_healthy_as(run.release.digest):
        return anyway
    if run.healthy_since is None or run.healthy_seen is None:
        return (known,)
    at_s, seen_s = seconds_of(known.observed_at), seconds_of(run.healthy_seen)
    if max(at_s - seen_s, run.longest_gap_s) > known_for_s:
        unseen = f"not seen for more than {environment.observed_within_hours} hours"
        return (_unknown(known, unseen, observed_at=None), known)
    is_over = at_s - seconds_of(run.healthy_since) >= soak_s
    return (known,) if changed or is_over or at_s - seen_s >= known_for_s // 2 else ()


def _substance(seen: Observation | None) -> tuple[object, ...]:
    """The values that make an observation news when they change; never seen equals unknown."""
    if seen is None:
        return ("Unknown", "Unknown", None, ())
    return (seen.health, seen.sync, seen.digest, seen.images)


def judge_unknown(told: Observation) -> JudgedReport:
    """The judged report on something that was never promoted."""
    whose = f"{told.draft} was never promoted to {told.environment}" if told.draft else "nobody's"
    name = visible(told.application) or "the application"
    finding = OBSERVATION_UNKNOWN_RELEASE.finding(f"{name} runs: {visible(whose)}", _location(told))
    return JudgedReport(told, told, None, (finding,))


def is_from_future(told: Observation, now_s: int) -> bool:
    """Whether a report's time is further in the future than two clocks may differ."""
    return told.observed_at is not None and seconds_of(told.observed_at) > now_s + CLOCK_SKEW_S


def reason_against_place(told: Observation, record: PromotionRecord, tree: str) -> str:
    """Why a report does not describe the promoted tree; empty if it does."""
    if tree != record.overlay_tree:
        if tree:
            return f"at {str(told.revision)[:12]} the overlay is another one than was promoted"
        return "it names no commit or chart of the promoted overlay"
    merged = record.merged_at
    if merged and _is_before(told.observed_at, merged):
        return f"seen at {told.observed_at}, before the promotion of {merged}"
    if merged and _is_before(told.synced_at, merged):
        return f"last synced at {told.synced_at}, before the promotion of {merged}"
    return ""


def _reasons_against(sighting: Sighting, environment: Environment, now_s: int) -> Iterator[str]:
    """Why a report does not show the release's health now."""
    told = sighting.told
    if told.observed_at is None:
        yield told.message or "it does not say when it was seen"
    elif seconds_of(told.observed_at) < now_s - environment.known_for_s:
        hours = environment.observed_within_hours
        yield f"seen at {told.observed_at}, more than {hours} hours ago"
    if told.health == told.sync == "Unknown" and told.message:
        yield told.message
    against = reason_against_place(told, sighting.record, sighting.tree)
    if against:
        yield against


def _unknown(told: Observation, why: str, observed_at: Moment | None) -> Observation:
    return Observation(
        environment=told.environment,
        draft=told.draft,
        health="Unknown",
        sync="Unknown",
        message=why[:300],
        observed_at=observed_at,
        application=told.application,
    )


def _is_before(seen: Moment | None, merged: Moment) -> bool:
    return seen is not None and seconds_of(seen) + CLOCK_SKEW_S < seconds_of(merged)


def _location(told: Observation) -> Location:
    if not told.draft:
        return Location(visible(told.application) or "report")
    return Location(f"{visible(told.draft)}:{visible(told.environment)}")


def judge_all(
    status: DraftStatus | None,
    reports: Mapping[Observation, str],
    environments: Mapping[str, Environment],
    now_s: int,
) -> tuple[JudgedReport, ...]:
    """The judged reports on one draft; `reports` maps each to its tree."""
    found = []
    for told in sorted(reports, key=lambda o: o.environment):
        record = status.promotion(told.environment) if status else None
        policy = environments.get(told.environment)
        if record is None or policy is None:
            found.append(judge_unknown(told))
        else:
            soak_s = longest_soak_s(environments, told.environment)
            sighting = Sighting(told, record, reports[told], _run_of(status, record), soak_s)
            found.append(judge_report(sighting, policy, now_s))
    return tuple(found)


def _run_of(status: DraftStatus | None, record: PromotionRecord) -> RunRecord | None:
    return next((run for run in status.runs if run.fact == record.fact), None) if status else None


def plan_observe(view: DraftView) -> Step | None:
    """The facts of new observations; None if there are none."""
    facts = []
    for known in view.observations:
        body = Observed(observation=known).model_dump(mode="json")
        body.pop("type")
        facts.append(FactEntry(draft=view.id, cause=view.caused.cause, type="observed", known=body))
    return Step(facts=tuple(facts)) if facts else None
