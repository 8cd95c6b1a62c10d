"""Branch rules as GitHub rulesets: rules read back are the rules written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ForgeRefused
from pipeline.forges.github.rulesets import PREFIX, rules_of_rulesets, rulesets_of
from pipeline.forges.port import BranchRule

PIPELINE, APP = 1000, 77
APPS = {PIPELINE: APP}
_PATTERNS = st.sampled_from(["main", "state/*", "draft/*", "promote/*", "release/1.0", "*"])
_ACCOUNTS = st.lists(st.sampled_from([PIPELINE, 1101, 1201, 1202]), unique=True).map(tuple)


@st.composite
def branch_rules(draw: st.DrawFn) -> BranchRule:
    """A rule as provisioning makes them: who merges, if said at all, holds those who push."""
    push = draw(_ACCOUNTS)
    merge = draw(st.one_of(st.none(), _ACCOUNTS))
    if merge is not None:
        merge = (*push, *(id for id in merge if id not in push))
    return BranchRule(draw(_PATTERNS), push, merge, draw(st.integers(0, 6)))


@given(st.lists(branch_rules(), unique_by=lambda rule: rule.pattern, max_size=4))
def test_rules_read_back_from_rulesets_are_equal(rules: list[BranchRule]) -> None:
    rulesets = rulesets_of(rules, APPS)
    assert rules_of_rulesets(rulesets, APPS) == tuple(rules)
    names = [ruleset["name"] for ruleset in rulesets]
    assert len(names) == len(set(names)), "GitHub takes a name once"


def test_a_state_branch_is_moved_by_the_app_alone() -> None:
    [_, moves] = rulesets_of([BranchRule("state/*", push=(PIPELINE,))], APPS)
    assert moves["conditions"]["ref_name"]["include"] == ["refs/heads/state/**/*"]
    assert moves["bypass_actors"] == [
        {"actor_id": APP, "actor_type": "Integration", "bypass_mode": "always"}
    ]
    assert {rule["type"] for rule in moves["rules"]} == {"creation", "deletion", "pull_request"}


def test_a_default_branch_is_merged_into_by_its_people_after_approval() -> None:
    rule = BranchRule("main", push=(), merge=(1201, 1202), approvals=1)
    [_, moves, reviews] = rulesets_of([rule], APPS)
    assert {rule["type"] for rule in moves["rules"]} == {"creation", "deletion", "update"}
    assert {(a["actor_id"], a["bypass_mode"]) for a in moves["bypass_actors"]} == {
        (1201, "pull_request"),
        (1202, "pull_request"),
    }
    asked = reviews["rules"][0]["parameters"]
    assert asked["required_approving_review_count"] == 1
    assert asked["dismiss_stale_reviews_on_push"] and asked["require_last_push_approval"]
    assert reviews["bypass_actors"] == [], "nobody merges unreviewed"


def test_no_branch_is_forced_by_anybody() -> None:
    [everywhere] = rulesets_of([], APPS)
    assert everywhere["conditions"]["ref_name"]["include"] == ["~ALL"]
    assert everywhere["bypass_actors"] == []
    assert everywhere["rules"] == [{"type": "non_fast_forward"}]


def test_other_people_s_rulesets_are_ignored() -> None:
    [_, moves] = rulesets_of([BranchRule("main", push=())], APPS)
    assert rules_of_rulesets([{**moves, "name": "main is closed"}], APPS) == ()
    assert moves["name"].startswith(PREFIX)


def test_a_pattern_that_github_cannot_express_is_refused() -> None:
    with pytest.raises(ForgeRefused, match="no ruleset for branches"):
        rulesets_of([BranchRule("a*b", push=())], APPS)
