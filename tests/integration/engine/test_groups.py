"""Release groups on a real forge: all members move or none, whatever comes between."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from unittest import mock

import pytest

from pipeline import api
from pipeline.errors import Refused
from pipeline.gate.explain import explain_clauses
from pipeline.gate.standing import Standing, check_groups
from pipeline.models.base import moment_of
from pipeline.models.facts import Promoted, PromotionRefused, PromotionSuperseded
from pipeline.plan.effects import Effect
from pipeline.plan.ports import no_faults
from pipeline.requests.layout import BLOCKED_PATH, STOP_PATH, environment_path, promotion_path
from tests.support.clocks import SetClock
from tests.support.command_line import Ran, call
from tests.support.fact_history import ENGINEER_ID, PLATFORM_ENGINEERS
from tests.support.finished_story import promotion_of, replace_in, rewrite
from tests.support.group_story import (
    APPROVERS,
    MEMBERS,
    NAME,
    OWNERS,
    PATH,
    TENANTS,
    ask_for_group,
    assert_proved,
    go,
    group_story,
    runs_in,
    waiting,
)
from tests.support.samples import DRAFT, sample_files
from tests.support.story import Story
from tests.support.sweep import CONTOSO_ENGINEER_ID, RATING, Crash
from worlds.control_repo import CLOCK_S

HOUR_S = 3600
NOBODY = PLATFORM_ENGINEERS[1]  # may merge, and approves nothing of staging
STOP = b"""apiVersion: pipeline.ameide.io/v1
kind: Stop
stops: [{reason: The gateway drops requests, tenants: [contoso]}]
"""


@pytest.fixture
def clock() -> SetClock:
    return SetClock(CLOCK_S)


@pytest.fixture
def begun(tmp_path: Path, clock: SetClock) -> Iterator[Story]:
    """Both members are scaffolded."""
    story = group_story(tmp_path / "world")
    story.use(clock=clock)
    yield story
    story.close()


@pytest.fixture
def in_dev(tmp_path: Path, clock: SetClock) -> Iterator[Story]:
    """Both members run in dev, and their code is merged."""
    story = group_story(tmp_path / "world", "dev")
    story.use(clock=clock)
    yield story
    story.close()


def newest(story: Story, draft: str) -> object:
    return story.engine.facts(draft)[-1].body


def crash(when: Literal["before", "after"], kind: str) -> object:
    """A hook that ends the process at the first effect of a kind."""

    def hook(now: Literal["before", "after"], effect: Effect) -> None:
        if (now, effect.kind) == (when, kind):
            raise Crash(f"{when} {kind}")

    return hook


def crash_after_the_first_merge(story: Story) -> None:
    """Stop a run just after acme's overlay was merged, before its fact was recorded."""
    story.use(faults=crash("after", "merge-pull"))
    with pytest.raises(Crash):
        story.engine.run(tenants=TENANTS)
    story.use(faults=no_faults)


def block(story: Story, draft: str) -> None:
    """Block the image that dev runs of a draft."""
    record = story.engine.status(draft).promotion("dev")
    assert record is not None
    content = api.block_digest(story.engine, record.release.digest, reason="It leaks").content
    story.change_policy(BLOCKED_PATH, content)


def lift_stop(story: Story) -> None:
    number = story.propose({STOP_PATH: None}, PLATFORM_ENGINEERS[1])
    story.approve("control", number, PLATFORM_ENGINEERS[0])
    story.merge("control", number, PLATFORM_ENGINEERS[0])


def by_command(story: Story, *arguments: str) -> Ran:
    """The result of a command in the world's own checkout, whose origin is its own forge."""
    checkout = story.root / "control"
    origin = ["remote", "set-url", "origin", str(story.forge.path("control"))]
    subprocess.run(["git", "-C", str(checkout), *origin], check=True)
    return call(checkout, *arguments)


def half_applied(story: Story) -> list[str]:
    found = check_groups(Standing.of(s.model_dump(mode="json")) for s in story.engine.statuses())
    return [f"{finding.message}; {finding.help}" for finding in found]


def test_both_members_move_in_one_run_and_are_proved(begun: Story) -> None:
    ask_for_group(begun, "dev", *OWNERS)
    go(begun)
    assert runs_in(begun, "dev") == list(MEMBERS)
    for draft in MEMBERS:
        (body,) = [f.body for f in begun.engine.facts(draft) if isinstance(f.body, Promoted)]
        assert body.group is not None and body.group.name == NAME
        assert PATH in begun.engine.status(draft).requests
    assert_proved(begun)


