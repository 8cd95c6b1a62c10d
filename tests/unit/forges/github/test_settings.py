"""Live GitHub settings against what the guarantees need: a right and a wrong example of each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.forges.control_rules import control_rules
from pipeline.forges.github.settings import (
    approving_teams,
    check_account,
    check_repositories,
    check_rules,
    check_teams,
    promotion_pace,
)
from pipeline.forges.port import BranchRule
from tests.support.fact_history import AGENT_ID, RELEASE_MANAGERS
from tests.support.samples import sample_environment, sample_platform

PLATFORM = sample_platform()
MAIN, STATE = control_rules(PLATFORM)
PIPELINE = PLATFORM.pipeline_account.id


def test_the_account_is_the_pipeline_s() -> None:
    assert check_account(PLATFORM, PIPELINE).problem == ""
    assert f"{AGENT_ID}" in check_account(PLATFORM, AGENT_ID).problem


def problems(*there: BranchRule) -> list[str]:
    return [s.problem for s in check_rules((MAIN, STATE), there) if s.problem]


def test_equal_and_stricter_rules_pass() -> None:
    assert problems(MAIN, STATE) == []
    assert problems(replace(MAIN, approvals=2, merge=()), STATE) == []


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ((MAIN,), "no ruleset of the pipeline is for `state/*`"),
        ((replace(MAIN, push=None), STATE), "anybody may push to `main`"),
        ((replace(MAIN, merge=None), STATE), "anybody may merge to `main`"),
        ((replace(MAIN, push=(AGENT_ID,)), STATE), f"accounts {AGENT_ID} may push to `main` too"),
        ((MAIN, replace(STATE, push=(PIPELINE, AGENT_ID))), "may push to `state/*` too"),
        ((replace(MAIN, approvals=0), STATE), "asks for 0 approvals, not 1"),
    ],
)
def test_a_weaker_rule_is_reported(there: tuple[BranchRule, ...], said: str) -> None:
    [problem] = problems(*there)
    assert said in problem


def test_teams_have_the_members_that_approve() -> None:
    environments = [sample_environment(name) for name in ("dev", "staging", "prod")]
    assert approving_teams(environments) == ("release-managers", "security")
    managers = frozenset(RELEASE_MANAGERS)

    def problem(there: frozenset[int] | None) -> list[str]:
        return [s.problem for s in check_teams(PLATFORM, {"release-managers": there})]

    assert problem(managers) == [""]
    assert problem(managers | {9}) == [""]
    assert problem(None) == []
    assert f"{RELEASE_MANAGERS[1]} of `release-managers`" in problem(managers - {1502})[0]
    assert "no account is in team" in problem(frozenset())[0]


def test_the_pace_follows_from_the_limits() -> None:
    assert promotion_pace().detail.startswith("20 promotions a minute and 125 an hour")


def test_wrong_repository_rules_are_listed_and_right_ones_counted() -> None:
    strict = (BranchRule("main", push=(), merge=(1000,)), BranchRule("promote/*", push=(1000,)))
    loose = (BranchRule("main", push=(), merge=(1000, 1201)),)
    wanted = {"right": strict, "loose": strict, "gone": strict, "without": strict}
    there = {"right": strict, "loose": loose, "gone": None, "without": ()}
    found = {s.name: s for s in check_repositories(wanted, there)}
    assert set(found) == {"rules loose", "rules gone", "rules without", "rules"}
    assert "accounts 1201 may merge" in found["rules loose"].problem
    assert "no ruleset of the pipeline is for `promote/*`" in found["rules loose"].problem
    assert found["rules gone"].problem == "there is no such repository"
    assert found["rules"].detail == "of 1 repositories of tenants hold what policy asks for"
    assert all(s.help for s in found.values() if s.problem)
