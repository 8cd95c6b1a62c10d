"""The GraphQL texts, and their answers as the port's values. Pure.

One query returns a hundred pull requests with all their reviews; REST needs one more call for each
pull request. Names are those of GitHub's public schema.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pipeline.forges.port import Comment, PullRequest, PullState, Review, ReviewVerdict
from pipeline.models.base import Moment, moment_of

PAGE = 100
# Repositories per query: at most 49,000 nodes, where GitHub allows 500,000. A query that takes
# GitHub too long is sent again in halves.
REPOSITORIES_AT_ONCE = 350

# Branches or commits per query, each with a few pull requests and a page of reviews.
PULLS_AT_ONCE = 50
# Pull requests per branch name: forks may use the same name, and the oldest own one counts.
_OF_ONE_NAME = 5

_ACTOR = "{ login ... on User { databaseId } ... on Bot { databaseId } }"
_REVIEWS = f"""
  reviews(first: {PAGE}, after: $reviewsAfter) {{
    nodes {{ fullDatabaseId state body submittedAt commit {{ oid }} author {_ACTOR} }}
    pageInfo {{ hasNextPage endCursor }}
  }}"""
_PULL = f"""
  id number title body url state headRefName headRefOid baseRefName
  mergeQueueEntry {{ position }} autoMergeRequest {{ enabledAt }}
  isCrossRepository author {_ACTOR} mergedBy {_ACTOR} mergedAt mergeCommit {{ oid }} {_REVIEWS}"""

_MARK = re.compile(r"<!-- primitive-pipeline: ([a-z-]+) -->\r?\n")

VIEWER = "query { viewer { login databaseId } }"

PULLS = f"""query($owner: String!, $name: String!, $after: String, $reviewsAfter: String) {{
  repository(owner: $owner, name: $name) {{
    pullRequests(first: {PAGE}, after: $after) {{
      nodes {{ {_PULL} }} pageInfo {{ hasNextPage endCursor }}
    }}
  }}
}}"""

OPEN_PULLS = f"""query(
  $owner: String!, $name: String!, $base: String!, $after: String, $reviewsAfter: String
) {{
  repository(owner: $owner, name: $name) {{
    pullRequests(first: {PAGE}, after: $after, states: [OPEN], baseRefName: $base) {{
      nodes {{ {_PULL} }} pageInfo {{ hasNextPage endCursor }}
    }}
  }}
}}"""

PULL = f"""query($owner: String!, $name: String!, $number: Int!, $reviewsAfter: String) {{
  repository(owner: $owner, name: $name) {{ pullRequest(number: $number) {{ {_PULL} }} }}
}}"""

PULL_ID = """query($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) { pullRequest(number: $number) { id } }
}"""

ENQUEUE = """mutation($pull: ID!, $head: GitObjectID!) {
  enqueuePullRequest(input: {pullRequestId: $pull, expectedHeadOid: $head}) {
    mergeQueueEntry { position }
  }
}"""

AUTO_MERGE = """mutation($pull: ID!, $head: GitObjectID!, $title: String!, $body: String!) {
  enablePullRequestAutoMerge(input: {
    pullRequestId: $pull, expectedHeadOid: $head, mergeMethod: MERGE,
    commitHeadline: $title, commitBody: $body
  }) { pullRequest { number } }
}"""

TEAM = f"""query($organisation: String!, $team: String!, $after: String) {{
  organization(login: $organisation) {{
    team(slug: $team) {{
      members(first: {PAGE}, after: $after) {{
        nodes {{ databaseId }} pageInfo {{ hasNextPage endCursor }}
      }}
    }}
  }}
}}"""

_FINGERPRINT = f"""
  refs(refPrefix: "refs/heads/", first: {PAGE}) {{ totalCount nodes {{ name target {{ oid }} }} }}
  pullRequests(first: 20, orderBy: {{field: UPDATED_AT, direction: DESC}}) {{
    totalCount
    nodes {{ number state headRefOid updatedAt reviews(first: 1) {{ totalCount }} }}
  }}"""


_DEPLOYMENT = f"databaseId commitOid environment payload creator {_ACTOR} latestStatus {{ state }}"


def fingerprint_query(organisation: str, repositories: Sequence[str]) -> str:
    """One query for data that changes with any branch or pull request of each repository."""
    fields = "\n".join(
        f"r{index}: repository(owner: {json.dumps(organisation)}, name: {json.dumps(name)})"
        f" {{ {_FINGERPRINT} }}"
        for index, name in enumerate(repositories)
    )
    return f"query {{\n{fields}\n}}"


def fingerprint_of(node: Mapping[str, Any] | None) -> str:
    """A repository's fingerprint from a fingerprint query; a missing repository has one too."""
    if node is None:
        return "absent"
    text = json.dumps(node, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def pulls_of_branches_query(base_branch: str, heads: Sequence[str]) -> str:
    """One query for the pull requests from each branch into the same one; alias `b` and index."""
    fields = "\n".join(
        f"b{index}: pullRequests(first: {_OF_ONE_NAME}, headRefName: {json.dumps(head)},"
        f" baseRefName: {json.dumps(base_branch)},"
        f" orderBy: {{field: CREATED_AT, direction: ASC}}) {{ nodes {{ {_PULL} }} }}"
        for index, head in enumerate(heads)
    )
    return _of_repository(fields)


def own_pulls(connection: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The nodes of a connection whose branch is the repository's own, not a fork's."""
    return [node for node in connection["nodes"] if not node["isCrossRepository"]]


def pulls_of_commits_query(commits: Sequence[str]) -> str:
    """One query for the pull requests that brought each commit; alias `c` and index."""
    fields = "\n".join(
        f"c{index}: object(oid: {json.dumps(commit)}) {{ ... on Commit {{"
        f" associatedPullRequests(first: {_OF_ONE_NAME}) {{ nodes {{ {_PULL} }} }} }} }}"
        for index, commit in enumerate(commits)
    )
    return _of_repository(fields)


def pulls_of_commit(node: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The pull requests of a commit's node; none for a missing commit."""
    return list(node["associatedPullRequests"]["nodes"]) if node else []


def deployments_query(commits: Sequence[str]) -> str:
    """One query for the newest deployments of each commit; alias `c` and index."""
    fields = "\n".join(
        f"c{index}: object(oid: {json.dumps(commit)}) {{ ... on Commit {{"
        f" deployments(first: {PAGE}, orderBy: {{field: CREATED_AT, direction: DESC}})"
        f" {{ nodes {{ {_DEPLOYMENT} }} }} }} }}"
        for index, commit in enumerate(commits)
    )
    variables = "$owner: String!, $name: String!"
    return f"query({variables}) {{ repository(owner: $owner, name: $name) {{ {fields} }} }}"


def deployments_of_commit(node: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The deployments of a commit's node; none for a missing commit."""
    return list(node["deployments"]["nodes"]) if node else []


def _of_repository(fields: str) -> str:
    variables = "$owner: String!, $name: String!, $reviewsAfter: String"
    return f"query({variables}) {{ repository(owner: $owner, name: $name) {{ {fields} }} }}"


def pull_of(
    repo: str, node: Mapping[str, Any], reviews: Iterable[Mapping[str, Any]]
) -> PullRequest:
    """The pull request from its node and all its reviews."""
    merged, merged_by = node["mergeCommit"], node["mergedBy"]
    state = PullState(str(node["state"]).lower())
    is_merged = state is PullState.MERGED
    return PullRequest(
        repo=repo,
        number=node["number"],
        title=node["title"],
        body=node["body"],
        head_branch=node["headRefName"],
        head=node["headRefOid"],
        base_branch=node["baseRefName"],
        author_id=account_of(node["author"]),
        state=state,
        url=node["url"],
        merge_commit=merged["oid"] if merged and is_merged else None,
        merged_by=account_of(merged_by) if merged_by and is_merged else None,
        merged_at=_moment(node["mergedAt"]) if is_merged else None,
        reviews=tuple(
            review_of(index, review)
            for index, review in enumerate(reviews, start=1)
            if review["state"] != "PENDING"
        ),
        is_queued=state is PullState.OPEN
        and bool(node["mergeQueueEntry"] or node["autoMergeRequest"]),
    )


def review_of(sequence: int, node: Mapping[str, Any]) -> Review:
    """One review; if its commit is gone, it has none and counts for no revision."""
    verdict = ReviewVerdict(str(node["state"]).lower().replace("_", "-"))
    commit = node["commit"]
    return Review(
        sequence,
        account_of(node["author"]),
        commit["oid"] if commit else "",
        verdict,
        node["body"],
        _moment(node["submittedAt"]),
    )


def _moment(told: str | None) -> Moment | None:
    """The moment of a GraphQL `DateTime`."""
    if told is None:
        return None
    return moment_of(int(datetime.fromisoformat(told).timestamp()))


def mark_of(key: str) -> str:
    """The line that marks a comment with its key; GitHub does not show it."""
    return f"<!-- primitive-pipeline: {key} -->"


def comment_of(item: Mapping[str, Any]) -> Comment:
    """The comment in a REST item, without its mark."""
    author, body = item["user"]["id"] if item["user"] else 0, str(item["body"])
    found = _MARK.match(body)
    if found is None:
        return Comment(author, body)
    return Comment(author, body[found.end() :], found[1])


def account_of(actor: Mapping[str, Any] | None) -> int:
    """The number of an account; 0 for a deleted one, which matches nobody."""
    return int(actor.get("databaseId") or 0) if actor else 0
