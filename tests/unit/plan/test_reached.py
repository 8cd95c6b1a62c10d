"""The state that a promotion leads to: by stages of environments, and by which are required."""

from __future__ import annotations

import pytest

from pipeline.models.draft_state import DraftState
from pipeline.models.requests import Environment
from pipeline.models.status import DraftStatus
from pipeline.plan.reached import state_reached
from tests.support import fact_history as history
from tests.support.samples import sample_environment

STATUS = history.sample_status()
OTHER = history.RELEASE.model_copy(update={"digest": history.digest_of("other")})


def environments(*required: str) -> dict[str, Environment]:
    """dev, staging, a canary and two regions behind it, of which some are required."""
    found = {name: sample_environment(name) for name in ("dev", "staging")}
    prod = sample_environment("prod")
    for name in ("canary", "prod-eu", "prod-us"):
        found[name] = prod.model_copy(update={"environment": name})
    for name in required:
        found[name] = found[name].model_copy(update={"required": True})
    return found


def in_prod(*names: str) -> DraftStatus:
    """The sample's status, with the release in these environments as well."""
    record = STATUS.promotions[-1]
    more = tuple(record.model_copy(update={"environment": name}) for name in names)
    return STATUS.model_copy(update={"promotions": (*STATUS.promotions, *more)})


def test_without_a_required_environment_the_first_one_reaches_the_stage() -> None:
    found = state_reached(STATUS, environments(), "canary", history.RELEASE)
    assert found is DraftState.PROMOTED_PROD


@pytest.mark.parametrize(
    ("there", "name", "state"),
    [
        ((), "canary", DraftState.PROMOTED_STAGING),
        ((), "prod-eu", DraftState.PROMOTED_STAGING),
        (("prod-us",), "prod-eu", DraftState.PROMOTED_PROD),
        (("prod-eu",), "canary", DraftState.PROMOTED_STAGING),
        (("prod-eu", "prod-us"), "canary", DraftState.PROMOTED_PROD),
    ],
)
def test_all_required_ones_must_run_it(
    there: tuple[str, ...], name: str, state: DraftState
) -> None:
    policy = environments("prod-eu", "prod-us")
    assert state_reached(in_prod(*there), policy, name, history.RELEASE) is state


def test_another_release_in_a_required_one_does_not_count() -> None:
    policy = environments("prod-eu", "prod-us")
    assert state_reached(in_prod("prod-us"), policy, "prod-eu", OTHER) is STATUS.state


def test_the_state_never_sinks() -> None:
    above = STATUS.model_copy(update={"state": DraftState.PROMOTED_PROD})
    assert state_reached(above, environments(), "dev", OTHER) is DraftState.PROMOTED_PROD


def test_what_is_required_of_another_stage_does_not_matter() -> None:
    below = STATUS.model_copy(update={"state": DraftState.IN_REVIEW, "promotions": ()})
    policy = environments("prod-eu", "staging")
    assert state_reached(below, policy, "dev", OTHER) is DraftState.PROMOTED_DEV


def test_a_deleted_environment_leads_nowhere() -> None:
    assert state_reached(STATUS, environments(), "prod", history.RELEASE) is STATUS.state
