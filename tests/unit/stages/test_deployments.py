from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.forges.port import Deployment, DeploymentState
from pipeline.models.evidence import Observation
from pipeline.models.status import DraftStatus, PromotionRecord, RunRecord
from pipeline.stages.deployments import is_due, state_of, wanted_deployments
from tests.support.fact_history import sample_status
from tests.support.samples import DRAFT, sample_snapshot

IN_PROGRESS, SUCCESS = DeploymentState.IN_PROGRESS, DeploymentState.SUCCESS
FAILURE, QUEUED = DeploymentState.FAILURE, DeploymentState.QUEUED
ENVIRONMENTS = sample_snapshot().environments


def promoted() -> DraftStatus:
    status = sample_status()
    assert status.promotions
    return status


def record(**seen: Any) -> PromotionRecord:
    """The promotion to dev, as a delivery tool saw it."""
    found = promoted().promotion("dev")
    assert found is not None
    if not seen:
        return found.model_copy(update={"observation": None})
    told = {"health": "Healthy", "sync": "Synced", "digest": found.release.digest} | seen
    observed = Observation(environment="dev", draft=DRAFT, **told)
    return found.model_copy(update={"observation": observed})


OTHER = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ({}, IN_PROGRESS),
        ({"health": "Healthy"}, SUCCESS),
        ({"digest": None}, SUCCESS),  # the tool tells no image: it applied the sealed tree
        ({"health": "Progressing"}, IN_PROGRESS),
        ({"health": "Unknown", "sync": "Unknown"}, IN_PROGRESS),
        ({"health": "Missing"}, IN_PROGRESS),
        ({"health": "Degraded"}, FAILURE),
        ({"health": "Degraded", "sync": "OutOfSync"}, FAILURE),
        ({"sync": "OutOfSync"}, QUEUED),
        ({"digest": OTHER}, FAILURE),
        ({"digest": OTHER, "health": "Progressing"}, IN_PROGRESS),
    ],
)
def test_the_state_follows_what_was_observed(seen: dict[str, Any], state: DeploymentState) -> None:
    assert state_of(record(**seen)) is state


def test_each_promotion_is_one_deployment_of_its_source_commit() -> None:
    status = promoted()
    wanted = {w.environment: w for w in wanted_deployments(status, ENVIRONMENTS)}
    assert list(wanted) == [p.environment for p in status.promotions]
    for promotion in status.promotions:
        shown = wanted[promotion.environment]
        assert (shown.repo, shown.commit) == (status.target_repo, promotion.release.source_commit)
        assert shown.name == f"{DRAFT}#{promotion.fact}"
        assert shown.title == f"{DRAFT} {promotion.release.digest[:19]}"
        assert shown.link == promotion.pull_request.url
        assert shown.is_production == (promotion.environment == "prod")
        assert shown.details == {
            "draft": DRAFT,
            "fact": str(promotion.fact),
            "digest": promotion.release.digest,
            "gitops_commit": f"{status.gitops_repo}@{promotion.gitops_commit}",
        }
    keys = [w.key for w in wanted.values()]
    assert len(set(keys)) == len(keys)


def test_an_environment_that_policy_no_longer_has_is_shown_as_no_production() -> None:
    assert not any(w.is_production for w in wanted_deployments(promoted(), {}))


def test_what_ran_before_is_inactive_and_no_further_back_than_two() -> None:
    status = promoted()
    now = status.promotions[0]
    before = tuple(
        RunRecord(environment=now.environment, release=now.release, fact=fact) for fact in (1, 2, 3)
    )
    changed = status.model_copy(update={"promotions": (now,), "runs": (*before, *status.runs)})
    changed = changed.model_copy(
        update={"runs": tuple(r for r in changed.runs if r.environment == now.environment)}
    )
    wanted = list(wanted_deployments(changed, ENVIRONMENTS))
    assert [(w.name, w.state) for w in wanted[1:]] == [
        (f"{DRAFT}#2", DeploymentState.INACTIVE),
        (f"{DRAFT}#3", DeploymentState.INACTIVE),
    ]


def test_only_what_is_shown_otherwise_is_due() -> None:
    wanted = next(wanted_deployments(promoted(), ENVIRONMENTS))
    there = Deployment(wanted.commit, wanted.environment, wanted.name, wanted.state)
    assert not is_due(wanted, there)
    assert is_due(wanted, None)
    assert is_due(wanted, replace(there, state=None))
    gone = wanted.model_copy(update={"state": DeploymentState.INACTIVE})
    assert is_due(gone, there)
    assert not is_due(gone, None), "nobody was ever shown it"
