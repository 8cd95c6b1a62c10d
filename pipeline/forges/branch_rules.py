"""What a forge's branch rules allow: each check returns a reason against, or None. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from pipeline.forges.approvals import count_approvals
from pipeline.forges.port import BranchRule, PullRequest, Review


def rules_of(rules: Iterable[BranchRule], branch: str) -> tuple[BranchRule, ...]:
    """The rules whose pattern matches a short branch name."""
    return tuple(r for r in rules if fnmatchcase(branch, r.pattern))


# git also looks names up below `refs/heads/`, so such branches would stand in for missing refs.
_MISLEADING = ("HEAD", "refs/*")


def patterns_in_the_way(pattern: str) -> tuple[str, ...]:
    """Patterns of branches that would prevent git from holding a branch that `pattern` matches.

    A branch `state` prevents all of `state/*`, and `main/x` prevents `main`.
    """
    parts = pattern.split("/")
    above = ("/".join(parts[:end]) for end in range(1, len(parts)))
    below = () if "*" in pattern else (f"{pattern}/*",)
    return (*(name for name in above if "*" not in name), *below)


def closed_patterns(rules: Iterable[BranchRule]) -> tuple[str, ...]:
    """Patterns of the branches that not everybody may push, sorted."""
    held = [rule.pattern for rule in rules if rule.push is not None]
    return tuple(
        sorted({*_MISLEADING, *held, *(way for p in held for way in patterns_in_the_way(p))})
    )


def check_push(rules: Iterable[BranchRule], ref: str, actor: int) -> str | None:
    """Why `actor` may not move `ref` directly."""
    if not ref.startswith("refs/heads/"):
        return f"`{ref}` is not a branch"
    branch = ref.removeprefix("refs/heads/")
    if any(fnmatchcase(branch, pattern) for pattern in _MISLEADING):
        return f"a branch `{branch}` would be taken for something else"
    for rule in rules:
        if rule.push is None or actor in rule.push:
            continue
        if fnmatchcase(branch, rule.pattern):
            return f"account {actor} may not push to `{branch}`"
        if any(fnmatchcase(branch, pattern) for pattern in patterns_in_the_way(rule.pattern)):
            return f"a branch `{branch}` would stand in the way of `{rule.pattern}`"
    return None


def is_open_to_all(rules: Iterable[BranchRule], ref: str) -> bool:
    """Whether anybody with access may move `ref`, so that it is worth recording who did."""
    branch = ref.removeprefix("refs/heads/")
    return all(rule.push is None for rule in rules_of(rules, branch))


def newest_review(pull: PullRequest, actor: int) -> Review | None:
    """The newest review by one account."""
    return next((r for r in reversed(pull.reviews) if r.user_id == actor), None)


def check_close(rules: Iterable[BranchRule], pull: PullRequest, actor: int) -> str | None:
    """Why `actor` may not close `pull`: its author may, and whoever may merge it."""
    if actor == pull.author_id:
        return None
    for rule in rules_of(rules, pull.base_branch):
        if rule.merge is not None and actor not in rule.merge:
            return f"account {actor} may not close pull requests into `{pull.base_branch}`"
    return None


def check_merge(rules: Iterable[BranchRule], pull: PullRequest, actor: int) -> str | None:
    """Why `actor` may not merge `pull` into its base branch."""
    reviewed = count_approvals(pull.reviews, pull.head, taking_part=(pull.author_id,))
    for rule in rules_of(rules, pull.base_branch):
        if rule.merge is not None and actor not in rule.merge:
            return f"account {actor} may not merge into `{pull.base_branch}`"
        # Only those who may merge there may approve: no bots, and no people of other teams.
        counted = reviewed if rule.merge is None else reviewed.of(rule.merge)
        if len(counted.approving) < rule.approvals:
            return (
                f"{len(counted.approving)} of {rule.approvals} approvals of revision "
                f"{pull.head[:12]} for a merge into `{pull.base_branch}`"
            )
        if rule.approvals and reviewed.objecting:
            return "a reviewer asks for changes"
    return None
