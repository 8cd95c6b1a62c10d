"""A soak in a whole world: what is recorded, when it is over, and what the audit says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.gate import authorise
from pipeline.gate.soak import clause_soak
from pipeline.models.base import moment_of
from pipeline.models.facts import Observed
from pipeline.requests.layout import environment_path
from tests.support.clocks import SetClock
from tests.support.fact_history import RELEASE_MANAGERS, SECURITY_ID
from tests.support.finished_story import audit
from tests.support.samples import DRAFT, sample_files
from tests.support.second_day import report
from tests.support.story import SOURCE, Story, story_at
from worlds.control_repo import CLOCK_S

HOUR_S = 3600
SOAK = "soak: {hours: 8, lanes: [security]}\n"


@pytest.fixture
def staged(tmp_path: Path, clock: SetClock) -> Iterator[Story]:
    """A draft that staging runs and prod is asked to run, after a soak of eight hours."""
    story = story_at("in staging", tmp_path / "world")
    story.use(clock=clock)
    path = environment_path("prod")
    story.change_policy(path, sample_files()[path] + SOAK.encode())
    ask(story)
    yield story
    story.close()


def ask(story: Story) -> None:
    story.ask(DRAFT, "prod", RELEASE_MANAGERS[0], SECURITY_ID)
    story.go()


def see(story: Story, clock: SetClock, minutes: int, health: str = "Healthy") -> None:
    """A report on staging, some minutes after the beginning, and a run."""
    clock.now_s = CLOCK_S + minutes * 60
    told = report(story, "staging", health, clock.now_s)
    ran = story.engine.run(tenants=["acme"], observations=(told,))
    assert ran.failures == (), ran.failures


def runs_in_prod(story: Story) -> bool:
    return story.engine.status(DRAFT).promotion("prod") is not None


def seen(story: Story) -> list[str]:
    """The health in the facts of observations."""
    bodies = [fact.body for fact in story.engine.facts(DRAFT)]
    return [body.observation.health for body in bodies if isinstance(body, Observed)]


def test_a_release_passes_once_it_was_seen_healthy_for_long_enough(
    staged: Story, clock: SetClock
) -> None:
    decision, _ = staged.engine.decide(DRAFT, "prod")
    assert [reason.code for reason in decision.reasons] == ["soak-unknown"]
    for hour in range(8):
        see(staged, clock, hour * 60)
    assert not runs_in_prod(staged) and seen(staged) == ["Healthy"] * 3
    decision, _ = staged.engine.decide(DRAFT, "prod")
    (reason,) = decision.reasons
    assert (reason.code, reason.until_s) == ("soak-not-over", CLOCK_S + 8 * HOUR_S)
    see(staged, clock, 8 * 60)
    assert runs_in_prod(staged) and seen(staged) == ["Healthy"] * 4
    found = audit(staged.world)
    assert found.findings == (), found.findings


def test_ill_health_and_silence_begin_it_anew(staged: Story, clock: SetClock) -> None:
    for minutes, health in ((0, "Healthy"), (300, "Healthy"), (310, "Degraded"), (320, "Healthy")):
        see(staged, clock, minutes, health)
    see(staged, clock, 8 * 60)
    assert not runs_in_prod(staged)
    # Nobody looks for more than six hours.
    see(staged, clock, 16 * 60)
    assert not runs_in_prod(staged)
    assert seen(staged)[-2:] == ["Unknown", "Healthy"]
    see(staged, clock, 20 * 60)
    see(staged, clock, 24 * 60)
    assert runs_in_prod(staged)
    assert audit(staged.world).findings == ()


def test_a_newer_candidate_takes_nothing_from_the_older_one(staged: Story, clock: SetClock) -> None:
    staged.change_policy(environment_path("prod"), _with_a_window())
    for minutes in (0, 240, 480):
        see(staged, clock, minutes)
    assert not runs_in_prod(staged)
    (run,) = staged.engine.status(DRAFT).runs_in(("staging",))
    staged.write("0002", f"{SOURCE}/routing.py", "QUICK = 2\n")
    staged.go()
    staged.ask(DRAFT, "dev", 1201)
    staged.go()
    pull = staged.engine.status(DRAFT).pull_request
    assert pull is not None
    staged.take_over(pull.number)
    staged.ask(DRAFT, "staging", RELEASE_MANAGERS[0])
    staged.go()
    older, newer = staged.engine.status(DRAFT).runs_in(("staging",))
    assert older.until == newer.since and newer.healthy_since is None
    clock.now_s += 24 * HOUR_S
    staged.go()
    record = staged.engine.status(DRAFT).promotion("prod")
    assert record is not None and record.release == run.release
    assert audit(staged.world).findings == ()


def test_the_audit_finds_what_was_promoted_without_its_soak(
    staged: Story, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(staged, clock, 0)
    with monkeypatch.context() as patch:
        left = tuple(clause for clause in authorise.CLAUSES if clause is not clause_soak)
        patch.setattr(authorise, "CLAUSES", left)
        see(staged, clock, 240)
        assert runs_in_prod(staged)
    (found,) = audit(staged.world).findings
    assert found.code == "audit-gate" and "soak-not-over" in found.message


def _with_a_window() -> bytes:
    """prod's policy with the soak, and a freeze of a day from the eighth hour on."""
    path = environment_path("prod")
    text = f"""windows:
  - name: freeze
    effect: deny
    zone: UTC
    from: {moment_of(CLOCK_S + 7 * HOUR_S)[:-1]}
    to: {moment_of(CLOCK_S + 24 * HOUR_S)[:-1]}
    reason: The books are closed
"""
    return sample_files()[path] + SOAK.encode() + text.encode()
