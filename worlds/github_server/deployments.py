"""Deployments and their statuses over REST, and as GraphQL tells them.

Source: GitHub, "REST API endpoints for deployments" and "for deployment statuses".
"""

from __future__ import annotations

import json
from typing import Any

from worlds.github_server.calls import Answer, Call, Problem, invalid, not_found, route
from worlds.github_server.state import Deployment, DeploymentStatus, Repository

_STATES = {"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}
_LONGEST_DESCRIPTION = 140


@route("POST", "/repos/{owner}/{repo}/deployments", ("deployments", "write"))
def create_deployment(call: Call) -> Answer:
    """A new deployment of a commit. No two are too alike: each call makes one.

    What is not asked otherwise is GitHub's own: it merges the default branch in, and waits for the
    commit's checks.
    """
    repository, ref = call.repository, call.text("ref", resource="Deployment")
    commit = repository.branch(ref) or (ref if repository.kind_of(ref) == "commit" else "")
    if not commit:
        raise Problem(422, f"No ref found for: {ref}")
    head = repository.branch(repository.default_branch)
    if call.body.get("auto_merge", True) and head and not repository.is_ancestor(head, commit):
        return Answer(202, {"message": f"Auto-merged {repository.default_branch} into {ref}."})
    runs = [r for r in repository.checks.values() if r.head == commit]
    wanted = call.body.get("required_contexts", [r.name for r in runs])
    passed = {r.name for r in runs if r.conclusion == "success"}
    if set(wanted) - passed:
        return Answer(409)
    environment = call.body.get("environment", "production")
    repository.environments.setdefault(environment, None)
    made = Deployment(
        call.state.number(),
        call.actor.account,
        commit,
        ref,
        environment,
        call.body.get("payload", ""),
        call.body.get("description", ""),
        call.body.get("production_environment", environment == "production"),
        call.body.get("transient_environment", False),
        call.state.now(),
    )
    repository.deployments[made.id] = made
    return Answer(201, call.shapes.deployment(repository, made))


@route(
    "POST", "/repos/{owner}/{repo}/deployments/{deployment_id}/statuses", ("deployments", "write")
)
def create_status(call: Call) -> Answer:
    """A new status of a deployment; a success makes others inactive, unless that is turned off."""
    repository = call.repository
    deployment = repository.deployments.get(call.number("deployment_id"))
    if deployment is None:
        raise not_found()
    state = call.text("state", resource="DeploymentStatus")
    description = call.body.get("description", "")
    if state not in _STATES:
        raise invalid("DeploymentStatus", "state")
    if len(description) > _LONGEST_DESCRIPTION:
        raise invalid("DeploymentStatus", "description", "custom", "description is too long")

    def add(to: Deployment, state: str, description: str, log_url: str) -> DeploymentStatus:
        number, now = call.state.number(), call.state.now()
        to.statuses.append(
            DeploymentStatus(number, call.actor.account, state, description, log_url, now)
        )
        return to.statuses[-1]

    made = add(deployment, state, description, call.body.get("log_url", ""))
    if state == "success" and call.body.get("auto_inactive", True):
        for other in repository.deployments.values():
            is_prior = other.id < deployment.id and other.environment == deployment.environment
            if is_prior and not (other.is_production or other.is_transient):
                add(other, "inactive", "", "")
    return Answer(201, call.shapes.deployment_status(repository, deployment, made))


def nodes_of_commit(repository: Repository, commit: str) -> list[dict[str, Any]]:
    """What GraphQL tells of a commit's deployments, the oldest first.

    A payload that was an object is told as JSON in JSON.
    """
    found = [d for d in repository.deployments.values() if d.commit == commit]
    return [
        {
            "databaseId": d.id,
            "commitOid": d.commit,
            "environment": d.environment,
            "payload": json.dumps(json.dumps(d.payload)),
            "creator": {
                "__typename": d.creator.type,
                "login": d.creator.login,
                "databaseId": d.creator.id,
            },
            "latestStatus": {"state": d.statuses[-1].state.upper()} if d.statuses else None,
        }
        for d in found
    ]
