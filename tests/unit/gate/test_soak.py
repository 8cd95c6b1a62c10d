"""Soaks: only time that was seen healthy counts, for each release apart, and it says until when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.gate import explain
from pipeline.gate.authorise import Evidence, authorise
from pipeline.gate.reasons import DecisionReason
from pipeline.gate.soak import longest_soak_s, seen_healthy_s, soaked
from pipeline.models.base import moment_of, seconds_of
from pipeline.models.facts import Observed
from pipeline.models.soak import Soak
from pipeline.models.status import DraftStatus, RunRecord
from pipeline.plan.sightings import Sighting
from pipeline.stages.observe import judge_report
from pipeline.state.fact_types import type_of
from pipeline.state.runs import runs_after
from tests.support import fact_history as history
from tests.support.deliveries import seen_of
from tests.support.promotion_evidence import case_of, changed, evidence_of_case
from tests.support.samples import DRAFT, sample_environment, sample_snapshot
from tests.support.soak_evidence import HOUR_S, naively_soaked

DAY = "from: 2026-11-30T10:00:00Z, to: 2026-12-01T10:00:00Z"
MINUTE_S = 60


def reason_of(case: str) -> DecisionReason | None:
    """The one reason against a changed promotion to prod, if there is any."""
    found = authorise(evidence_of_case(case_of(case))).reasons
    assert len(found) <= 1
    return found[0] if found else None


# -- the clause ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (f"{{soak: {{hours: 24}}, seen: {{{DAY}}}}}", None),
        (f"{{soak: {{hours: 25}}, seen: {{{DAY}}}}}", "soak-not-over"),
        ("{soak: {hours: 1}, seen: {}}", "soak-unknown"),
        # A gap as long as an observation counts is none.
        (f"{{soak: {{hours: 24}}, seen: {{{DAY}, gap: 6}}}}", None),
        (f"{{soak: {{hours: 24}}, seen: {{{DAY}, gap: 7}}}}", "soak-unknown"),
        (f"{{soak: {{hours: 24}}, seen: {{{DAY}, gap: 7}}, known_for: 7}}", None),
        # Of an environment that policy does not have, nothing counts.
        (f"{{soak: {{hours: 24}}, seen: {{{DAY}, gap: 1}}, known_for: 0}}", "soak-unknown"),
        ("{soak: {hours: 24, lanes: [rollback]}, seen: {}}", "soak-unknown"),
        # That the newer one runs there now does not matter to the older.
        (f"{{soak: {{hours: 24}}, seen: {{{DAY}}}, running: newer}}", None),
    ],
)
def test_time_seen_healthy_counts_and_nothing_else(case: str, code: str | None) -> None:
    found = reason_of(case)
    assert (found.code if found else None) == code
    assert found is None or not found.final


def test_lanes_pass_as_policy_says() -> None:
    lane = "lane: security, lanes: {security: [security]}, seen: {}"
    assert reason_of(f"{{soak: {{hours: 24, lanes: [security]}}, {lane}}}") is None
    found = reason_of(f"{{soak: {{hours: 24, lanes: [rollback]}}, {lane}}}")
    assert found is not None and found.code == "soak-unknown"


def test_the_manifests_must_be_those_that_soaked() -> None:
    evidence = evidence_of_case(case_of(f"{{soak: {{hours: 24}}, seen: {{{DAY}}}, base: other}}"))
    codes = [reason.code for reason in authorise(evidence).reasons]
    assert codes == ["base-changed", "soak-unknown"]


def test_the_newest_run_of_a_release_counts() -> None:
    evidence = evidence_of_case(case_of(f"{{soak: {{hours: 24}}, seen: {{{DAY}}}}}"))
    (run,) = evidence.status.runs_in(("staging",))
    again = run.model_copy(
        update={"fact": run.fact + 10, "healthy_since": None, "healthy_seen": None}
    )
    status = evidence.status.model_copy(update={"runs": (*evidence.status.runs, again)})
    found = authorise(replace(evidence, status=status)).reasons
    assert [reason.code for reason in found] == ["soak-unknown"]


# -- the next moment -------------------------------------------------------------------------


def waiting(now: str, hours: int = 25) -> Evidence:
    """A promotion whose soak of `hours` is not over, with the release still in staging."""
    case = f"{{soak: {{hours: {hours}}}, seen: {{{DAY}}}, now: {now}}}"
    return evidence_of_case(case_of(case))


def answer(evidence: Evidence) -> explain.Answer:
    return next(a for a in explain.explain_clauses(evidence) if a.clause == "soak")


def test_why_says_until_when_it_waits() -> None:
    found = answer(waiting("2026-12-01T10:00:00Z"))
    assert found.until_s == seconds_of("2026-12-01T11:00:00Z")
    assert found.evidence == "staging has seen it healthy for 24 h 0 min"
    assert (
        "prod asks for 25 h, complete at 2026-12-01T11:00:00Z" in found.reasons[0].message
        and found.who
    )


def test_a_moment_that_has_passed_is_not_foreseen() -> None:
    assert answer(waiting("2026-12-01T11:00:00Z")).until_s is None


def test_what_was_replaced_does_not_soak_by_time_alone() -> None:
    evidence = changed(waiting("2026-12-01T10:00:00Z"), "running", "newer")
    status = evidence.status
    newest = max(run.fact for run in status.runs_in(("staging",)))
    promotions = tuple(p.model_copy(update={"fact": newest}) for p in status.promotions)
    runs = tuple(
        run.model_copy(update={"release": history.RELEASE}) if run.fact < newest else run
        for run in status.runs
    )
    moved = status.model_copy(update={"promotions": promotions, "runs": runs})
    found = answer(replace(evidence, status=moved))
    assert found.until_s is None and "until another release replaced it" in found.evidence


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("{seen: {}}", "prod asks for none"),
        ("{soak: {hours: 1}, seen: {}}", "staging has not seen it healthy"),
        (
            f"{{soak: {{hours: 1}}, seen: {{{DAY}, gap: 9}}}}",
            "staging has not looked at it for longer than 6 hours at a time",
        ),
        (
            "{soak: {hours: 1, lanes: [security]}, lane: security}",
            "lane security need not wait",
        ),
        ("{soak: {hours: 1}, promotions: []}", "staging has not run it"),
    ],
)
def test_why_says_what_was_seen(case: str, told: str) -> None:
    assert answer(evidence_of_case(case_of(case))).evidence == told


def test_an_environment_is_watched_for_the_longest_soak_after_it() -> None:
    found = dict(sample_snapshot().environments)
    assert longest_soak_s(found, "staging") == 0
    found["prod"] = found["prod"].model_copy(update={"soak": Soak(hours=2)})
    found["prod-eu"] = found["prod"].model_copy(
        update={"environment": "prod-eu", "soak": Soak(hours=5)}
    )
    assert longest_soak_s(found, "staging") == 5 * HOUR_S
    assert longest_soak_s(found, "dev") == longest_soak_s(found, "prod") == 0


# -- against minutes walked through one by one ------------------------------------------------

_STATUS = history.sample_status()
_RECORD = _STATUS.promotion("dev")
assert _RECORD is not None  # the sample runs in dev
_FACT = history.sample_facts()[-1]
_BEGIN_S = 1_900_000_000  # long after the sample was promoted
KNOWN_FOR_S = sample_environment("dev").known_for_s
KNOWN_FOR = KNOWN_FOR_S // MINUTE_S  # minutes
reports = st.lists(st.tuples(st.integers(1, KNOWN_FOR * 3 // 2), st.booleans()), max_size=12)
dense = st.lists(
    st.tuples(st.integers(1, KNOWN_FOR // 2), st.sampled_from([True] * 7 + [False])), max_size=20
)
wanted = st.integers(1, 24).map(lambda hours: hours * 60)


def placed(gaps: list[tuple[int, bool]]) -> list[tuple[int, bool]]:
    """Reports by their minute, from the minutes between them."""
    minute, found = 0, []
    for gap, healthy in gaps:
        minute += gap
        found.append((minute, healthy))
    return found


def run_of(status: DraftStatus) -> RunRecord:
    return next(run for run in status.runs if run.environment == "dev")


def recorded(told: list[tuple[int, bool]], soak_s: int) -> tuple[DraftStatus, int]:
    """The status after each report was judged and its news recorded, and how many facts that is."""
    status, count = _STATUS, 0
    for minute, healthy in told:
        at_s = _BEGIN_S + minute * MINUTE_S
        record = status.promotion("dev")
        assert record is not None
        over = {"health": "Healthy" if healthy else "Degraded", "observed_at": moment_of(at_s)}
        seen = seen_of(DRAFT, record, **over)
        sighting = Sighting(seen, record, record.overlay_tree, run_of(status), soak_s)
        for news in judge_report(sighting, sample_environment("dev"), at_s).news:
            body = Observed(observation=news)
            changes = type_of(body).fold(status, _FACT.model_copy(update={"body": body}), body)
            status = status.model_copy(update=changes)
            count += 1
    return status, count


@settings(max_examples=40)
@given(reports, wanted)
def test_what_soaked_was_healthy_in_each_minute(gaps: list[tuple[int, bool]], hours: int) -> None:
    told = placed(gaps)
    status, _ = recorded(told, hours * MINUTE_S)
    if soaked(run_of(status), hours * MINUTE_S, KNOWN_FOR_S):
        # Silence after the last healthy report takes nothing away that was complete before it.
        ends = range(1, len(told) + 1)
        assert any(naively_soaked(told[:end], hours, KNOWN_FOR) for end in ends)
        assert told[-1][1]


@settings(max_examples=40)
@given(dense, wanted)
def test_what_was_healthy_in_each_minute_and_seen_often_soaked(
    gaps: list[tuple[int, bool]], hours: int
) -> None:
    told = placed(gaps)
    status, _ = recorded(told, hours * MINUTE_S)
    found = soaked(run_of(status), hours * MINUTE_S, KNOWN_FOR_S)
    assert found == naively_soaked(told, hours, KNOWN_FOR)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 500), st.sampled_from("hhhu")), max_size=12), wanted)
def test_facts_alone_soak_as_minutes_do(gaps: list[tuple[int, str]], hours: int) -> None:
    told = placed([(gap, kind == "h") for gap, kind in gaps])
    runs = tuple(r for r in _STATUS.runs if r.environment == "dev")
    for number, (minute, healthy) in enumerate(told):
        health = "Healthy" if healthy else "Unknown"
        at = moment_of(_BEGIN_S + minute * MINUTE_S)
        seen = seen_of(DRAFT, _RECORD, health=health, observed_at=at)
        fact = _FACT.model_copy(
            update={"sequence": 50 + number, "body": Observed(observation=seen)}
        )
        runs = runs_after(runs, fact)
    longest = max((gap for gap, _ in gaps), default=0)
    # Where no gap is too long, the two agree; where one is, nothing is known.
    assert soaked(runs[0], hours * MINUTE_S, longest * MINUTE_S) == naively_soaked(
        told, hours, longest
    )


@settings(max_examples=40)
@given(dense, wanted)
def test_watching_costs_few_facts(gaps: list[tuple[int, bool]], hours: int) -> None:
    told = placed([(gap, True) for gap, _ in gaps])
    _, count = recorded(told, hours * MINUTE_S)
    assert count <= 2 * hours // KNOWN_FOR + 2


def test_a_time_in_which_nobody_looked_begins_the_soak_anew_and_is_recorded_as_unknown() -> None:
    hours = [0, 5, 12, 17, 22]  # more than six hours between the second and the third
    status, count = recorded([(hour * 60, True) for hour in hours], 10 * HOUR_S)
    assert count == len(hours) + 1
    assert seen_healthy_s(run_of(status), KNOWN_FOR_S) == 10 * HOUR_S
    # So it is where policy has come to let an observation count for less long than then.
    runs = tuple(run.model_copy(update={"longest_gap_s": KNOWN_FOR_S + 1}) for run in status.runs)
    record = status.promotion("dev")
    assert record is not None
    later = moment_of(_BEGIN_S + 23 * HOUR_S)
    seen = seen_of(DRAFT, record, observed_at=later)
    sighting = Sighting(seen, record, record.overlay_tree, runs[0], 10 * HOUR_S)
    judged = judge_report(sighting, sample_environment("dev"), seconds_of(later))
    assert [news.health for news in judged.news] == ["Unknown", "Healthy"]


def test_without_a_soak_nothing_is_recorded_twice() -> None:
    told = [(hour * 60, True) for hour in range(1, 40)]
    status, count = recorded(told, 0)
    assert count == 1 and seen_healthy_s(run_of(status), KNOWN_FOR_S) == 0
