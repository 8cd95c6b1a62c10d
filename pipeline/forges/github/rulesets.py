"""Branch rules as GitHub's rulesets, and back. Pure.

A rule becomes up to two rulesets, named by kind and pattern. `moves` restricts creating, updating
and deleting such branches: accounts that may push always bypass it, those that may merge bypass it
only in pull requests. `reviews` requires approvals after the last push, also by code owners. One
ruleset for all branches, `no force-push`, has no bypass.
Source: GitHub, "Available rules for rulesets"; REST, "Create a repository ruleset".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pipeline.errors import ForgeRefused
from pipeline.forges.port import BranchRule

Ruleset = dict[str, Any]
Apps = Mapping[int, int]  # account of an App's bot → id of the App

PREFIX = "primitive-pipeline"
_FORWARD = f"{PREFIX}: no force-push"


def rulesets_of(rules: Iterable[BranchRule], apps: Apps) -> tuple[Ruleset, ...]:
    """The rulesets that express the rules, as REST takes them; equal rules, equal rulesets."""
    made = [_ruleset(_FORWARD, ["~ALL"], [{"type": "non_fast_forward"}], [])]
    for rule in rules:
        include = [_glob(rule.pattern)]
        above = _actors(rule.push or (), "always", apps)
        if rule.push is not None or rule.merge is not None:
            # `update` also stops everybody from merging, so only if merging has its own list.
            held: list[dict[str, Any]] = [{"type": "creation"}, {"type": "deletion"}]
            held.append({"type": "update"} if rule.merge is not None else _reviews(0))
            merging = _actors(
                (id for id in rule.merge or () if id not in (rule.push or ())),
                "pull_request",
                apps,
            )
            name = f"{PREFIX}: moves {rule.pattern}"
            made.append(_ruleset(name, include, held, [*above, *merging]))
        if rule.approvals:
            name = f"{PREFIX}: reviews {rule.pattern}"
            made.append(_ruleset(name, include, [_reviews(rule.approvals)], above))
    return tuple(made)


def rules_of_rulesets(rulesets: Iterable[Ruleset], apps: Apps) -> tuple[BranchRule, ...]:
    """The rules that the pipeline's own rulesets express, in the order they were made."""
    moves: dict[str, Ruleset] = {}
    reviews: dict[str, Ruleset] = {}
    for ruleset in rulesets:
        prefix, _, rest = ruleset["name"].partition(": ")
        kind, _, pattern = rest.partition(" ")
        if prefix == PREFIX and kind == "moves":
            moves[pattern] = ruleset
        elif prefix == PREFIX and kind == "reviews":
            reviews[pattern] = ruleset
    return tuple(
        _rule(pattern, moves.get(pattern), reviews.get(pattern), apps)
        for pattern in dict.fromkeys([*moves, *reviews])
    )


def _rule(pattern: str, moves: Ruleset | None, reviews: Ruleset | None, apps: Apps) -> BranchRule:
    push: tuple[int, ...] | None = None
    merge: tuple[int, ...] | None = None
    if moves is not None:
        push = _accounts(moves, ("always",), apps)
        if any(rule["type"] == "update" for rule in moves["rules"]):
            merge = _accounts(moves, ("always", "pull_request"), apps)
    approvals = 0
    if reviews is not None:
        approvals = reviews["rules"][0]["parameters"]["required_approving_review_count"]
    return BranchRule(pattern, push, merge, approvals)


def _glob(pattern: str) -> str:
    """The pattern in GitHub's syntax, where `*` stops at a slash."""
    if pattern == "*":
        return "~ALL"
    stem = pattern.removesuffix("/*")
    if "*" in stem:
        raise ForgeRefused(
            f"GitHub has no ruleset for branches `{pattern}`",
            help="a pattern is a name, ends in `/*`, or is `*`",
        )
    return f"refs/heads/{stem}" + ("/**/*" if stem != pattern else "")


def _reviews(count: int) -> dict[str, Any]:
    return {
        "type": "pull_request",
        "parameters": {
            "required_approving_review_count": count,
            "dismiss_stale_reviews_on_push": True,
            "require_last_push_approval": count > 0,
            "require_code_owner_review": count > 0,
            "required_review_thread_resolution": False,
            # A rebase makes commits that nobody reviewed and no trailer names.
            "allowed_merge_methods": ["merge", "squash"],
        },
    }


def _actors(
    accounts: Iterable[int], mode: Literal["always", "pull_request"], apps: Apps
) -> list[dict[str, Any]]:
    return [
        {
            "actor_id": apps.get(account, account),
            "actor_type": "Integration" if account in apps else "User",
            "bypass_mode": mode,
        }
        for account in accounts
    ]


def _accounts(ruleset: Ruleset, modes: tuple[str, ...], apps: Apps) -> tuple[int, ...]:
    bots = {app: bot for bot, app in apps.items()}
    return tuple(
        bots.get(actor["actor_id"], 0)
        if actor["actor_type"] == "Integration"
        else actor["actor_id"]
        for actor in ruleset.get("bypass_actors") or ()
        if actor["bypass_mode"] in modes
    )


def _ruleset(
    name: str, include: list[str], rules: list[dict[str, Any]], bypass: list[dict[str, Any]]
) -> Ruleset:
    return {
        "name": name,
        "target": "branch",
        "enforcement": "active",
        "bypass_actors": bypass,
        "conditions": {"ref_name": {"include": include, "exclude": []}},
        "rules": rules,
    }
