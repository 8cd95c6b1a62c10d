"""Observe: a delivery tool's report on a promoted release becomes a fact. Pure.

Only a report that differs from the newest recorded one by more than its time is news. A report
about another digest than the promoted one is recorded too, since it shows drift.
"""

from __future__ import annotations

from pipeline.models.evidence import Observation
from pipeline.models.facts import Observed
from pipeline.plan.effects import FactEntry
from pipeline.plan.view import DraftView, Step


def plan_observe(view: DraftView) -> Step | None:
    """The facts of new observations; None if there are none."""
    if view.status is None:
        return None
    facts = []
    for seen in sorted(view.observations, key=lambda o: o.environment):
        record = view.status.promotion(seen.environment)
        if record is None or _is_same(record.observation, seen):
            continue
        known = Observed(observation=seen).model_dump(mode="json")
        known.pop("type")
        facts.append(
            FactEntry(draft=view.id, cause=view.caused.cause, type="observed", known=known)
        )
    return Step(facts=tuple(facts)) if facts else None


def _is_same(known: Observation | None, seen: Observation) -> bool:
    return known is not None and known == seen.model_copy(update={"observed_at": known.observed_at})
