"""Facts say when: by the clock of the decision, and by the world's own where it has one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from pipeline.errors import StalePlan
from pipeline.gate import authorise
from pipeline.gate.authorise import DecisionReason, Evidence
from pipeline.gate.rules import CHECK_MISSING
from pipeline.models.base import Moment, moment_of
from pipeline.models.facts import Fact, Promoted
from pipeline.plan.effects import Effect, Plan
from pipeline.render.audit import render_log
from tests.support.clocks import SetClock
from tests.support.fact_history import ENGINEER_ID, RELEASE_MANAGERS
from tests.support.finished_story import CONTROL, GITOPS, audit
from tests.support.samples import DRAFT
from tests.support.story import Story, story_at
from tests.support.sweep import Crash
from worlds.control_repo import CLOCK_S

HOUR_S = 3600


@pytest.fixture
def patched(tmp_path: Path, clock: SetClock) -> Iterator[Story]:
    """A draft that is about to go to dev."""
    story = story_at("patched", tmp_path / "world")
    story.use(clock=clock)
    yield story
    story.close()


def newest(story: Story) -> Fact:
    return story.engine.facts(DRAFT)[-1]


def promotion(fact: Fact) -> Promoted:
    assert isinstance(fact.body, Promoted)
    return fact.body


def dated(story: Story, repo: str, commit: str) -> Moment:
    return moment_of(story.forge.open_repository(repo).read_commit(commit).committer.time_s)


def break_off(story: Story, when: Literal["before", "after"], kind: str) -> None:
    """One run that ends hard at an effect of a kind."""

    def hook(at: Literal["before", "after"], effect: Effect) -> None:
        if (at, effect.kind) == (when, kind):
            raise Crash(kind)

    faults = story.engine.tools.faults
    story.use(faults=hook)
    with pytest.raises(Crash):
        story.engine.run(tenants=["acme"])
    story.use(faults=faults)


# -- what facts say --------------------------------------------------------------------------


def test_each_fact_says_when_it_was_decided_and_what_the_world_says(
    patched: Story, clock: SetClock
) -> None:
    patched.ask(DRAFT, "dev", ENGINEER_ID)
    clock.now_s += HOUR_S
    patched.go()
    *_, built, promoted = patched.engine.facts(DRAFT)
    body, cause = promotion(promoted), promoted.cause
    now = moment_of(clock.now_s)
    assert (built.decided_at, promoted.decided_at, body.merged_at) == (now, now, now)
    assert body.merged_at == dated(patched, GITOPS, body.gitops_commit)
    made = patched.forge.open_repository(GITOPS).read_commit(body.gitops_commit).parents[1]
    assert dated(patched, GITOPS, made) == cause.merged_at == dated(patched, CONTROL, cause.commit)
    assert cause.brought and [r.at for r in cause.brought.reviews] == [moment_of(CLOCK_S)]
    status = patched.engine.status(DRAFT)
    running = status.promotion("dev")
    assert running and (status.decided_at, running.merged_at) == (now, now)
    shown = render_log(DRAFT, patched.engine.facts(DRAFT))
    assert "   7  2026-01-01 01:05Z  promoted " in shown
    assert f"{cause.commit[:12]}, merged 2026-01-01 00:01Z, account" in shown
    assert audit(patched.world).findings == ()


def test_a_promotion_found_merged_after_a_crash_takes_the_time_of_its_merge(
    patched: Story, clock: SetClock
) -> None:
    number = patched.ask(DRAFT, "dev", ENGINEER_ID)
    break_off(patched, "after", "merge-pull")
    merged = moment_of(clock.now_s)
    # Somebody else approves, who had no part in what was merged.
    patched.approve(CONTROL, number, RELEASE_MANAGERS[0])
    clock.now_s += HOUR_S
    patched.go()
    fact = newest(patched)
    assert (fact.decided_at, promotion(fact).merged_at) == (merged, merged)
    assert fact.cause.brought is not None
    assert audit(patched.world).findings == ()


def test_what_is_found_on_a_branch_takes_our_clock(patched: Story, clock: SetClock) -> None:
    patched.write("0002", "docs/routing.md", "# Routing\n")
    break_off(patched, "after", "commit-folder")
    clock.now_s += HOUR_S
    patched.go()
    applied = [f for f in patched.engine.facts(DRAFT) if f.body.type == "patch-applied"][-1]
    assert applied.decided_at == moment_of(clock.now_s)
    assert audit(patched.world).findings == ()


# -- saved plans -----------------------------------------------------------------------------


def read_again(plan: Plan) -> Plan:
    return Plan.model_validate_json(plan.model_dump_json(by_alias=True))


def test_a_saved_plan_is_not_stale_for_being_old(patched: Story, clock: SetClock) -> None:
    patched.write("0002", "docs/routing.md", "# Routing\n")
    plan = read_again(patched.engine.plan(tenants=["acme"]))
    assert plan.made_at == moment_of(CLOCK_S)
    clock.now_s += 48 * HOUR_S
    patched.engine.apply(plan)
    assert newest(patched).decided_at == moment_of(clock.now_s), "no file sets a decision back"


def test_a_plan_of_tomorrow_is_refused(patched: Story, clock: SetClock) -> None:
    patched.write("0002", "docs/routing.md", "# Routing\n")
    plan = read_again(patched.engine.plan(tenants=["acme"]))
    tomorrow = plan.model_copy(update={"made_at": moment_of(CLOCK_S + 24 * HOUR_S)})
    with pytest.raises(StalePlan, match="made at 2026-01-02T00:05:00Z, and it is 2026-01-01T00:05"):
        patched.engine.apply(tomorrow)


def until(end_s: int, *, environment: str = "dev", opens: bool = False) -> authorise.Clause:
    """A clause that refuses an environment from a moment on, or until then."""

    def clause(e: Evidence) -> Iterator[DecisionReason]:
        closed = e.now_s < end_s if opens else e.now_s >= end_s
        if closed and e.environment.environment == environment:
            yield DecisionReason(CHECK_MISSING.id, "it is closed now", final=False)

    return clause


def at_the_merge(story: Story) -> Plan:
    """The saved plan of a promotion to dev, once all but its overlay is done."""
    story.ask(DRAFT, "dev", ENGINEER_ID)
    break_off(story, "before", "merge-pull")
    return read_again(story.engine.plan(tenants=["acme"]))


def test_what_is_allowed_no_more_is_not_applied(
    patched: Story, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = at_the_merge(patched)
    clauses = (*authorise.CLAUSES, until(CLOCK_S + HOUR_S))
    monkeypatch.setattr(authorise, "CLAUSES", clauses)
    clock.now_s += HOUR_S
    with pytest.raises(StalePlan, match="since 2026-01-01T00:05:00Z it is allowed no more to "):
        patched.engine.apply(plan)
    clock.now_s -= 1
    patched.engine.apply(plan)
    assert promotion(newest(patched)).environment == "dev"


def test_what_time_allows_meanwhile_is_left_to_the_next_plan(
    patched: Story, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clauses = (*authorise.CLAUSES, until(CLOCK_S + HOUR_S, opens=True))
    monkeypatch.setattr(authorise, "CLAUSES", clauses)
    patched.ask(DRAFT, "dev", ENGINEER_ID)
    patched.go()
    other = "acme/price-list"
    patched.ask_for_draft(other)
    plan = read_again(patched.engine.plan(tenants=["acme"]))
    assert [w.draft for t in plan.tenants for w in t.waiting] == [DRAFT]
    clock.now_s += HOUR_S
    patched.engine.apply(plan)
    assert newest(patched).body.type != "promoted"
    assert patched.kinds(other) == ["accepted", "provisioned"]
