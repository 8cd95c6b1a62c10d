"""Reports of delivery tools, judged: what counts, what is unknown, what is news, what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.machine.clock import CLOCK_SKEW_S
from pipeline.models.base import moment_of
from pipeline.models.evidence import Observation
from pipeline.models.status import PromotionRecord
from pipeline.plan.sightings import JudgedReport, Sighting
from pipeline.stages.observe import judge_all, judge_report, plan_observe
from tests.support import fact_history as history
from tests.support.deliveries import seen_of
from tests.support.samples import DRAFT, sample_environment
from tests.support.views import sample_view
from worlds.control_repo import CLOCK_S

HOUR_S = 3600
STATUS = history.sample_status()
OTHER = "sha256:" + "9" * 64
IMAGE = STATUS.image
RECORD = STATUS.promotion("dev")
assert RECORD is not None  # the sample runs in dev


def judged(
    *,
    record: PromotionRecord = RECORD,
    tree: str = RECORD.overlay_tree,
    now_s: int = CLOCK_S,
    **over: Any,
) -> JudgedReport:
    """What a report on dev comes to, that is of the sealed tree unless something else is told."""
    told = seen_of(DRAFT, RECORD, application="Application argocd/a--b--dev", **over)
    return judge_report(Sighting(told, record, tree), sample_environment("dev"), now_s)


def recorded(observation: Observation | None) -> PromotionRecord:
    return RECORD.model_copy(update={"observation": observation})


def codes(found: JudgedReport) -> list[str]:
    return [finding.code for finding in found.findings]


# -- what counts ------------------------------------------------------------------------------


def test_a_report_of_the_sealed_tree_counts_as_it_is_told() -> None:
    for health in ("Healthy", "Progressing", "Degraded", "Missing", "Suspended"):
        found = judged(health=health)
        assert found.known == found.told and found.news
        assert found.known.health == health and found.findings == ()


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"tree": "0" * 40}, "the overlay is another one than was promoted"),
        ({"tree": ""}, "it names no commit or chart of the promoted overlay"),
        ({"tree": "", "revision": None}, "it names no commit or chart of the promoted overlay"),
        ({"observed_at": None}, "it does not say when it was seen"),
        ({"observed_at": moment_of(CLOCK_S - CLOCK_SKEW_S - 1)}, "before the promotion of"),
        ({"synced_at": moment_of(CLOCK_S - CLOCK_SKEW_S - 1)}, "last synced at"),
        ({"now_s": CLOCK_S + 6 * HOUR_S + 1}, "more than 6 hours ago"),
        (
            {"health": "Unknown", "sync": "Unknown", "message": "the tool does not list it"},
            "the tool does not list it",
        ),
    ],
)
def test_a_report_about_something_else_or_another_time_is_unknown(
    over: dict[str, Any], said: str
) -> None:
    found = judged(**over)
    known = found.known
    assert said in known.message
    assert (known.health, known.sync, known.digest, known.images, known.revision) == (
        *("Unknown", "Unknown"),
        *(None, (), None),
    )
    assert not known.is_healthy_as(RECORD.release.digest)
    assert not found.news, "not to know it is no news where nothing was known"
    healthy = recorded(seen_of(DRAFT, RECORD))
    assert judged(record=healthy, **over).news


@pytest.mark.parametrize(
    "over",
    [
        {"observed_at": moment_of(CLOCK_S - CLOCK_SKEW_S)},
        {"synced_at": moment_of(CLOCK_S - CLOCK_SKEW_S)},
        {"now_s": CLOCK_S + 6 * HOUR_S},
        {"observed_at": moment_of(CLOCK_S + CLOCK_SKEW_S)},
    ],
)
def test_the_last_second_that_counts(over: dict[str, Any]) -> None:
    found = judged(**over)
    assert found.known.health == "Healthy" and found.findings == ()


def test_policy_says_how_old_it_may_be() -> None:
    told = seen_of(DRAFT, RECORD)
    patient = sample_environment("dev").model_copy(update={"observed_within_hours": 24})
    sighting = Sighting(told, RECORD, RECORD.overlay_tree)
    assert judge_report(sighting, patient, CLOCK_S + 24 * HOUR_S).known.health == "Healthy"
    assert judge_report(sighting, patient, CLOCK_S + 24 * HOUR_S + 1).known.health == "Unknown"


def test_without_a_time_only_the_tree_counts() -> None:
    old = RECORD.model_copy(update={"merged_at": None})
    assert judged(record=old, synced_at=moment_of(0)).known.health == "Healthy"


def test_the_future_is_a_finding_and_unknown() -> None:
    found = judged(observed_at=moment_of(CLOCK_S + CLOCK_SKEW_S + 1))
    assert codes(found) == ["observation-from-future"]
    assert (found.known.health, found.known.observed_at) == ("Unknown", None)


# -- what is news -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "over",
    [
        {"revision": "5" * 40},
        {"observed_at": moment_of(CLOCK_S + 60)},
        {"synced_at": moment_of(CLOCK_S + 60)},
        {"message": "other words"},
    ],
)
def test_another_commit_or_time_alone_is_no_news(over: dict[str, Any]) -> None:
    assert not judged(record=recorded(seen_of(DRAFT, RECORD)), **over).news


@pytest.mark.parametrize(
    "over",
    [
        {"health": "Degraded"},
        {"sync": "OutOfSync"},
        {"digest": OTHER},
        {"digest": None},
        {"digest": None, "images": [f"{IMAGE}:1"]},
    ],
)
def test_another_health_sync_or_image_is_news(over: dict[str, Any]) -> None:
    assert judged(record=recorded(seen_of(DRAFT, RECORD)), **over).news


# -- what is wrong ----------------------------------------------------------------------------


def test_another_digest_is_drift_with_a_repair() -> None:
    found = judged(digest=OTHER)
    assert codes(found) == ["running-digest-differs"] and found.news
    [finding] = found.findings
    assert OTHER in finding.message and RECORD.release.digest in finding.message
    assert finding.help.startswith("sync it again: `argocd app sync argocd/a--b--dev`")
    assert not found.known.is_healthy_as(RECORD.release.digest)


def test_an_image_without_a_digest_is_a_finding() -> None:
    found = judged(digest=None, images=[f"{IMAGE}:1.2"])
    assert codes(found) == ["running-without-digest"]
    assert not found.known.is_healthy_as(RECORD.release.digest)


def test_two_digests_are_shown_and_only_afterwards_drift() -> None:
    both = [f"{IMAGE}@{RECORD.release.digest}", f"{IMAGE}@{OTHER}"]
    rolling = judged(digest=None, images=both, health="Progressing")
    assert codes(rolling) == [] and rolling.news
    assert not rolling.known.is_healthy_as(RECORD.release.digest)
    assert codes(judged(digest=None, images=both)) == ["running-digest-differs"]


def test_what_does_not_count_is_not_drift() -> None:
    assert codes(judged(digest=OTHER, tree="0" * 40)) == []


def test_a_tool_that_tells_no_image_applied_the_sealed_one() -> None:
    found = judged(digest=None)
    assert codes(found) == [] and found.known.is_healthy_as(RECORD.release.digest)


def test_what_was_never_promoted_is_a_finding_and_no_news() -> None:
    nowhere = seen_of(DRAFT, RECORD, environment="prod", application="Application x")
    environments = {"dev": sample_environment("dev"), "prod": sample_environment("prod")}
    for status in (STATUS, None):
        [found] = judge_all(status, {nowhere: RECORD.overlay_tree}, environments, CLOCK_S)
        assert codes(found) == ["observation-unknown-release"] and not found.news
        [finding] = found.findings
        assert finding.message == f"Application x runs: {DRAFT} was never promoted to prod"


def test_in_a_deleted_environment_nothing_is_known() -> None:
    [found] = judge_all(STATUS, {seen_of(DRAFT, RECORD): RECORD.overlay_tree}, {}, CLOCK_S)
    assert codes(found) == ["observation-unknown-release"] and not found.news


# -- the facts --------------------------------------------------------------------------------


def test_news_becomes_a_fact() -> None:
    known = judged(health="Degraded").known
    view = sample_view(status=STATUS, provisioned=True)
    step = plan_observe(replace(view, observations=(known,)))
    assert step is not None
    [fact] = step.facts
    assert (fact.type, fact.known["observation"]["health"]) == ("observed", "Degraded")
    assert plan_observe(view) is None
