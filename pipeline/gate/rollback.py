"""Clauses of the gate about going back, and about what happens after that. Pure.

A rollback asks for a release that has run in that very environment. It holds the environment:
nothing automatic changes what runs there until a person promotes again or lifts the hold. Where
policy says `rollback_on`, the pipeline goes back by itself, once for each release.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.gate import rules as rule
from pipeline.gate.ran import runs_of_release
from pipeline.gate.reasons import DecisionReason, refuses, waits
from pipeline.models.base import moment_of, seconds_of
from pipeline.models.facts import Cause, Release
from pipeline.models.requests import Environment, Platform
from pipeline.models.status import DraftStatus, RunRecord

if TYPE_CHECKING:
    from pipeline.gate.authorise import Evidence  # which lists these clauses

_MINUTE_S = 60
_HEALTH = {"degraded": "Degraded"}  # as policy says it → as delivery tools do


@dataclass(frozen=True, slots=True)
class Fallback:
    """What policy does about a release that does badly: from when on, and the release to go to."""

    environment: str
    due_s: int
    release: Release | None  # None: no earlier release has run healthy there


def fallback_of(
    status: DraftStatus, environment: Environment, blocked: Collection[str]
) -> Fallback | None:
    """The automatic rollback that is due or will be; None if there is none.

    It goes to the newest earlier release that ran healthy there and is neither blocked nor was
    rolled back from itself. A release is rolled back from once, and a hold stops it.
    """
    name, policy = environment.environment, environment.rollback_on
    record = status.promotion(name)
    seen = record.observation if record else None
    if policy is None or record is None or seen is None or status.hold(name):
        return None
    if seen.health != _HEALTH[policy.health] or seen.observed_at is None:
        return None
    runs = status.runs_in((name,))
    left = {run.release.digest for run in runs if run.rolled_back}
    if record.release.digest in left:
        return None
    shunned = {record.release.digest, *left, *blocked}
    good = [r.release for r in runs if r.was_healthy and r.release.digest not in shunned]
    due_s = seconds_of(seen.observed_at) + policy.minutes * _MINUTE_S
    return Fallback(name, due_s, good[-1] if good else None)


def target_of(status: DraftStatus, environment: str) -> RunRecord | None:
    """The run to go back to if nobody names one: the newest earlier one that was healthy there,
    else the newest earlier one."""
    record = status.promotion(environment)
    now = record.release.digest if record else ""
    earlier = [run for run in status.runs_in((environment,)) if run.release.digest != now]
    return next((run for run in reversed(earlier) if run.was_healthy), None) or next(
        iter(earlier[::-1]), None
    )


def is_of_people(cause: Cause, platform: Platform) -> bool:
    """Whether only people opened and pushed a request; one not made yet counts as a person's."""
    made = {cause.brought.author, *cause.brought.pushers} if cause.brought else set()
    return all((account := platform.account(id)) and account.kind == "person" for id in made)


def clause_rollback(e: Evidence) -> Iterator[DecisionReason]:
    """A rollback goes to a release that has run in that environment and does not run there now."""
    if e.promotion.lane != "rollback" or e.promotion.hold:
        return
    name, wanted = e.environment.environment, e.promotion.release.digest
    record = e.status.promotion(name)
    if wanted is None:
        yield refuses(rule.ROLLBACK_TARGET, "it names no digest")
    elif record is None or wanted not in {r.release.digest for r in e.status.runs_in((name,))}:
        yield refuses(rule.ROLLBACK_TARGET, f"{name} never ran {wanted[:19]}…")
    elif record.release.digest == wanted:
        yield refuses(rule.ROLLBACK_TARGET, f"{name} runs {wanted[:19]}… now")


def clause_automatic(e: Evidence) -> Iterator[DecisionReason]:
    """An automatic rollback is the one that policy and facts give, and no earlier."""
    if not e.automatic:
        return
    fallback = fallback_of(e.status, e.environment, e.blocked_digests)
    if fallback is None or fallback.release is None:
        yield refuses(rule.ROLLBACK_NOT_DUE, "policy and facts give no automatic rollback")
    elif fallback.release.digest != e.promotion.release.digest:
        yield refuses(rule.ROLLBACK_NOT_DUE, f"it would go to {fallback.release.digest[:19]}…")
    elif e.now_s < fallback.due_s:
        said = f"it is due from {moment_of(fallback.due_s)} on"
        yield waits(rule.ROLLBACK_NOT_DUE, said, fallback.due_s)


def clause_hold(e: Evidence) -> Iterator[DecisionReason]:
    """What a rollback holds changes only if a person asks for it after the rollback."""
    hold = e.status.hold(e.environment.environment)
    if hold is None:
        return
    since = f"the rollback of fact {hold.fact} holds {hold.environment}"
    if e.automatic or not e.by_people:
        yield waits(rule.ENVIRONMENT_HELD, f"{since}, and a bot asks for this")
    elif e.asked_s is not None and hold.since and e.asked_s < seconds_of(hold.since):
        yield waits(rule.ENVIRONMENT_HELD, f"{since}, and this was asked for before it")


def clause_goes_further(e: Evidence) -> Iterator[DecisionReason]:
    """A release that is to stay where it is goes further only if a person asks for it."""
    if e.by_people or e.automatic or e.promotion.lane == "rollback":
        return
    ran = runs_of_release(e, e.environment.promotes_from)
    if ran and not any(run.goes_further for run in ran):
        names = " and ".join(dict.fromkeys(run.environment for run in ran))
        yield waits(rule.RELEASE_STAYS, f"in {names} it was marked `goes_further: false`")


def clause_lift(e: Evidence) -> Iterator[DecisionReason]:
    """Lifting a hold names the environment that is held, and the release that runs there."""
    name, wanted = e.environment.environment, e.promotion.release.digest
    record = e.status.promotion(name)
    if e.status.hold(name) is None or record is None:
        yield refuses(rule.HOLD_ABSENT, f"no rollback holds {name}")
    elif record.release.digest != wanted:
        yield refuses(rule.HOLD_ABSENT, f"{name} runs {record.release.digest[:19]}…")
