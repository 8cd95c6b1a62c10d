"""Checks, comments, deployments, teams, pushes and events for workflows on GitHub."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

from pipeline.forges.github import queries
from pipeline.forges.github.deployments import read_deployments, write_deployment
from pipeline.forges.github.lost_answers import found_or_made, repeatedly
from pipeline.forges.github.session import GithubSession
from pipeline.forges.port import (
    Check,
    Comment,
    Deployment,
    DeploymentAsk,
    Push,
)

# The activities that move a branch to a commit, except merges, which move a pull request's base.
# Source: GitHub, "List repository activities".
_PUSHES = ("branch_creation", "push", "force_push")


class GithubChecksAndEvents:
    """Checks, comments, deployments, teams, pushes and events of the organisation."""

    def __init__(self, session: GithubSession) -> None:
        self._session = session

    @property
    def account(self) -> int:
        """The account of the session."""
        return self._session.account

    def read_team(self, team: str) -> frozenset[int]:
        """The members of a team of the organisation, in one query per page."""
        members: set[int] = set()
        after: str | None = None
        while True:
            data = self._session.client.query(
                queries.TEAM, organisation=self._session.organisation, team=team, after=after
            )
            found = data["organization"]["team"]
            if found is None:
                return frozenset()
            page = found["members"]
            members |= {queries.account_of(node) for node in page["nodes"]} - {0}
            if not page["pageInfo"]["hasNextPage"]:
                return frozenset(members)
            after = page["pageInfo"]["endCursor"]

    def read_pushes(self, repo: str, branch: str) -> tuple[Push, ...]:
        """The pushes in the branch's activity, which GitHub keeps after its deletion.

        Raises NotFound.
        """
        path, ref = self._session.path_of(repo), quote(f"refs/heads/{branch}", safe="")
        listed = self._session.client.read_linked(f"{path}/activity?ref={ref}&direction=asc")
        return tuple(
            Push(str(item["after"]), int(item["actor"]["id"]) if item["actor"] else 0)
            for item in listed
            if item["activity_type"] in _PUSHES
        )

    def read_comments(self, repo: str, number: int) -> tuple[Comment, ...]:
        """The comments, in one call per page."""
        path = f"{self._session.path_of(repo)}/issues/{number}/comments"
        return tuple(queries.comment_of(item) for item in self._session.client.read_all(path))

    def write_comment(self, repo: str, number: int, *, key: str, body: str, actor: int) -> None:
        """Write the actor's one comment with that key; an invisible line marks it."""
        client = self._session.client_of(actor)
        path = f"{self._session.path_of(repo)}/issues/{number}/comments"
        text = {"body": f"{queries.mark_of(key)}\n{body}"}

        def find() -> Any:
            for item in client.read_all(path):
                found = queries.comment_of(item)
                if (found.author_id, found.key) == (actor, key):
                    return item
            return None

        comment = found_or_made(find, lambda: client.write("POST", path, text))
        if queries.comment_of(comment).body != body:
            own = f"{self._session.path_of(repo)}/issues/comments/{comment['id']}"
            repeatedly(lambda: client.write("PATCH", own, text))

    def read_checks(self, repo: str, commit: str) -> tuple[Check, ...]:
        """The newest check runs of each App."""
        path = f"{self._session.path_of(repo)}/commits/{commit}/check-runs"
        runs = self._session.client.read_all(path, "check_runs")
        found = [
            Check(
                run["name"],
                run["conclusion"] == "success",
                (run["output"] or {}).get("title") or "",
                run["app"]["id"],
            )
            for run in runs
            if run["status"] == "completed"
        ]
        return tuple(sorted(found, key=lambda check: (check.name, check.by)))

    def write_check(
        self, repo: str, commit: str, *, name: str, passed: bool, title: str, actor: int
    ) -> None:
        """Write a check run of the App; the newest with a name counts, so a change is a new run."""
        client = self._session.client_of(actor)
        path = f"{self._session.path_of(repo)}/commits/{commit}/check-runs?check_name={name}"
        conclusion = "success" if passed else "failure"
        marked = f"{name} {commit}"  # finds our own run without knowing the App's number
        fields = {
            "name": name,
            "head_sha": commit,
            "external_id": marked,
            "status": "completed",
            "conclusion": conclusion,
            "output": {"title": title, "summary": title},
        }

        def find() -> Any:
            for run in client.read_all(path, "check_runs"):
                said = (run["conclusion"], (run["output"] or {}).get("title"))
                if run["external_id"] == marked and said == (conclusion, title):
                    return run
            return None

        found_or_made(
            find, lambda: client.write("POST", f"{self._session.path_of(repo)}/check-runs", fields)
        )

    def read_required_checks(self, repo: str, branch: str) -> Mapping[str, int | None]:
        """The required checks of all rulesets on the branch, the organisation's included."""
        path = f"{self._session.path_of(repo)}/rules/branches/{quote(branch)}"
        accounts: dict[int | None, int | None] = {None: None}
        accounts |= {app: account for account, app in self._session.apps.items()}
        return {
            check["context"]: accounts.get(check.get("integration_id"), 0)
            for rule in self._session.client.read_all(path)
            if rule["type"] == "required_status_checks"
            for check in rule["parameters"]["required_status_checks"]
        }

    @property
    def shows_deployments(self) -> bool:
        """True: beside commits, on pull requests, and on the repository's page."""
        return True

    def read_deployments(self, repo: str, commits: Collection[str]) -> tuple[Deployment, ...]:
        """The deployments; see `pipeline.forges.github.deployments`."""
        return read_deployments(self._session, repo, commits)

    def write_deployment(self, repo: str, asked: DeploymentAsk, *, actor: int) -> None:
        """Find or create the deployment, and give it its state."""
        write_deployment(self._session, repo, asked, actor)

    def dispatch(self, repo: str, event: str, *, actor: int) -> None:
        """Start the workflows that wait for this `repository_dispatch`."""
        client, path = self._session.client_of(actor), f"{self._session.path_of(repo)}/dispatches"
        repeatedly(lambda: client.write("POST", path, {"event_type": event}))
