"""Pull requests on GitHub: opened, read with their reviews, reviewed, merged and closed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pipeline.errors import (
    ForgeRefused,
    MergePending,
    NotFound,
    StalePlan,
)
from pipeline.forges.branch_rules import check_merge, newest_review
from pipeline.forges.github import queries
from pipeline.forges.github.client import (
    Conflict,
    GithubClient,
    Invalid,
    NotAllowed,
    Unanswered,
    Unavailable,
)
from pipeline.forges.github.lost_answers import found_or_made, repeatedly
from pipeline.forges.github.repositories import GithubRepositories
from pipeline.forges.github.session import GithubSession
from pipeline.forges.http.connection import TRIES
from pipeline.forges.port import (
    PullAsk,
    PullRequest,
    PullState,
    Review,
    ReviewVerdict,
)

_EVENTS = {
    ReviewVerdict.APPROVED: "APPROVE",
    ReviewVerdict.CHANGES_REQUESTED: "REQUEST_CHANGES",
    ReviewVerdict.COMMENTED: "COMMENT",
}
# GitHub accepts no review without a text, except an approval.
_NO_TEXT = "No reason was given."


class GithubPullRequests:
    """The pull requests of the organisation's repositories."""

    def __init__(self, session: GithubSession, repositories: GithubRepositories) -> None:
        self._session = session
        self._repositories = repositories

    def open_pull(
        self, repo: str, *, head_branch: str, base_branch: str, title: str, body: str, actor: int
    ) -> PullRequest:
        """The pull request of a branch, found or created."""
        if head_branch == base_branch:
            raise ForgeRefused(f"{repo}: `{head_branch}` cannot be merged into itself")
        client = self._session.client_of(actor)

        def find() -> PullRequest | None:
            read = self.read_pulls_of_branches(repo, [head_branch], base_branch=base_branch)
            return read.get(head_branch)

        def make() -> object:
            fields = {"title": title, "body": body, "head": head_branch, "base": base_branch}
            try:
                return client.write("POST", f"{self._session.path_of(repo)}/pulls", fields)
            except Invalid as invalid:
                for side, branch in (("head", head_branch), ("base", base_branch)):
                    if invalid.fields.get(side) == "invalid":
                        raise NotFound(f"{repo} has no branch `{branch}`") from invalid
                raise

        pull: PullRequest = found_or_made(find, make, again=True)
        mine = pull.state is PullState.OPEN and pull.author_id == actor
        if mine and (pull.title, pull.body) != (title, body):
            path = f"{self._session.path_of(repo)}/pulls/{pull.number}"
            words = {"title": title, "body": body}
            repeatedly(lambda: client.write("PATCH", path, words))
            pull = self.read_pull(repo, pull.number)
        return pull

    def open_pulls(
        self, repo: str, asked: Sequence[PullAsk], *, actor: int
    ) -> tuple[PullRequest, ...]:
        """The pull requests, opened one by one: GitHub opens one per call."""
        return tuple(
            self.open_pull(
                repo,
                head_branch=ask.head_branch,
                base_branch=ask.base_branch,
                title=ask.title,
                body=ask.body,
                actor=actor,
            )
            for ask in asked
        )

    def read_pulls(self, repo: str) -> tuple[PullRequest, ...]:
        """All pull requests with their reviews, by number; one query per hundred."""
        nodes = self._pages(queries.PULLS, repo)
        return _by_number(self._whole(repo, node) for node in nodes)

    def read_open_pulls(self, repo: str, *, base_branch: str) -> tuple[PullRequest, ...]:
        """The open pull requests, except from forks; one query per hundred."""
        nodes = self._pages(queries.OPEN_PULLS, repo, base=base_branch)
        return _by_number(self._whole(repo, n) for n in nodes if not n["isCrossRepository"])

    def _pages(self, text: str, repo: str, **variables: Any) -> Iterator[Mapping[str, Any]]:
        after: str | None = None
        while True:
            page = self._session.ask(text, repo, after=after, **variables)["pullRequests"]
            yield from page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]

    def read_pull(self, repo: str, number: int) -> PullRequest:
        """One pull request. Raises NotFound."""
        found = self._session.ask(queries.PULL, repo, number=number)
        return self._whole(repo, found["pullRequest"])

    def read_pulls_of_branches(
        self, repo: str, heads: Collection[str], *, base_branch: str
    ) -> Mapping[str, PullRequest]:
        """Branch → the pull request from it into `base_branch`; one query per fifty."""
        found: dict[str, PullRequest] = {}
        for part in _parts(heads):
            text = queries.pulls_of_branches_query(base_branch, part)
            node = self._session.ask(text, repo, reviewsAfter=None)
            for index, head in enumerate(part):
                own = queries.own_pulls(node[f"b{index}"])
                if own:
                    found[head] = self._whole(repo, own[0])
        return found

    def read_pulls_of_commits(
        self, repo: str, commits: Collection[str]
    ) -> Mapping[str, PullRequest]:
        """Commit → the merged pull request whose merge commit it is; one query per fifty."""
        found: dict[str, PullRequest] = {}
        for part in _parts(commits):
            node = self._session.ask(queries.pulls_of_commits_query(part), repo, reviewsAfter=None)
            for index, commit in enumerate(part):
                for pull in queries.pulls_of_commit(node[f"c{index}"]):
                    if pull["mergeCommit"] and pull["mergeCommit"]["oid"] == commit:
                        found[commit] = self._whole(repo, pull)
        return found

    def _whole(self, repo: str, node: Mapping[str, Any]) -> PullRequest:
        """The pull request of a node, with the reviews that are not on its page."""
        return queries.pull_of(repo, node, self._reviews(repo, node))

    def _reviews(self, repo: str, node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        page = node["reviews"]
        while True:
            yield from page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]
            found = self._session.ask(queries.PULL, repo, number=node["number"], reviewsAfter=after)
            page = found["pullRequest"]["reviews"]

    def merge_pull(
        self, repo: str, number: int, *, expected_head: str, message: str, time_s: int, actor: int
    ) -> str:
        """The merge commit on the base branch, which GitHub makes and dates itself."""
        title, _, rest = message.strip("\n").partition("\n")
        fields = {
            "sha": expected_head,
            "commit_title": title,
            "commit_message": rest.strip("\n"),
            "merge_method": "merge",
        }
        for _ in range(TRIES):
            pull = self.read_pull(repo, number)
            if pull.state is PullState.MERGED and pull.head == expected_head and pull.merge_commit:
                return pull.merge_commit
            if pull.head != expected_head:
                raise StalePlan(f"{pull.url} is at {pull.head[:12]}, expected {expected_head[:12]}")
            if pull.state is not PullState.OPEN:
                raise ForgeRefused(f"{pull.url} is {pull.state}")
            if pull.is_queued:
                raise MergePending(f"{pull.url} waits for GitHub to merge it")
            client = self._session.client_of(actor)
            try:
                self._repositories.forget(repo)
                path = f"{self._session.path_of(repo)}/pulls/{number}/merge"
                return str(client.write("PUT", path, fields)["sha"])
            except Unanswered:
                continue
            except Conflict as moved:
                raise StalePlan(f"{pull.url}: {moved.message}") from moved
            except NotAllowed as refused:
                if not self._left_to_github(repo, pull, client, fields, refused.message):
                    self._refuse_merge(repo, pull, actor, refused)
        raise Unavailable(f"{pull.url} could not be merged: GitHub gave no answer")

    def _left_to_github(
        self,
        repo: str,
        pull: PullRequest,
        client: GithubClient,
        fields: Mapping[str, str],
        said: str,
    ) -> bool:
        """Whether GitHub will merge later: after its queue, or after a required check."""
        head = {"head": pull.head}
        if "merge queue" in said:
            text, words = queries.ENQUEUE, head
        elif "status check" in said and "expected" in said:
            told = {"title": fields["commit_title"], "body": fields["commit_message"]}
            text, words = queries.AUTO_MERGE, head | told
        else:
            return False
        id = self._session.ask(queries.PULL_ID, repo, number=pull.number)["pullRequest"]["id"]
        with suppress(Unanswered):  # the next look shows whether it took effect
            client.mutate(text, pull=id, **words)
        return True

    def _refuse_merge(self, repo: str, pull: PullRequest, actor: int, refused: NotAllowed) -> None:
        reason = check_merge(self._repositories.rules_or_none(repo), pull, actor)
        if reason:
            raise ForgeRefused(f"{pull.url}: {reason}", help=refused.message) from refused
        if self.read_pull(repo, pull.number).state is PullState.MERGED:
            return  # somebody else merged it: the next look finds it
        if "rule" in refused.message or "required" in refused.message:
            raise ForgeRefused(f"{pull.url}: {refused.message}") from refused
        raise StalePlan(f"merging {pull.url} conflicts: {refused.message}") from refused

    def close_pull(self, repo: str, number: int, *, actor: int) -> None:
        """Close an open pull request."""
        pull = self.read_pull(repo, number)
        if pull.state is PullState.MERGED:
            raise ForgeRefused(f"{pull.url} is merged")
        if pull.state is PullState.OPEN:
            client = self._session.client_of(actor)
            path = f"{self._session.path_of(repo)}/pulls/{number}"
            repeatedly(lambda: client.write("PATCH", path, {"state": "closed"}))

    def submit_review(
        self, repo: str, number: int, *, commit: str, verdict: ReviewVerdict, body: str, actor: int
    ) -> Review:
        """The recorded review of the head commit; a dismissal ends the actor's newest review."""
        if not body and verdict is not ReviewVerdict.APPROVED:
            body = _NO_TEXT
        client = self._session.client_of(actor)

        def find() -> Review | None:
            pull = self.read_pull(repo, number)
            before = newest_review(pull, actor)
            same = before and (before.commit, before.verdict) == (commit, verdict)
            if before and same and (before.body == body or verdict is ReviewVerdict.DISMISSED):
                return before
            if pull.state is PullState.CLOSED:
                raise ForgeRefused(f"{pull.url} is closed, so it is not reviewed any more")
            if pull.head != commit:
                raise StalePlan(f"{pull.url} is at {pull.head[:12]}, not at {commit[:12]}")
            if pull.author_id == actor and verdict is ReviewVerdict.APPROVED:
                raise ForgeRefused(f"{pull.url}: nobody approves their own pull request")
            return None

        path = f"{self._session.path_of(repo)}/pulls/{number}/reviews"

        def make() -> object:
            if verdict is ReviewVerdict.DISMISSED:
                return self._dismiss(client, path, actor, body)
            fields = {"commit_id": commit, "event": _EVENTS[verdict], "body": body}
            return client.write("POST", path, fields)

        review: Review = found_or_made(find, make, again=True)
        return review

    def _dismiss(self, client: GithubClient, path: str, actor: int, body: str) -> object:
        reviews = [r for r in client.read_all(path) if r["user"] and r["user"]["id"] == actor]
        for review in reversed(reviews):
            if review["state"] in ("APPROVED", "CHANGES_REQUESTED"):
                fields = {"message": body, "event": "DISMISS"}
                return client.write("PUT", f"{path}/{review['id']}/dismissals", fields)
        raise ForgeRefused(f"account {actor} has given no review that could be dismissed")


def _by_number(pulls: Iterable[PullRequest]) -> tuple[PullRequest, ...]:
    return tuple(sorted(pulls, key=lambda pull: pull.number))


def _parts(items: Collection[str]) -> Iterator[list[str]]:
    """The items in parts, each for one query."""
    all_items = list(dict.fromkeys(items))
    for begin in range(0, len(all_items), queries.PULLS_AT_ONCE):
        yield all_items[begin : begin + queries.PULLS_AT_ONCE]
