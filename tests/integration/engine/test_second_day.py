"""Going back, going on, and taking out: requests of the second day, carried out and audited."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import UsageFault
from pipeline.forges.port import PullState
from pipeline.models.base import ImageDigest
from pipeline.models.draft_state import DraftState
from pipeline.models.facts import Promoted, PromotionSuperseded
from pipeline.requests.layout import environment_path
from tests.support.fact_history import AGENT_ID, ENGINEER_ID, SECURITY_ID
from tests.support.finished_story import CODE, GITOPS, audit
from tests.support.samples import DRAFT
from tests.support.second_day import (
    PROD_APPROVERS,
    bring_promotion,
    prod_that_rolls_back,
    report,
    retire,
    roll_back,
    second_day,
    see,
)
from tests.support.story import SOURCE, Story
from worlds.control_repo import CLOCK_S

MINUTE_S = 60


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    story = second_day(tmp_path / "world")
    yield story
    story.close()


def in_prod(story: Story) -> ImageDigest:
    record = story.engine.status(DRAFT).promotion("prod")
    assert record is not None
    return record.release.digest


def releases(story: Story) -> list[ImageDigest]:
    """What prod ran, in order."""
    return [run.release.digest for run in story.engine.status(DRAFT).runs_in(("prod",))]


def waiting(story: Story) -> list[str]:
    """The codes of all that acme waits for now."""
    plan = story.engine.plan(tenants=["acme"])
    assert plan.is_empty, plan
    return [code for wait in plan.tenants[0].waiting for code, _ in wait.reasons]


def assert_proved(story: Story) -> None:
    assert story.engine.plan(tenants=["acme"]).is_empty
    found = audit(story.world)
    assert found.findings == (), found.findings


# -- rollback and hold ---------------------------------------------------------------------


def test_a_rollback_runs_the_release_that_was_healthy_there_and_holds(story: Story) -> None:
    first, second = releases(story)
    assert first != second
    roll_back(story)
    story.go()
    assert releases(story) == [first, second, first]
    told = story.engine.facts(DRAFT)[-1].body
    assert isinstance(told, Promoted) and told.lane == "rollback" and not told.automatic
    (hold,) = story.engine.status(DRAFT).holds
    assert (hold.environment, hold.fact) == ("prod", len(story.engine.facts(DRAFT)))
    assert_proved(story)


def test_a_bot_does_not_undo_a_rollback_and_a_person_does(story: Story) -> None:
    first, second = releases(story)
    roll_back(story)
    story.go()
    ahead = story.engine.propose_promotion(DRAFT, "prod", reason="The newest one").promotion
    bring_promotion(story, ahead, *PROD_APPROVERS, asker=AGENT_ID)
    story.go()
    assert in_prod(story) == first and waiting(story) == ["environment-held"]
    again = ahead.model_copy(update={"reason": "It works with the new cache"})
    bring_promotion(story, again, *PROD_APPROVERS, asker=ENGINEER_ID)
    story.go()
    assert in_prod(story) == second and story.engine.status(DRAFT).holds == ()
    assert "promotion-superseded" in story.kinds()
    assert_proved(story)


def test_a_lifted_hold_lets_bots_go_on_and_changes_nothing_else(story: Story) -> None:
    roll_back(story)
    story.go()
    first = in_prod(story)
    lift = story.engine.proposer.propose_lift(DRAFT, "prod", reason="The cause is known")
    assert not lift.decision.refused
    before = story.forge.read_repo(GITOPS)
    bring_promotion(story, lift.promotion, *PROD_APPROVERS, asker=ENGINEER_ID)
    story.go()
    assert story.kinds()[-1] == "hold-lifted" and in_prod(story) == first
    assert story.engine.status(DRAFT).holds == () and story.forge.read_repo(GITOPS) == before
    assert_proved(story)
    again = story.engine.proposer.propose_lift(DRAFT, "prod", reason="Once more")
    assert [r.code for r in again.decision.reasons] == ["hold-absent"]


def test_a_rollback_names_its_release_by_digest_beginning_or_fact(story: Story) -> None:
    first, second = story.engine.status(DRAFT).runs_in(("prod",))
    for to in (first.release.digest, first.release.digest[7:15], str(first.fact)):
        proposal = story.engine.proposer.propose_rollback(DRAFT, "prod", to=to, reason="Back")
        assert proposal.promotion.release.digest == first.release.digest
        assert proposal.promotion.lane == "rollback" and proposal.promotion.overlay_tree
        assert not proposal.decision.refused, proposal.decision
    now = story.engine.proposer.propose_rollback(
        DRAFT, "prod", to=second.release.digest, reason="Back"
    )
    assert [r.code for r in now.decision.reasons] == ["rollback-target"]
    with pytest.raises(UsageFault, match="never ran in prod") as refused:
        story.engine.proposer.propose_rollback(DRAFT, "prod", to="sha256:0123abcd", reason="Back")
    assert first.release.digest[7:19] in str(refused.value.help)


# -- automatic -----------------------------------------------------------------------------


def test_policy_rolls_back_once_after_the_minutes_it_names(story: Story) -> None:
    first, second = releases(story)
    story.change_policy(environment_path("prod"), prod_that_rolls_back())
    see(story, "prod", "Degraded")
    assert in_prod(story) == second and waiting(story) == ["rollback-not-due"]
    story.use(clock=lambda: CLOCK_S + 10 * MINUTE_S)
    story.go()
    assert in_prod(story) == first
    told = story.engine.facts(DRAFT)[-1]
    assert isinstance(told.body, Promoted) and told.body.automatic
    assert told.cause.request == environment_path("prod")
    assert story.engine.facts(DRAFT)[told.body.observed - 1].body.type == "observed"
    assert story.engine.status(DRAFT).holds[0].automatic
    assert_proved(story)
    # What it went back to does badly as well: the hold stops everything automatic.
    see(story, "prod", "Degraded", CLOCK_S + 10 * MINUTE_S)
    story.use(clock=lambda: CLOCK_S + 60 * MINUTE_S)
    story.go()
    assert in_prod(story) == first
    assert_proved(story)


def test_a_release_that_recovers_in_time_stays(story: Story) -> None:
    _, second = releases(story)
    story.change_policy(environment_path("prod"), prod_that_rolls_back())
    see(story, "prod", "Degraded")
    story.use(clock=lambda: CLOCK_S + 10 * MINUTE_S)
    see(story, "prod", "Healthy", CLOCK_S + 9 * MINUTE_S)
    assert in_prod(story) == second
    assert_proved(story)


def test_without_an_earlier_healthy_release_policy_says_so(story: Story) -> None:
    roll_back(story)
    story.go()
    lift = story.engine.proposer.propose_lift(DRAFT, "prod", reason="The cause is known")
    bring_promotion(story, lift.promotion, *PROD_APPROVERS, asker=ENGINEER_ID)
    story.change_policy(environment_path("prod"), prod_that_rolls_back(0))
    see(story, "prod", "Degraded")
    assert waiting(story) == ["rollback-without-target"]


# -- the queue -----------------------------------------------------------------------------


def test_a_newer_request_replaces_one_that_waits(story: Story) -> None:
    first = story.engine.proposer.propose_rollback(DRAFT, "prod", reason="Slow").promotion
    bring_promotion(story, first, PROD_APPROVERS[1])
    story.go()
    assert set(waiting(story)) == {"approval-missing"}
    newer = first.model_copy(update={"reason": "Slow, and wrong"})
    bring_promotion(story, newer, *PROD_APPROVERS)
    story.go()
    kinds = story.kinds()
    assert kinds[-2:] == ["promotion-superseded", "promoted"]
    told = story.engine.facts(DRAFT)[-2]
    assert isinstance(told.body, PromotionSuperseded)
    assert told.body.commit != told.cause.commit and told.body.blob != told.cause.blob
    assert_proved(story)


def test_a_hotfix_that_stays_goes_further_only_by_a_person(story: Story) -> None:
    story.write("0003", f"{SOURCE}/routing.py", "QUICK = 3\n")
    story.go()
    dev = story.engine.propose_promotion(DRAFT, "dev", reason="Fix", goes_further=False).promotion
    bring_promotion(story, dev, ENGINEER_ID, asker=AGENT_ID)
    story.go()
    pull = story.engine.status(DRAFT).pull_request
    assert pull is not None
    story.take_over(pull.number)
    ahead = story.engine.propose_promotion(DRAFT, "staging", reason="On").promotion
    bring_promotion(story, ahead, PROD_APPROVERS[0], asker=AGENT_ID)
    story.go()
    assert waiting(story) == ["release-stays"]
    mine = ahead.model_copy(update={"reason": "It is right there too"})
    bring_promotion(story, mine, PROD_APPROVERS[0], asker=ENGINEER_ID)
    story.go()
    assert story.kinds()[-1] == "promoted"
    assert_proved(story)


# -- retirement ----------------------------------------------------------------------------


def test_a_retired_primitive_leaves_the_last_environment_first_and_its_draft_ends(
    story: Story,
) -> None:
    story.write("0003", f"{SOURCE}/routing.py", "QUICK = 3\n")
    story.go()
    ahead = story.engine.propose_promotion(DRAFT, "prod", reason="Again").promotion
    bring_promotion(story, ahead, PROD_APPROVERS[0])
    retire(story)
    story.go()
    left = [f.body.environment for f in story.engine.facts(DRAFT) if f.body.type == "retired"]
    assert left == ["prod", "staging", "dev"]
    status = story.engine.status(DRAFT)
    assert status.state is DraftState.REJECTED and status.promotions == ()
    assert story.kinds()[-5:] == ["promotion-refused", *["retired"] * 3, "rejected"]
    assert status.pull_request is not None
    assert story.forge.read_pull(CODE, status.pull_request.number).state is PullState.CLOSED
    view = story.forge.read_repo(GITOPS)
    assert view is not None and view.head is not None
    assert story.forge.open_repository(GITOPS).list_files(view.head, "environments") == {}
    assert story.engine.facts(DRAFT)[-1].body.reason == "retired: The new router took over"  # type: ignore[union-attr]  # it is `rejected`
    assert_proved(story)


def test_a_retirement_without_approval_waits_and_the_draft_goes_on(story: Story) -> None:
    retire(story, AGENT_ID, SECURITY_ID)
    story.go()
    assert waiting(story) == ["approval-missing"]
    assert story.engine.status(DRAFT).promotion("prod") is not None
    assert report(story, "prod", "Healthy").environment == "prod"
