"""Environments as a graph: regions to the end, an environment taken away, what has run once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.documents import render_document
from pipeline.errors import UsageFault
from pipeline.models.draft_state import DraftState
from pipeline.models.facts import Promoted
from pipeline.requests.layout import environment_path, promotion_path
from pipeline.state.facts import fold
from tests.support.command_line import call
from tests.support.fact_history import (
    ENGINEER_ID,
    PLATFORM_ENGINEERS,
    RELEASE_MANAGERS,
    SECURITY_ID,
)
from tests.support.finished_story import audit
from tests.support.regions import ORDER, REGIONS, ask, begin_regions, bring, until_staging
from tests.support.samples import DRAFT
from tests.support.story import SOURCE, Story, story_at


@pytest.fixture
def regions(root: Path) -> Iterator[Story]:
    world = begin_regions(root)
    until_staging(world)
    yield world
    world.close()


def assert_clean(world: Story) -> None:
    """Nothing is left to do, and an audit of fresh clones finds nothing."""
    plan = world.engine.plan(tenants=["acme"])
    assert plan.is_empty and not plan.tenants[0].waiting, plan
    found = audit(world)
    assert found.findings == (), found.findings


def take_away(world: Story, *environments: str, **changes: bytes) -> None:
    """Take environments out of policy, by a reviewed pull request."""
    gone: dict[str, bytes | None] = {environment_path(name): None for name in environments}
    gone |= {environment_path(name): content for name, content in changes.items()}
    number = world.propose(gone, PLATFORM_ENGINEERS[1])
    world.approve("control", number, PLATFORM_ENGINEERS[0])
    world.merge("control", number, PLATFORM_ENGINEERS[0])


# -- to the end ----------------------------------------------------------------------------


def test_a_release_passes_a_canary_and_reaches_both_regions(regions: Story) -> None:
    world = regions
    states = [world.engine.status(DRAFT).state]
    for environment in ("canary", *REGIONS):
        bring(world, environment)
        states.append(world.engine.status(DRAFT).state)
    # Both regions are required, and the canary is not.
    staged, done = DraftState.PROMOTED_STAGING, DraftState.PROMOTED_PROD
    assert states == [staged, staged, staged, done]

    status = world.engine.status(DRAFT)
    assert tuple(status.target_namespaces) == ORDER
    assert tuple(p.environment for p in status.promotions) == ORDER
    assert status.promotions[-1].namespace == "tenant-acme-prod-us-cust"
    assert len({p.release.digest for p in status.promotions}) == 1
    told = [f.body.state for f in world.engine.facts(DRAFT) if isinstance(f.body, Promoted)]
    assert told == [DraftState.PROMOTED_DEV, staged, staged, staged, done]
    assert_clean(world)


def test_a_region_is_refused_before_the_canary_has_run_it(regions: Story) -> None:
    proposal = regions.engine.propose_promotion(DRAFT, "prod-eu", reason="Too early")
    reasons = [(r.code, r.message) for r in proposal.decision.reasons]
    assert ("environment-order", "canary has not run this primitive") in reasons
    with pytest.raises(UsageFault) as refused:
        regions.engine.propose_promotion(DRAFT, "prod", reason="Of another repo")
    assert refused.value.help == "environments are " + ", ".join(f"`{e}`" for e in ORDER)


# -- an environment taken away -------------------------------------------------------------


def test_a_promotion_to_a_deleted_environment_is_refused_and_history_stays_valid(
    regions: Story,
) -> None:
    world = regions
    bring(world, "canary")
    bring(world, "prod-eu")
    ask(world, "prod-us")
    take_away(world, *REGIONS)
    world.go()
    assert world.kinds()[-1] == "promotion-refused"
    (refused,) = world.engine.status(DRAFT).refused_promotions
    (reason,) = refused.reasons
    assert (refused.environment, reason.code) == ("prod-us", "environment-unknown")
    assert "environments/prod-us/environment.yaml was removed" in reason.message
    # What ran there is judged by the policy of its time, and stays as it was promoted.
    assert world.engine.status(DRAFT).promotion("prod-eu") is not None
    assert_clean(world)
    shown = call(world.root / "control", "status")
    assert shown.exit_code == 0
    assert shown.out.split()[2:8] == ["DEV", "STAGING", "CANARY", "PROD-EU", "CHANGED", "PULL"]
    assert "warning[environment-file-deleted]" in shown.out
    assert f"`prod-eu` is no longer an environment, but still runs `{DRAFT}`" in shown.out


def test_deleting_an_environment_warns_of_what_runs_there(
    regions: Story,
) -> None:
    bring(regions, "canary")
    number = regions.propose(
        {environment_path(name): None for name in ("canary", *REGIONS)}, PLATFORM_ENGINEERS[1]
    )
    regions.approve("control", number, PLATFORM_ENGINEERS[0])
    judged = regions.engine.judge.pull(number)
    assert judged.passed
    assert [(f.code, f.message) for f in judged.findings] == [
        (
            "environment-file-deleted",
            f"`canary` is no longer an environment, but still runs `{DRAFT}`",
        )
    ]


def test_an_environment_that_another_promotes_from_cannot_be_deleted_alone(regions: Story) -> None:
    number = regions.propose({environment_path("canary"): None}, PLATFORM_ENGINEERS[1])
    regions.approve("control", number, PLATFORM_ENGINEERS[0])
    judged = regions.engine.judge.pull(number)
    assert not judged.passed
    found = [(f.code, f.location.file) for f in judged.findings]
    assert found == [("environment-definition", environment_path(name)) for name in REGIONS]


def test_an_environment_added_later_is_proved(regions: Story) -> None:
    world = regions
    rehearsal = environment_path("rehearsal")
    content = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "Environment",
        "environment": "rehearsal",
        "stage": "staging",
        "promotes_from": ["dev"],
        "required_checks": ["tests"],
    }
    world.change_policy(rehearsal, render_document(content))
    world.ask(DRAFT, "rehearsal", ENGINEER_ID)
    world.go()
    status = world.engine.status(DRAFT)
    assert [p.environment for p in status.promotions] == ["dev", "staging", "rehearsal"]
    assert list(world.engine.snapshot().environments)[:3] == ["dev", "rehearsal", "staging"]
    assert_clean(world)


# -- what has run once ---------------------------------------------------------------------


def test_a_staged_release_goes_on_when_staging_and_main_have_moved_on(root: Path) -> None:
    world = story_at("in staging", root)
    staged = world.engine.status(DRAFT).promotions[-1].release
    world.write("0002", f"{SOURCE}/routing.py", "QUICK = 2\n")
    world.go()
    world.take_over(2)
    for environment, approver in (("dev", ENGINEER_ID), ("staging", RELEASE_MANAGERS[0])):
        newer = world.engine.status(DRAFT).head
        proposal = world.engine.propose_promotion(
            DRAFT, environment, source_commit=newer, reason="Newer"
        )
        value = proposal.promotion.model_dump(mode="json", by_alias=True, exclude_none=True)
        world.request(promotion_path(DRAFT, environment), render_document(value), approver)
        world.go()
    status = world.engine.status(DRAFT)
    assert all(p.release.digest != staged.digest for p in status.promotions)

    # staging runs the newer one by now, and main holds the newer source.
    proposal = world.engine.propose_promotion(
        DRAFT, "prod", source_commit=staged.source_commit, reason="The one that was rehearsed"
    )
    assert proposal.decision.reasons == ()
    value = proposal.promotion.model_dump(mode="json", by_alias=True, exclude_none=True)
    approvers = (RELEASE_MANAGERS[0], SECURITY_ID)
    world.request(promotion_path(DRAFT, "prod"), render_document(value), *approvers)
    world.go()
    status = world.engine.status(DRAFT)
    promoted = status.promotion("prod")
    assert promoted is not None and promoted.release == staged
    ran = [(run.environment, run.release.digest == staged.digest) for run in status.runs]
    assert ran == [
        ("dev", True),
        ("staging", True),
        ("dev", False),
        ("staging", False),
        ("prod", True),
    ]
    assert status == fold(world.engine.facts(DRAFT))
    assert_clean(world)
    world.close()


def test_what_a_branch_held_on_its_way_was_never_on_the_default_branch(root: Path) -> None:
    world = story_at("patched", root)
    on_the_way = world.engine.status(DRAFT).head
    world.write("0002", f"{SOURCE}/routing.py", "QUICK = 2\n")
    world.go()
    world.ask(DRAFT, "dev", ENGINEER_ID)
    world.go()
    world.take_over()
    for commit, codes in ((on_the_way, {"source-not-on-default-branch"}), (None, set())):
        proposal = world.engine.propose_promotion(
            DRAFT, "staging", source_commit=commit, reason="Try"
        )
        found = {r.code for r in proposal.decision.reasons}
        assert found & {"source-not-on-default-branch"} == codes
    world.close()