def test_a_group_needs_the_approvals_of_every_member(begun: Story) -> None:
    ask_for_group(begun, "dev", ENGINEER_ID)
    go(begun)
    assert runs_in(begun, "dev") == []
    # acme's own approval is there; contoso's is missing, and it is one authority over both.
    assert {code for codes in waiting(begun).values() for code in codes} >= {"approval-missing"}
    assert waiting(begun).keys() == set(MEMBERS)
    begun.approve("control", len(begun.world.numbers), CONTOSO_ENGINEER_ID)
    go(begun)
    assert runs_in(begun, "dev") == list(MEMBERS)
    assert_proved(begun)


def test_members_go_on_to_staging_together(in_dev: Story) -> None:
    ask_for_group(in_dev, "staging", *APPROVERS["staging"])
    go(in_dev)
    assert runs_in(in_dev, "staging") == list(MEMBERS)
    assert_proved(in_dev)


def test_one_stopped_member_holds_the_other(in_dev: Story) -> None:
    in_dev.change_policy(STOP_PATH, STOP)
    ask_for_group(in_dev, "staging", *APPROVERS["staging"])
    go(in_dev)
    assert runs_in(in_dev, "staging") == []
    assert waiting(in_dev) == {DRAFT: ["group-member-waits"], RATING: ["promotion-stopped"]}
    evidence, _ = in_dev.engine.evidence(DRAFT, "staging")
    (answer,) = [a for a in explain_clauses(evidence) if a.clause == "group"]
    assert [r.message for r in answer.reasons] == [
        f"{RATING} waits: promotion-stopped: stopped: The gateway drops requests"
    ]
    assert answer.evidence == f"{RATING} waits"
    lift_stop(in_dev)
    go(in_dev)
    assert runs_in(in_dev, "staging") == list(MEMBERS)
    assert_proved(in_dev)


def test_a_member_that_can_never_move_refuses_all(in_dev: Story) -> None:
    ask_for_group(in_dev, "staging", *APPROVERS["staging"])
    block(in_dev, RATING)
    go(in_dev)
    assert runs_in(in_dev, "staging") == []
    told = {}
    for draft in MEMBERS:
        body = newest(in_dev, draft)
        assert isinstance(body, PromotionRefused)
        told[draft] = [reason.code for reason in body.reasons]
    assert told[DRAFT] == ["group-member-refused"] and told[RATING][0] == "digest-blocked"
    assert half_applied(in_dev) == []
    assert_proved(in_dev, "audit-digest-blocked")


def test_a_group_that_began_goes_on_in_a_freeze(in_dev: Story, clock: SetClock) -> None:
    path = environment_path("staging")
    freeze = f"""windows:
  - name: year-end
    effect: deny
    zone: UTC
    from: {moment_of(CLOCK_S + HOUR_S)[:-1]}
    to: {moment_of(CLOCK_S + 2 * HOUR_S)[:-1]}
    reason: The books are closed
"""
    in_dev.change_policy(path, sample_files()[path] + freeze.encode())
    ask_for_group(in_dev, "staging", *APPROVERS["staging"])
    crash_after_the_first_merge(in_dev)
    clock.now_s = CLOCK_S + HOUR_S
    go(in_dev)
    assert runs_in(in_dev, "staging") == list(MEMBERS)
    first, second = (in_dev.engine.facts(draft)[-1] for draft in MEMBERS)
    assert isinstance(first.body, Promoted) and isinstance(second.body, Promoted)
    assert first.body.group == second.body.group
    assert first.decided_at == moment_of(CLOCK_S)
    assert second.decided_at == moment_of(CLOCK_S + HOUR_S)
    assert_proved(in_dev)


