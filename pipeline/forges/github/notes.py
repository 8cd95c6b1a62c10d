"""What is said beside the code on GitHub: comments, checks, teams, events that start workflows."""

from __future__ import annotations

from typing import Any

from pipeline.forges.github import queries
from pipeline.forges.github.asking import Asking
from pipeline.forges.port import (
    Check,
    Comment,
)


class Notes(Asking):
    """Comments, checks, teams and events of the organisation."""

    def read_team(self, team: str) -> frozenset[int]:
        """The members of a team of the organisation, by as many queries as they have pages."""
        members: set[int] = set()
        after: str | None = None
        while True:
            data = self.client.query(
                queries.TEAM, organisation=self.organisation, team=team, after=after
            )
            found = data["organization"]["team"]
            if found is None:
                return frozenset()
            page = found["members"]
            members |= {queries.account_of(node) for node in page["nodes"]} - {0}
            if not page["pageInfo"]["hasNextPage"]:
                return frozenset(members)
            after = page["pageInfo"]["endCursor"]

    def read_comments(self, repo: str, number: int) -> tuple[Comment, ...]:
        """The comments, by as many calls as they have pages."""
        path = f"{self._path(repo)}/issues/{number}/comments"
        return tuple(queries.comment_of(item) for item in self.client.read_all(path))

    def write_comment(self, repo: str, number: int, *, key: str, body: str, actor: int) -> None:
        """The actor's one comment of that key, which a line that nobody sees marks."""
        client = self._client(actor)
        path = f"{self._path(repo)}/issues/{number}/comments"
        text = {"body": f"{queries.mark_of(key)}\n{body}"}

        def find() -> Any:
            for item in client.read_all(path):
                found = queries.comment_of(item)
                if (found.author_id, found.key) == (actor, key):
                    return item
            return None

        comment = self._found_or_made(find, lambda: client.write("POST", path, text))
        if queries.comment_of(comment).body != body:
            own = f"{self._path(repo)}/issues/comments/{comment['id']}"
            self._repeatedly(lambda: client.write("PATCH", own, text))

    def read_checks(self, repo: str, commit: str) -> tuple[Check, ...]:
        """The newest check runs of each App."""
        path = f"{self._path(repo)}/commits/{commit}/check-runs"
        runs = self.client.read_all(path, "check_runs")
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
        """A check run of the App; the newest of a name counts, so a changed one is a new one."""
        client = self._client(actor)
        path = f"{self._path(repo)}/commits/{commit}/check-runs?check_name={name}"
        conclusion = "success" if passed else "failure"
        marked = f"{name} {commit}"  # who made it, without having to know the App's number
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

        self._found_or_made(
            find, lambda: client.write("POST", f"{self._path(repo)}/check-runs", fields)
        )

    def dispatch(self, repo: str, event: str, *, actor: int) -> None:
        """Start the workflows that wait for this `repository_dispatch`."""
        client, path = self._client(actor), f"{self._path(repo)}/dispatches"
        self._repeatedly(lambda: client.write("POST", path, {"event_type": event}))
