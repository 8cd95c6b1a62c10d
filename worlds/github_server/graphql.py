"""GraphQL: the part of GitHub's public schema that saves calls, on the server's content.

Names, types and arguments are those of GitHub's schema, so a query that works here is valid on
GitHub too; anything outside this part is an error, like a mistake there.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo, graphql_sync

from worlds.github_server.calls import Answer, can_see
from worlds.github_server.deployments import nodes_of_commit
from worlds.github_server.pulls import merge_when_allowed, pulls_of_commit
from worlds.github_server.rules import has_queue
from worlds.github_server.schema import SCHEMA
from worlds.github_server.shapes import Shapes, node_id
from worlds.github_server.state import (
    Account,
    Comment,
    Json,
    Pull,
    Repository,
    Review,
    Ruleset,
    State,
    Team,
    Token,
)

MAX_PAGE = 100
Node = dict[str, Any]


def answer_graphql(state: State, shapes: Shapes, token: Token, body: bytes) -> Answer:
    """The answer to a query; errors are in the answer, as in GraphQL."""
    asked = json.loads(body)
    root = Root(state, shapes, token)
    done = graphql_sync(
        SCHEMA,
        asked.get("query", ""),
        root_value=root,
        variable_values=asked.get("variables") or {},
    )
    answer: Json = {}
    if done.data is not None or not done.errors:
        answer["data"] = done.data
    if done.errors:
        answer["errors"] = [
            {**error.formatted, "type": (error.extensions or {}).get("type", "INVALID")}
            for error in done.errors
        ]
    return Answer(200, answer)


class Root:
    """The fields of Query and Mutation."""

    def __init__(self, state: State, shapes: Shapes, token: Token) -> None:
        self.state = state
        self.shapes = shapes
        self.token = token

    # -- permissions -------------------------------------------------------------------

    def _need(self, name: str, level: str = "read") -> None:
        granted = self.token.permissions
        if granted is None:
            return
        if granted.get(name) not in ("write", level):
            raise GraphQLError(
                "Resource not accessible by integration", extensions={"type": "FORBIDDEN"}
            )

    # -- queries -----------------------------------------------------------------------

    def viewer(self, info: GraphQLResolveInfo) -> Node:
        """The token's account."""
        return _actor(self.token.account)

    def rateLimit(self, info: GraphQLResolveInfo) -> Node:
        """The cost of the query."""
        return {"cost": 1, "remaining": 4999, "limit": 5000}

    def organization(self, info: GraphQLResolveInfo, login: str) -> Node:
        """An organisation and its teams."""
        found = self.state.account_named(login)
        if found is None or found.type != "Organization":
            raise _gone(f"Could not resolve to an Organization with the login of '{login}'.")

        def team(info: GraphQLResolveInfo, slug: str) -> Node | None:
            self._need("members")
            named = self.state.teams.get((found.login, slug))
            return None if named is None else self._team(named)

        return {"__typename": "Organization", "login": found.login, "team": team}

    def repository(self, info: GraphQLResolveInfo, owner: str, name: str) -> Node:
        """A repository, its refs, pull requests and rulesets."""
        found = self.state.repository(owner, name)
        if found is None or not can_see(self.state, self.token, found):
            raise _gone(f"Could not resolve to a Repository with the name '{owner}/{name}'.")
        return self._repository(found)

    # -- mutations ---------------------------------------------------------------------

    def enablePullRequestAutoMerge(self, info: GraphQLResolveInfo, input: Node) -> Node:
        """Merge once nothing blocks it."""
        self._need("pull_requests", "write")
        self._need("contents", "write")
        repository, pull = self._pull_of(input)
        pull.auto_merge_by = self.token.account
        merge_when_allowed(self.state, repository, pull, self.token)
        return {"pullRequest": self._pull(repository, pull)}

    def enqueuePullRequest(self, info: GraphQLResolveInfo, input: Node) -> Node:
        """Put a pull request into the merge queue; the queue merges when a test says so."""
        self._need("pull_requests", "write")
        self._need("contents", "write")
        repository, pull = self._pull_of(input)
        if not has_queue(repository, pull.base_branch):
            raise GraphQLError("Pull request is not in a repository with a merge queue")
        if pull.number not in repository.queue:
            repository.queue.append(pull.number)
            pull.queued_by = self.token.account
        return {"mergeQueueEntry": {"position": repository.queue.index(pull.number) + 1}}

    def _pull_of(self, input: Node) -> tuple[Repository, Pull]:
        for repository in self.state.repositories.values():
            for pull in repository.pulls.values():
                if node_id("PR", pull.id) == input["pullRequestId"]:
                    expected = input.get("expectedHeadOid")
                    if pull.state != "open":
                        raise GraphQLError("Pull request is closed")
                    if expected and expected != pull.head:
                        raise GraphQLError("Head sha didn't match expected head oid")
                    return repository, pull
        raise _gone("Could not resolve to a node")

    # -- nodes -------------------------------------------------------------------------

    def _repository(self, repository: Repository) -> Node:
        def refs(
            info: GraphQLResolveInfo, refPrefix: str, first: int = 0, after: str | None = None
        ) -> Node:
            self._need("contents")
            nodes = [
                _ref(name.removeprefix(refPrefix), id)
                for name, id in repository.refs(refPrefix).items()
            ]
            return _connection(nodes, first, after)

        def default(info: GraphQLResolveInfo) -> Node | None:
            self._need("contents")
            head = repository.branch(repository.default_branch)
            return None if head is None else _ref(repository.default_branch, head)

        def pull(info: GraphQLResolveInfo, number: int) -> Node:
            self._need("pull_requests")
            if number not in repository.pulls:
                raise _gone(f"Could not resolve to a PullRequest with the number of {number}.")
            return self._pull(repository, repository.pulls[number])

        def pulls(
            info: GraphQLResolveInfo,
            first: int = 0,
            after: str | None = None,
            states: Sequence[str] | None = None,
            headRefName: str | None = None,
            baseRefName: str | None = None,
            orderBy: Mapping[str, str] | None = None,
        ) -> Node:
            self._need("pull_requests")
            found = [
                p
                for p in repository.pulls.values()
                if (states is None or _state_of(p) in states)
                and headRefName in (None, p.head_branch)
                and baseRefName in (None, p.base_branch)
            ]
            if orderBy:
                by_update = orderBy["field"] == "UPDATED_AT"
                found.sort(
                    key=lambda p: (p.updated if by_update else p.created, p.number),
                    reverse=orderBy["direction"] == "DESC",
                )
            return _connection([self._pull(repository, p) for p in found], first, after)

        def object_of(info: GraphQLResolveInfo, oid: str) -> Node | None:
            self._need("contents")
            kind = repository.kind_of(oid)
            return (
                {
                    "__typename": kind.capitalize(),
                    "oid": oid,
                    "associatedPullRequests": partial(associated, oid=oid),
                    "deployments": partial(deployments, oid=oid),
                }
                if kind in ("blob", "commit")
                else None
            )

        def associated(
            info: GraphQLResolveInfo, first: int = 0, after: str | None = None, oid: str = ""
        ) -> Node:
            self._need("pull_requests")
            nodes = [self._pull(repository, p) for p in pulls_of_commit(repository, oid)]
            return _connection(nodes, first, after)

        def deployments(
            info: GraphQLResolveInfo,
            oid: str,
            first: int = 0,
            orderBy: Mapping[str, str] | None = None,
        ) -> Node:
            self._need("deployments")
            nodes = nodes_of_commit(repository, oid)
            if orderBy and orderBy["direction"] == "DESC":
                nodes.reverse()
            return _connection(nodes, first, None)

        def rulesets(
            info: GraphQLResolveInfo,
            first: int = 0,
            after: str | None = None,
            includeParents: bool = True,
        ) -> Node:
            nodes = [self._ruleset(r) for r in repository.rulesets.values()]
            return _connection(nodes, first, after)

        def queue(info: GraphQLResolveInfo, branch: str = "") -> Node | None:
            name = branch or repository.default_branch
            return {"id": f"MQ_{name}"} if has_queue(repository, name) else None

        return {
            "id": node_id("R", repository.id),
            "databaseId": repository.id,
            "name": repository.name,
            "description": repository.description,
            "pushedAt": repository.pushed,
            "defaultBranchRef": default,
            "object": object_of,
            "refs": refs,
            "pullRequest": pull,
            "pullRequests": pulls,
            "rulesets": rulesets,
            "mergeQueue": queue,
        }

    def _pull(self, repository: Repository, pull: Pull) -> Node:
        def reviews(info: GraphQLResolveInfo, first: int = 0, after: str | None = None) -> Node:
            return _connection([_review(review) for review in pull.reviews], first, after)

        def comments(info: GraphQLResolveInfo, first: int = 0, after: str | None = None) -> Node:
            found = [c for c in repository.comments.values() if c.number == pull.number]
            return _connection([_comment(comment) for comment in found], first, after)

        queued = pull.number in repository.queue
        return {
            "id": node_id("PR", pull.id),
            "number": pull.number,
            "title": pull.title,
            "body": pull.body or "",
            "url": f"{self.shapes.web}/{repository.full_name}/pull/{pull.number}",
            "headRefName": pull.head_branch,
            "headRefOid": pull.head,
            "baseRefName": pull.base_branch,
            "baseRefOid": pull.base,
            # There are no forks here, so every branch is the repository's own.
            "isCrossRepository": False,
            "state": _state_of(pull),
            "author": _actor(pull.account),
            "mergedBy": _actor(pull.merged_by) if pull.merged_by else None,
            "mergedAt": pull.merged,
            "mergeCommit": {"oid": pull.merge_commit} if pull.merge_commit else None,
            "updatedAt": pull.updated,
            "reviews": reviews,
            "comments": comments,
            "mergeQueueEntry": {"position": repository.queue.index(pull.number) + 1}
            if queued
            else None,
            "autoMergeRequest": {"enabledAt": pull.updated} if pull.auto_merge_by else None,
        }

    def _ruleset(self, ruleset: Ruleset) -> Node:
        def bypass(info: GraphQLResolveInfo, first: int = 0) -> Node:
            self._need("administration", "write")
            nodes = [self._bypass(actor) for actor in ruleset.bypass_actors]
            return _connection(nodes, first, None)

        def rules(info: GraphQLResolveInfo, first: int = 0) -> Node:
            return _connection([_rule(rule) for rule in ruleset.rules], first, None)

        return {
            "name": ruleset.name,
            "databaseId": ruleset.id,
            "enforcement": ruleset.enforcement.upper(),
            "conditions": {"refName": {"include": ruleset.include, "exclude": ruleset.exclude}},
            "bypassActors": bypass,
            "rules": rules,
        }

    def _bypass(self, actor: Json) -> Node:
        mode = actor.get("bypass_mode", "always").upper()
        id = actor.get("actor_id")
        named: Node | None = None
        match actor["actor_type"]:
            case "Integration":
                named = {"__typename": "App", "databaseId": id}
            case "User":
                named = _actor(self.state.accounts[id])
            case "Team":
                team = next(t for t in self.state.teams.values() if t.id == id)
                named = {**self._team(team), "__typename": "Team"}
        return {"actor": named, "bypassMode": mode}

    def _team(self, team: Team) -> Node:
        def members(info: GraphQLResolveInfo, first: int = 0, after: str | None = None) -> Node:
            nodes = [_actor(self.state.accounts[id]) for id in sorted(team.members)]
            return _connection(nodes, first, after)

        return {"slug": team.slug, "members": members}