def test_a_group_that_did_not_begin_waits_for_a_freeze(in_dev: Story, clock: SetClock) -> None:
    path = environment_path("staging")
    freeze = f"""windows:
  - name: contoso-sale
    effect: deny
    zone: UTC
    from: {moment_of(CLOCK_S - HOUR_S)[:-1]}
    to: {moment_of(CLOCK_S + HOUR_S)[:-1]}
    tenants: [contoso]
    reason: It sells today
"""
    in_dev.change_policy(path, sample_files()[path] + freeze.encode())
    ask_for_group(in_dev, "staging", *APPROVERS["staging"])
    go(in_dev)
    assert runs_in(in_dev, "staging") == []
    decision, _ = in_dev.engine.decide(DRAFT, "staging")
    assert [reason.until_s for reason in decision.reasons] == [CLOCK_S + HOUR_S]
    clock.now_s = CLOCK_S + HOUR_S
    go(in_dev)
    assert runs_in(in_dev, "staging") == list(MEMBERS)
    assert_proved(in_dev)


def test_a_stop_after_the_first_move_is_said_and_the_rest_follows_once_it_is_lifted(
    in_dev: Story,
) -> None:
    ask_for_group(in_dev, "staging", *APPROVERS["staging"])
    crash_after_the_first_merge(in_dev)
    in_dev.change_policy(STOP_PATH, STOP)
    go(in_dev)
    assert runs_in(in_dev, "staging") == [DRAFT]
    assert waiting(in_dev) == {RATING: ["promotion-stopped", "group-half-applied"]}
    lift_stop(in_dev)
    go(in_dev)
    assert runs_in(in_dev, "staging") == list(MEMBERS)
    assert_proved(in_dev)


def test_a_refusal_after_the_first_move_is_said_until_it_is_undone(in_dev: Story) -> None:
    ask_for_group(in_dev, "staging", *APPROVERS["staging"])
    crash_after_the_first_merge(in_dev)
    block(in_dev, RATING)
    go(in_dev)
    assert runs_in(in_dev, "staging") == [DRAFT]
    body = newest(in_dev, RATING)
    assert isinstance(body, PromotionRefused)
    assert [reason.code for reason in body.reasons] == ["digest-blocked", "group-half-applied"]
    undo = f"`pipeline rollback {DRAFT} --env staging`"
    assert undo in body.reasons[1].message
    assert half_applied(in_dev) == [
        f"staging runs {DRAFT}, and {RATING} was refused; "
        f"undo it: {undo}; or ask for the rest again"
    ]
    assert_proved(in_dev, "audit-digest-blocked")
    in_dev.request(
        promotion_path(DRAFT, "staging"),
        promotion_of(in_dev.world, DRAFT, "staging"),
        *APPROVERS["staging"],
    )
    go(in_dev)
    assert half_applied(in_dev) == []


def test_a_newer_request_for_one_member_refuses_the_waiting_group(in_dev: Story) -> None:
    ask_for_group(in_dev, "staging", NOBODY)
    go(in_dev)
    assert waiting(in_dev).keys() == set(MEMBERS)
    in_dev.ask(DRAFT, "staging", *APPROVERS["staging"])
    go(in_dev)
    replaced, moved = (fact.body for fact in in_dev.engine.facts(DRAFT)[-2:])
    assert isinstance(replaced, PromotionSuperseded) and replaced.request == PATH
    assert isinstance(moved, Promoted) and moved.group is None
    body = newest(in_dev, RATING)
    assert isinstance(body, PromotionRefused)
    assert "group-member-refused" in [reason.code for reason in body.reasons]
    assert runs_in(in_dev, "staging") == [DRAFT] and half_applied(in_dev) == []
    assert_proved(in_dev)


def test_a_newer_group_replaces_a_members_waiting_request(in_dev: Story) -> None:
    in_dev.ask(DRAFT, "staging", NOBODY)
    go(in_dev)
    ask_for_group(in_dev, "staging", *APPROVERS["staging"])
    go(in_dev)
    replaced, moved = (fact.body for fact in in_dev.engine.facts(DRAFT)[-2:])
    assert isinstance(replaced, PromotionSuperseded)
    assert replaced.request == promotion_path(DRAFT, "staging")
    assert isinstance(moved, Promoted) and moved.group is not None
    assert runs_in(in_dev, "staging") == list(MEMBERS)
    assert_proved(in_dev)


def test_a_changed_group_replaces_its_waiting_former_revision(in_dev: Story) -> None:
    ask_for_group(in_dev, "staging", NOBODY)
    ask_for_group(in_dev, "staging", *APPROVERS["staging"], reason="They still belong together")
    go(in_dev)
    for draft in MEMBERS:
        replaced, moved = (fact.body for fact in in_dev.engine.facts(draft)[-2:])
        assert isinstance(replaced, PromotionSuperseded) and isinstance(moved, Promoted)
    assert_proved(in_dev)


