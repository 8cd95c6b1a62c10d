"""Observations as a delivery tool reports them."""

from __future__ import annotations

from typing import Any

from pipeline.models.base import moment_of
from pipeline.models.evidence import Observation
from pipeline.models.status import DraftStatus, PromotionRecord
from tests.support import fact_history as history
from tests.support.samples import DRAFT
from worlds.control_repo import CLOCK_S


def observation(environment: str, **over: Any) -> Observation:
    """The sample draft's release is healthy in an environment, except for what `over` says."""
    told = {
        "environment": environment,
        "draft": DRAFT,
        "digest": history.DIGEST,
        "health": "Healthy",
        "sync": "Synced",
        "revision": history.SOURCE_COMMIT,
        "observed_at": moment_of(CLOCK_S),
    }
    # As JSON has it: lists, and nothing of what is left out.
    return Observation.model_validate({**told, **over}, strict=False)


def seen_of(draft: str, promotion: PromotionRecord, **over: Any) -> Observation:
    """A release is healthy where it was promoted, except for what `over` says."""
    told = {
        "environment": promotion.environment,
        "draft": draft,
        "digest": promotion.release.digest,
        "revision": promotion.gitops_commit,
    }
    return observation(**{**told, **over})


def healthy_in(status: DraftStatus, environment: str, **over: Any) -> Observation:
    """A draft's release is healthy in one environment that it was promoted to."""
    promotion = status.promotion(environment)
    assert promotion is not None
    return seen_of(status.id, promotion, **over)


def healthy_everywhere(status: DraftStatus) -> tuple[Observation, ...]:
    """Each release of a draft is healthy where it was promoted."""
    return tuple(seen_of(status.id, promotion) for promotion in status.promotions)
