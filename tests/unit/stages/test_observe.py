"""What a delivery tool reports is recorded once, however often it says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline.models.base import moment_of
from pipeline.models.evidence import Observation
from pipeline.models.facts import Observed
from pipeline.models.status import DraftStatus
from pipeline.stages.observe import plan_observe
from tests.support import fact_history as history
from tests.support.samples import DRAFT
from tests.support.views import sample_view
from worlds.control_repo import CLOCK_S

SEEN = Observation(
    environment="dev",
    draft=DRAFT,
    digest=history.DIGEST,
    health="Healthy",
    sync="Synced",
    revision=history.SOURCE_COMMIT,
    observed_at=moment_of(CLOCK_S),
)


def _observed(status: DraftStatus, *seen: Observation) -> list[dict[str, Any]]:
    view = replace(sample_view(status=status), observations=seen)
    step = plan_observe(view)
    known: list[Any] = [fact.known["observation"] for fact in step.facts] if step else []
    return known


def test_a_report_is_news_once_and_its_time_alone_is_none() -> None:
    status = history.sample_status()
    [told] = _observed(status, SEEN)
    assert told["observed_at"] == "2026-01-01T00:05:00Z"
    facts = history.sample_facts()
    last = facts[-1].model_copy(update={"body": Observed(observation=SEEN)})
    _, known = history.refolded((*facts, last))
    later = SEEN.model_copy(update={"observed_at": moment_of(CLOCK_S + 60)})
    assert _observed(known, SEEN, later) == []
    assert _observed(known, later.model_copy(update={"observed_at": None})) == []
    worse = later.model_copy(update={"health": "Degraded"})
    [told] = _observed(known, worse)
    assert told["health"] == "Degraded" and told["observed_at"] == "2026-01-01T00:06:00Z"


def test_an_event_without_a_time_is_taken_as_before() -> None:
    [told] = _observed(history.sample_status(), SEEN.model_copy(update={"observed_at": None}))
    assert "observed_at" not in told
