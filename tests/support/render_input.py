"""Input for renderers, shared by golden and unit tests: decisions, audit reports, plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.audit.acknowledged import Acknowledged
from pipeline.diagnostics import Finding, Verdict
from pipeline.gate.authorise import authorise
from pipeline.models.base import moment_of
from pipeline.models.decisions import DecisionDocument
from pipeline.models.trust import Trust
from pipeline.plan.effects import Plan, TenantPlan, Waiting
from pipeline.render.decision import decision_document
from pipeline.stages.provision import plan_provision
from pipeline.stages.scaffold import plan_scaffold
from tests.support import fact_history as history
from tests.support.promotion_evidence import allowed_evidence, changed
from tests.support.views import sample_view
from worlds.control_repo import CLOCK_S


def decision_of(*, requested: bool = True, **changes: object) -> DecisionDocument:
    """The gate's decision about prod with evidence that would do, but for `changes`."""
    found = allowed_evidence()
    for key, value in changes.items():
        found = changed(found, key, value)
    return decision_document(
        authorise(found),
        found.promotion,
        found.overlay,
        requested=requested,
        risk_tier="LOW",
        policy=found.environment.approval_for("LOW", "acme"),
    )


@dataclass(frozen=True)
class Report:
    """A report as `pipeline.audit.verify` returns it."""

    findings: tuple[Finding, ...] = ()
    drafts: int = 2
    facts: int = 9
    overlays: int = 2
    repositories: int = 1
    remembered: int = 0
    decisions: int = 4
    replayed: int = 4
    proved: Mapping[str, int] = field(default_factory=lambda: {"acceptances computed again": 3})
    trusted: Mapping[Trust, int] = field(
        default_factory=lambda: {Trust("what checks said", "the jobs that ran them"): 2}
    )
    acknowledged: tuple[Acknowledged, ...] = ()
    verdict: Verdict = Verdict.VALID


def plan_of(*steps: str, waiting: tuple[Waiting, ...] = ()) -> Plan:
    """A plan of acme's with the effects of `provision` and `scaffold`; contoso has none."""
    found = {
        "provision": plan_provision(sample_view()),
        "scaffold": plan_scaffold(sample_view(provisioned=True)),
    }
    effects = tuple(e for name in steps if (step := found[name]) is not None for e in step.effects)
    tenants = (
        TenantPlan(tenant="acme", state_head=None, effects=effects, waiting=waiting),
        TenantPlan(tenant="contoso", state_head=None),
    )
    return Plan(
        tool_version="1.2.3",
        control_commit=history.id_of("main"),
        made_at=moment_of(CLOCK_S),
        tenants=tenants,
    )
