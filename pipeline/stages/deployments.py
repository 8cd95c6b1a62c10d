"""Deployments: what people are shown of promotions, on a forge that shows such things. Pure.

A mirror of facts that nothing is decided by. Each promotion is one deployment to the environment
in the code repository, of the source commit: there people look for what became of a pull request
or a commit, and the GitOps commit, which the details name, is in another repository. Its state
follows the facts: promoted, observed, superseded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.forges.port import Deployment, DeploymentState
from pipeline.models.base import key_of
from pipeline.models.requests import Environment
from pipeline.models.status import DraftStatus, PromotionRecord, RunRecord
from pipeline.plan.effects import ShowDeployment

# Superseded promotions looked at, per environment: one may have been missed.
_PAST = 2
_COMMENTS = {
    DeploymentState.QUEUED: "to be synced by the delivery tool",
    DeploymentState.IN_PROGRESS: "promoted, and not known to be healthy yet",
    DeploymentState.SUCCESS: "healthy and synced",
    DeploymentState.FAILURE: "degraded, or another image runs",
    DeploymentState.INACTIVE: "superseded by another release",
}


def wanted_deployments(
    status: DraftStatus, environments: Mapping[str, Environment]
) -> Iterator[ShowDeployment]:
    """The deployments of a draft as they should be shown: what runs, and what ran before it."""
    current = {record.fact for record in status.promotions}
    for record in status.promotions:
        yield _wanted(status, _run_of(record), environments, state_of(record), record)
    past: dict[str, list[RunRecord]] = {}
    for run in status.runs:
        if run.fact not in current:
            past.setdefault(run.environment, []).append(run)
    for runs in past.values():
        for run in runs[-_PAST:]:
            yield _wanted(status, run, environments, DeploymentState.INACTIVE, None)


def state_of(record: PromotionRecord) -> DeploymentState:
    """How a promotion does, by the newest observation that counts."""
    seen = record.observation
    if seen is None:
        return DeploymentState.IN_PROGRESS
    if seen.health == "Degraded":
        return DeploymentState.FAILURE
    if seen.sync == "OutOfSync":
        return DeploymentState.QUEUED
    if seen.is_healthy_as(record.release.digest):
        return DeploymentState.SUCCESS
    if (seen.health, seen.sync) == ("Healthy", "Synced"):
        return DeploymentState.FAILURE  # another image runs
    return DeploymentState.IN_PROGRESS


def is_due(asked: ShowDeployment, there: Deployment | None) -> bool:
    """Whether a deployment is not shown as it should be.

    A superseded one that nobody was shown is left out.
    """
    if there is None:
        return asked.state is not DeploymentState.INACTIVE
    return there.state is not asked.state


def _run_of(record: PromotionRecord) -> RunRecord:
    return RunRecord(environment=record.environment, release=record.release, fact=record.fact)


def _wanted(
    status: DraftStatus,
    run: RunRecord,
    environments: Mapping[str, Environment],
    state: DeploymentState,
    record: PromotionRecord | None,
) -> ShowDeployment:
    name, policy = f"{status.id}#{run.fact}", environments.get(run.environment)
    commit, digest = run.release.source_commit, run.release.digest
    details = {"draft": status.id, "fact": str(run.fact), "digest": digest}
    if record is not None:
        details["gitops_commit"] = f"{status.gitops_repo}@{record.gitops_commit}"
    return ShowDeployment(
        key=key_of("deployment", status.target_repo, commit, run.environment, name, state),
        draft=status.id,
        repo=status.target_repo,
        commit=commit,
        environment=run.environment,
        name=name,
        state=state,
        title=f"{status.id} {digest[:19]}",
        comment=_COMMENTS[state],
        link=record.pull_request.url if record else "",
        is_production=policy is not None and policy.stage == "prod",
        details=details,
    )
