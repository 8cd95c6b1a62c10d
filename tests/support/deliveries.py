"""What a delivery tool reports of releases."""

from __future__ import annotations

from typing import Any

from pipeline.models.base import moment_of
from pipeline.models.evidence import Observation
from pipeline.models.status import DraftStatus, PromotionRecord
from worlds.control_repo import CLOCK_S


def seen_of(draft: str, promotion: PromotionRecord, **over: Any) -> Observation:
    """That a release runs well where it was promoted, or what is told instead."""
    told = {
        "environment": promotion.environment,
        "draft": draft,
        "digest": promotion.release.digest,
        "health": "Healthy",
        "sync": "Synced",
        "revision": promotion.gitops_commit,
        "observed_at": moment_of(CLOCK_S),
    }
    # As JSON has it: lists, and nothing of what is left out.
    return Observation.model_validate({**told, **over}, strict=False)


def healthy_everywhere(status: DraftStatus) -> tuple[Observation, ...]:
    """That each release of a draft runs well where it was promoted."""
    return tuple(seen_of(status.id, promotion) for promotion in status.promotions)