def _gone(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"type": "NOT_FOUND"})


def _connection(nodes: list[Node], first: int, after: str | None) -> Node:
    if not 1 <= first <= MAX_PAGE:
        raise GraphQLError(
            "You must provide a `first` or `last` value of at most 100.",
            extensions={"type": "MISSING_PAGINATION_BOUNDARIES"},
        )
    begin = int(base64.b64decode(after)) if after else 0
    end = begin + first
    return {
        "nodes": nodes[begin:end],
        "totalCount": len(nodes),
        "pageInfo": {
            "hasNextPage": end < len(nodes),
            "endCursor": base64.b64encode(str(min(end, len(nodes))).encode()).decode(),
        },
    }


def _ref(name: str, id: str) -> Node:
    return {"name": name, "target": {"__typename": "Commit", "oid": id}}


def _actor(account: Account) -> Node:
    return {"__typename": account.type, "login": account.login, "databaseId": account.id}


def _state_of(pull: Pull) -> str:
    return "MERGED" if pull.merged else pull.state.upper()


def _review(review: Review) -> Node:
    return {
        "id": node_id("PRR", review.id),
        "databaseId": review.id,
        "fullDatabaseId": str(review.id),
        "author": _actor(review.account),
        "commit": {"oid": review.commit},
        "body": review.body,
        "state": review.state,
        "submittedAt": review.submitted,
    }


def _comment(comment: Comment) -> Node:
    return {
        "id": node_id("IC", comment.id),
        "databaseId": comment.id,
        "author": _actor(comment.account),
        "body": comment.body,
        "updatedAt": comment.updated,
    }


def _rule(rule: Json) -> Node:
    parameters: Node | None = None
    if rule["type"] == "pull_request":
        asked = rule["parameters"]
        parameters = {
            "__typename": "PullRequestParameters",
            "requiredApprovingReviewCount": asked["required_approving_review_count"],
            "dismissStaleReviewsOnPush": asked["dismiss_stale_reviews_on_push"],
            "requireLastPushApproval": asked["require_last_push_approval"],
            "requireCodeOwnerReview": asked["require_code_owner_review"],
        }
    return {"type": rule["type"].upper(), "parameters": parameters}
