"""Deployments on GitHub: found by the key in their payload, else created, then given a status.

GitHub itself would make others inactive when one succeeds (`auto_inactive`), by the environment's
name alone; a repository holds several primitives, so that is turned off. It would also merge the
default branch into the commit and wait for its checks, which the gate has judged already.
GitHub refuses no second deployment of a key. Where two runs raced, the older one counts, and the
others are made inactive by the next write.
Source: GitHub, "REST API endpoints for deployments".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.forges.github import queries
from pipeline.forges.github.client import GithubClient
from pipeline.forges.github.lost_answers import found_or_made
from pipeline.forges.github.session import GithubSession
from pipeline.forges.port import Deployment, DeploymentAsk, DeploymentState

_KEY = "key"
_LONGEST_TEXT = 140
_AS_MOST = "superseded by another of the same key"


@dataclass(frozen=True, slots=True)
class _Found:
    """One of GitHub's deployments with a key of the pipeline's."""

    id: int
    deployment: Deployment


def read_deployments(
    session: GithubSession, repo: str, commits: Collection[str]
) -> tuple[Deployment, ...]:
    """The account's deployments of these commits; 50 commits per query.

    One that was made twice has no state until only the older one is active.
    """
    found = _read(session, session.client, session.account, repo, commits)
    return tuple(_state_of_twins(twins) for twins in _by_key(found).values())


def write_deployment(session: GithubSession, repo: str, asked: DeploymentAsk, actor: int) -> None:
    """Find or create the deployment, and give it its state."""
    client, path = session.client_of(actor), f"{session.path_of(repo)}/deployments"

    def find() -> tuple[_Found, ...] | None:
        there = _by_key(_read(session, client, actor, repo, (asked.commit,)))
        return there.get((asked.commit, asked.environment, asked.key))

    def create() -> tuple[_Found, ...]:
        made = client.write("POST", path, _fields_of(asked))
        new = Deployment(asked.commit, asked.environment, asked.key, None)
        return (_Found(int(made["id"]), new),)

    first, *twins = found_or_made(find, create)
    _set_state(client, path, first, find, asked.state, (asked.comment, asked.link))
    for twin in twins:
        _set_state(client, path, twin, find, DeploymentState.INACTIVE, (_AS_MOST, ""))


def _set_state(
    client: GithubClient,
    path: str,
    wanted: _Found,
    find: Any,
    state: DeploymentState,
    told: tuple[str, str],
) -> None:
    """Give a deployment a status, unless its newest one says so already."""
    if wanted.deployment.state is state:
        return
    comment, link = told
    fields = {
        "state": state.value,
        "description": comment[:_LONGEST_TEXT],
        "auto_inactive": False,
        **({"log_url": link} if link else {}),
    }

    def find_again() -> bool | None:
        there = {f.id: f.deployment.state for f in find() or ()}
        return there.get(wanted.id) is state or None

    found_or_made(find_again, lambda: client.write("POST", f"{path}/{wanted.id}/statuses", fields))


def _fields_of(asked: DeploymentAsk) -> dict[str, object]:
    return {
        "ref": asked.commit,
        "environment": asked.environment,
        "description": asked.title[:_LONGEST_TEXT],
        "payload": {**asked.details, _KEY: asked.key},
        "auto_merge": False,
        "required_contexts": [],
        "production_environment": asked.is_production,
        "transient_environment": False,
    }


def _read(
    session: GithubSession,
    client: GithubClient,
    account: int,
    repo: str,
    commits: Collection[str],
) -> list[_Found]:
    found: list[_Found] = []
    listed = sorted(set(commits))
    for begin in range(0, len(listed), queries.PULLS_AT_ONCE):
        part = listed[begin : begin + queries.PULLS_AT_ONCE]
        text = queries.deployments_query(part)
        data = client.query(text, owner=session.organisation, name=repo)["repository"]
        for index in range(len(part)):
            found += _of_account(account, queries.deployments_of_commit(data[f"c{index}"]))
    return found


def _of_account(account: int, nodes: Iterable[Mapping[str, Any]]) -> Iterable[_Found]:
    """Those of an account: anybody who may write can create one with the same key."""
    for node in nodes:
        key = _key_of(node["payload"])
        if key and queries.account_of(node["creator"]) == account:
            status = (node["latestStatus"] or {}).get("state", "")
            yield _Found(
                node["databaseId"],
                Deployment(node["commitOid"], node["environment"], key, _state(status)),
            )


def _state(told: str) -> DeploymentState | None:
    try:
        return DeploymentState(told.lower())
    except ValueError:
        return None


def _key_of(payload: str | None) -> str:
    """The key in a payload; empty if it has none. GitHub may tell an object as JSON in JSON."""
    value: object = payload
    for _ in range(2):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                return ""
    key = value.get(_KEY) if isinstance(value, dict) else None
    return key if isinstance(key, str) else ""


def _by_key(found: Iterable[_Found]) -> dict[tuple[str, ...], tuple[_Found, ...]]:
    """The deployments of each commit, environment and key, the oldest first."""
    kept: dict[tuple[str, ...], list[_Found]] = {}
    for one in sorted(found, key=lambda f: f.id):
        deployment = one.deployment
        place = (deployment.commit, deployment.environment, deployment.key)
        kept.setdefault(place, []).append(one)
    return {place: tuple(twins) for place, twins in kept.items()}


def _state_of_twins(twins: tuple[_Found, ...]) -> Deployment:
    first, *others = (twin.deployment for twin in twins)
    if all(other.state is DeploymentState.INACTIVE for other in others):
        return first
    return Deployment(first.commit, first.environment, first.key, None)
