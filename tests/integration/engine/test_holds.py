"""Freezes, stops and waivers in a whole world: what waits, what goes on, what is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.models.base import moment_of
from pipeline.models.facts import Promoted
from pipeline.requests.layout import STOP_PATH, environment_path, waiver_path
from tests.support.clocks import SetClock
from tests.support.fact_history import PLATFORM_ENGINEERS, RELEASE_MANAGERS, SECURITY_ID
from tests.support.finished_story import audit
from tests.support.samples import DRAFT, sample_files
from tests.support.story import Story, story_at
from worlds.control_repo import CLOCK_S

HOUR_S, DAY_S = 3600, 86_400
OWNER, OTHER_OWNER = PLATFORM_ENGINEERS


@pytest.fixture
def staged(tmp_path: Path, clock: SetClock) -> Iterator[Story]:
    """A draft that staging runs."""
    story = story_at("in staging", tmp_path / "world")
    story.use(clock=clock)
    yield story
    story.close()


def policy(story: Story, path: str, content: bytes | None) -> None:
    """A change of policy that one owner asks for and another one approves."""
    number = story.propose({path: content}, OWNER)
    story.approve("control", number, OTHER_OWNER)
    story.merge("control", number, OTHER_OWNER)


def freeze(story: Story, begin_s: int, end_s: int) -> None:
    """A freeze of prod between two moments."""
    path = environment_path("prod")
    text = f"""windows:
  - name: year-end
    effect: deny
    zone: UTC
    from: {moment_of(begin_s)[:-1]}
    to: {moment_of(end_s)[:-1]}
    reason: The books are closed
"""
    policy(story, path, sample_files()[path] + text.encode())


def ask_for_prod(story: Story) -> None:
    story.ask(DRAFT, "prod", RELEASE_MANAGERS[0], SECURITY_ID)
    story.go()


def waits_for(story: Story) -> list[str]:
    """The codes of what the draft's promotions wait for."""
    (plan,) = story.engine.plan(tenants=["acme"]).tenants
    return [code for waiting in plan.waiting for code, _ in waiting.reasons]


def prod(story: Story) -> Promoted | None:
    """The newest fact, if it is that prod got the release."""
    body = story.engine.facts(DRAFT)[-1].body
    return body if isinstance(body, Promoted) and body.environment == "prod" else None


def waiver(story: Story, begin_s: int, end_s: int, rule: str = "window-closed") -> bytes:
    digest = story.engine.status(DRAFT).promotions[0].release.digest
    return f"""apiVersion: pipeline.ameide.io/v1
kind: Waiver
draft: {DRAFT}
environment: prod
rule: {rule}
digest: {digest}
starts: {moment_of(begin_s)}
expires: {moment_of(end_s)}
reason: A customer cannot wait
""".encode()


def test_a_freeze_ends_by_itself_and_the_audit_decides_at_that_time(
    staged: Story, clock: SetClock
) -> None:
    end_s = CLOCK_S + HOUR_S
    freeze(staged, CLOCK_S - HOUR_S, end_s)
    ask_for_prod(staged)
    assert waits_for(staged) == ["window-closed"]
    decision, _ = staged.engine.decide(DRAFT, "prod")
    assert [reason.until_s for reason in decision.reasons] == [end_s]
    clock.now_s = end_s - 1
    staged.go()
    assert prod(staged) is None
    clock.now_s = end_s
    staged.go()
    assert prod(staged) is not None and waits_for(staged) == []
    assert staged.engine.facts(DRAFT)[-1].decided_at == moment_of(end_s)
    assert audit(staged.world).findings == ()


def test_a_stop_holds_what_waits_and_lifting_it_lets_it_go_on(staged: Story) -> None:
    stop = b"""apiVersion: pipeline.ameide.io/v1
kind: Stop
stops: [{reason: The gateway drops requests, environments: [prod]}]
"""
    policy(staged, STOP_PATH, stop)
    ask_for_prod(staged)
    assert waits_for(staged) == ["promotion-stopped"] and prod(staged) is None
    policy(staged, STOP_PATH, None)
    staged.go()
    assert prod(staged) is not None
    assert audit(staged.world).findings == ()


def test_a_waiver_lets_one_release_through_and_its_use_is_recorded_and_proved(
    staged: Story,
) -> None:
    freeze(staged, CLOCK_S - HOUR_S, CLOCK_S + 30 * DAY_S)
    path = waiver_path(DRAFT, "customer")
    content = waiver(staged, CLOCK_S - HOUR_S, CLOCK_S + DAY_S)
    staged.request(path, content, OWNER)
    ask_for_prod(staged)
    promoted = prod(staged)
    assert promoted is not None
    (used,) = promoted.waived
    assert (used.rule, used.request, used.approved_by) == ("window-closed", path, (OWNER,))
    assert used.brought is not None and used.brought.author != OWNER
    # It asks the pipeline for nothing, so the draft rests.
    assert staged.engine.reader.world().drafts.look_at("acme").views == ()
    report = audit(staged.world)
    assert report.findings == () and report.proved["waivers held to their requests"] == 1


@pytest.mark.parametrize("by", ["nobody who may", "a clock that goes back", "another rule"])
def test_a_waiver_that_does_not_count_lets_nothing_through(
    staged: Story, clock: SetClock, by: str
) -> None:
    freeze(staged, CLOCK_S - 30 * DAY_S, CLOCK_S + 30 * DAY_S)
    path, begin_s, end_s = waiver_path(DRAFT, "customer"), CLOCK_S - DAY_S, CLOCK_S + DAY_S
    if by == "a clock that goes back":
        # The newest fact was decided when the waiver had ended.
        clock.now_s, end_s = CLOCK_S - HOUR_S, CLOCK_S
    rule = "check-failed" if by == "another rule" else "window-closed"
    number = staged.propose({path: waiver(staged, begin_s, end_s, rule)}, 1901)
    staged.approve("control", number, 1201 if by == "nobody who may" else OWNER)
    staged.merge("control", number, OWNER)
    ask_for_prod(staged)
    assert prod(staged) is None and waits_for(staged) == ["window-closed"]
