"""Roll back: what policy does by itself about a release that does badly. Pure.

The cause is the environment's policy, the occasion a recorded observation. What a person asks for
with lane `rollback` is an ordinary promotion to the gate and to `pipeline.stages.promote`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.gate.rules import ROLLBACK_NOT_DUE, ROLLBACK_WITHOUT_TARGET
from pipeline.models.base import API_VERSION, moment_of
from pipeline.models.draft_id import DraftId
from pipeline.models.facts import Fact, Observed, Release
from pipeline.models.requests import Promotion, RequestedRelease
from pipeline.plan.effects import Waiting
from pipeline.plan.view import DraftView, FallbackInput, Step
from pipeline.requests.layout import environment_path
from pipeline.stages.promote import plan_promotion


def fallback_promotion(draft: str, environment: str, release: Release) -> Promotion:
    """The promotion that an automatic rollback amounts to; no file holds it."""
    return Promotion(
        api_version=API_VERSION,
        kind="Promotion",
        draft=DraftId(draft),
        environment=environment,
        release=RequestedRelease(source_commit=release.source_commit, digest=release.digest),
        lane="rollback",
        reason="The release that runs there does badly, and policy rolls back",
    )


def observation_of(facts: Sequence[Fact], environment: str) -> int:
    """The number of the newest fact that tells how a release does in an environment; 0 for none."""
    seen = (
        fact.sequence
        for fact in facts
        if isinstance(fact.body, Observed) and fact.body.observation.environment == environment
    )
    return max(seen, default=0)


def plan_begun_fallback(view: DraftView) -> Step | None:
    """The fact of an automatic rollback that was merged before a crash.

    It goes before newer observations, which would make it undue.
    """
    for item in view.fallbacks:
        if item.due and item.due.merged:
            return plan_promotion(view, item.due)
    return None


def plan_fallbacks(view: DraftView) -> Iterator[Step | None]:
    """The steps of the automatic rollbacks, or what each waits for."""
    for item in view.fallbacks:
        yield plan_promotion(view, item.due) if item.due else _later(view, item)


def _later(view: DraftView, item: FallbackInput) -> Step:
    fallback = item.fallback
    if fallback.release is None:
        told = f"no earlier release has run healthy in {fallback.environment}"
        reason, until = (ROLLBACK_WITHOUT_TARGET.id, told), None
    else:
        until = moment_of(fallback.due_s)
        to = f"{fallback.release.digest[:19]}…"
        reason = (ROLLBACK_NOT_DUE.id, f"{fallback.environment} goes back to {to} at {until}")
    request = environment_path(fallback.environment)
    waits = Waiting(draft=view.id, request=request, reasons=(reason,), until=until)
    return Step(waiting=(waits,))
