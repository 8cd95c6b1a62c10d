"""The merge queue: its commits for pull requests, each on top of the one before, and its merges.

Source: GitHub, "Managing a merge queue", "Webhook events and payloads" (`merge_group`). A group
holds one pull request; a test decides when groups are made and merged.
"""

from __future__ import annotations

from typing import Any

from worlds.github_server.pulls import land, merge_commit
from worlds.github_server.rules import check_statuses
from worlds.github_server.state import Repository, State

GROUPS = "refs/heads/gh-readonly-queue/"


def form_groups(state: State, repository: Repository) -> dict[int, str]:
    """Pull request → the branch of its group, which includes all before it in the queue.

    A conflicting one leaves the queue.
    """
    for ref in repository.refs(GROUPS):
        repository.git("update-ref", "-d", ref)
    groups: dict[int, str] = {}
    ahead: dict[str, str] = {}
    for number in list(repository.queue):
        pull = repository.pulls[number]
        base = ahead.get(pull.base_branch) or repository.branch(pull.base_branch)
        assert base is not None
        account = pull.queued_by or pull.account
        message = f"Merge pull request #{number}"
        commit = merge_commit(state, repository, pull, base, account, message)
        if commit is None:
            repository.queue.remove(number)
            continue
        groups[number] = f"{GROUPS}{pull.base_branch}/pr-{number}-{base}"
        repository.git("update-ref", groups[number], commit)
        ahead[pull.base_branch] = commit
    return groups


def group_of(repository: Repository, ref: str) -> dict[str, Any]:
    """A group as its event describes it."""
    base = ref.removeprefix(GROUPS).rpartition("/")[0]
    return {
        "head_sha": repository.git("rev-parse", ref),
        "head_ref": ref,
        "base_sha": repository.git("rev-parse", f"{ref}^1"),
        "base_ref": f"refs/heads/{base}",
    }


def merge_groups(state: State, repository: Repository, groups: dict[int, str]) -> list[int]:
    """The merged pull requests: each whose group, and all groups before it, passed its checks.

    The first one that did not pass leaves the queue; groups after it must be formed again.
    """
    merged = []
    for number, ref in groups.items():
        pull, group = repository.pulls[number], group_of(repository, ref)
        repository.queue.remove(number)
        if check_statuses(repository, pull.base_branch, group["head_sha"]) is not None:
            break
        account = pull.queued_by or pull.account
        land(state, repository, pull, group["base_sha"], group["head_sha"], account)
        merged.append(number)
    return merged
