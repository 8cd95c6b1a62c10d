"""Pull requests of a local forge as values: new, reworded, following their branches. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.errors import NotFound
from pipeline.forges.port import PullAsk, PullRequest, PullState

HEADS = "refs/heads/"


def new_pull(
    repo: str, number: int, ask: PullAsk, refs: Mapping[str, str], *, actor: int, url: str
) -> PullRequest:
    """The new pull request, at its branch's head. Raises NotFound."""
    for branch in (ask.base_branch, ask.head_branch):
        if f"{HEADS}{branch}" not in refs:
            raise NotFound(f"{repo} has no branch `{branch}`")
    return PullRequest(
        repo=repo,
        number=number,
        title=ask.title,
        body=ask.body,
        head_branch=ask.head_branch,
        head=refs[f"{HEADS}{ask.head_branch}"],
        base_branch=ask.base_branch,
        author_id=actor,
        state=PullState.OPEN,
        url=url,
    )


def reworded(pull: PullRequest, ask: PullAsk, actor: int) -> PullRequest:
    """The pull request with the asked title and body, if it is open and by the same author."""
    if pull.state is not PullState.OPEN or pull.author_id != actor:
        return pull
    return replace(pull, title=ask.title, body=ask.body)


def at_head(pull: PullRequest, refs: Mapping[str, str]) -> PullRequest:
    """The pull request at its branch's head if it is open, else unchanged."""
    head = refs.get(f"{HEADS}{pull.head_branch}", pull.head)
    follows = pull.state is PullState.OPEN and head != pull.head
    return replace(pull, head=head) if follows else pull