def test_owners_of_both_repositories_approve_before_either_is_merged(in_dev: Story) -> None:
    path = environment_path("staging")
    in_dev.change_policy(path, sample_files()[path].replace(b"merge: auto", b"merge: manual"))
    ask_for_group(in_dev, "staging", *APPROVERS["staging"])
    go(in_dev)
    assert waiting(in_dev) == {d: ["gitops-not-approved"] for d in MEMBERS}
    pulls = {
        draft: max(p.number for p in in_dev.forge.read_pulls(f"tenant-{tenant}-gitops"))
        for draft, tenant in zip(MEMBERS, TENANTS, strict=True)
    }
    in_dev.approve("tenant-acme-gitops", pulls[DRAFT], ENGINEER_ID)
    go(in_dev)
    assert runs_in(in_dev, "staging") == []
    assert waiting(in_dev) == {DRAFT: ["group-member-waits"], RATING: ["gitops-not-approved"]}
    in_dev.approve("tenant-contoso-gitops", pulls[RATING], CONTOSO_ENGINEER_ID)
    go(in_dev)
    assert runs_in(in_dev, "staging") == list(MEMBERS)
    assert_proved(in_dev)


def test_a_group_is_not_asked_for_while_a_member_could_never_move(in_dev: Story) -> None:
    block(in_dev, RATING)
    with pytest.raises(Refused) as refused:
        ask_for_group(in_dev, "staging")
    assert {finding.code for finding in refused.value.findings} == {"digest-blocked"}


def test_a_moment_at_which_no_member_was_decided_is_found(in_dev: Story) -> None:
    ask_for_group(in_dev, "staging", *APPROVERS["staging"])
    earlier = "pipeline.stages.promote.moment_of"
    with mock.patch(earlier, lambda time_s: moment_of(time_s - HOUR_S)):
        go(in_dev)
    assert runs_in(in_dev, "staging") == list(MEMBERS)
    assert_proved(in_dev, "audit-group-differs")


def test_a_tampered_chain_of_one_member_holds_all(in_dev: Story) -> None:
    ask_for_group(in_dev, "staging", *APPROVERS["staging"])
    rewrite(
        in_dev.world,
        "control",
        "state/contoso",
        replace_in("drafts/supplier-rating/facts/000003-scaffolded.json", b"run-1", b"run-2"),
    )
    in_dev.engine.run(tenants=["acme"])
    assert runs_in(in_dev, "staging") == []
    (reason,) = in_dev.engine.decide(DRAFT, "staging")[0].reasons
    assert reason.code == "group-member-waits" and "state-tampered" in reason.message


def test_the_command_line_asks_for_a_group(begun: Story) -> None:
    asked = ("promote", "group", NAME, *MEMBERS, "--env", "dev", "--reason", "Together")
    ran = by_command(begun, *asked, "--format", "json")
    assert ran.exit_code == 0, ran.err
    assert (ran.document["path"], ran.document["outcome"]) == (PATH, "written")
    told = by_command(begun, *asked)
    assert told.exit_code == 0 and f"dev would run {DRAFT}, {RATING} together" in told.out
    unknown = by_command(begun, *asked[:3], DRAFT, "acme/nothing", *asked[5:])
    assert unknown.exit_code == 2 and "acme/nothing" in unknown.err
    named = by_command(begun, *asked[:2], "../x", *asked[3:])
    assert named.exit_code == 2 and "is no name of a release group" in named.err


def test_a_single_draft_s_status_tells_of_the_other_member(in_dev: Story) -> None:
    ask_for_group(in_dev, "staging", *APPROVERS["staging"])
    crash_after_the_first_merge(in_dev)
    block(in_dev, RATING)
    go(in_dev)
    for draft in MEMBERS:
        ran = by_command(in_dev, "status", draft)
        assert "group-half-applied" in ran.out, ran.out


def test_idle_runs_remember_members_of_groups(in_dev: Story) -> None:
    ask_for_group(in_dev, "staging", *APPROVERS["staging"])
    go(in_dev)
    assert go(in_dev).rounds == 0
    assert in_dev.engine.plan_due(tenants=TENANTS).is_empty
