"""What a delivery tool reports of releases."""

from __future__ import annotations

from pipeline.models.evidence import Observation
from pipeline.models.status import DraftStatus


def healthy_everywhere(status: DraftStatus) -> tuple[Observation, ...]:
    """That each release of a draft runs well where it was promoted."""
    return tuple(
        Observation.model_validate(
            {
                "environment": promotion.environment,
                "draft": status.id,
                "digest": promotion.release.digest,
                "health": "Healthy",
                "sync": "Synced",
                "revision": promotion.gitops_commit,
            }
        )
        for promotion in status.promotions
    )
