"""Observations as a delivery tool reports them."""

from __future__ import annotations

from pipeline.models.evidence import Observation
from pipeline.models.status import DraftStatus
from tests.support import fact_history as history
from tests.support.samples import DRAFT


def observation(environment: str, **changes: object) -> Observation:
    """The sample draft's release is healthy in an environment; `changes` say otherwise."""
    values = {
        "environment": environment,
        "draft": DRAFT,
        "digest": history.DIGEST,
        "health": "Healthy",
        "sync": "Synced",
        "revision": history.SOURCE_COMMIT,
        **changes,
    }
    return Observation.model_validate(values)


def healthy_in(status: DraftStatus, environment: str, **changes: object) -> Observation:
    """The release of a draft that was promoted to an environment is healthy there."""
    [promotion] = [p for p in status.promotions if p.environment == environment]
    values = {"digest": promotion.release.digest, "revision": promotion.gitops_commit, **changes}
    return observation(environment, draft=status.id, **values)


def healthy_everywhere(status: DraftStatus) -> tuple[Observation, ...]:
    """Each release of a draft is healthy where it was promoted."""
    return tuple(healthy_in(status, promotion.environment) for promotion in status.promotions)
