"""The JSON documents about policy: what a change would decide otherwise, and users' test cases."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.models.base import Model, Moment
from pipeline.models.run_report import DecisionReasonItem, Document, FindingItem

Outcome = Literal["allowed", "waits", "refused", "undecided"]


class ChangedDecision(Model):
    """One recorded decision that the changed policy makes otherwise."""

    draft: str
    environment: str
    fact: int
    recorded: Literal["promoted", "refused", "lifted"]
    at: Moment | None = Field(description="when it was decided")
    was: Outcome
    would_be: Outcome = Field(description="undecided: the policy lacks the tenant")
    reasons: tuple[DecisionReasonItem, ...] = Field(description="that one policy gives alone")


class PolicyDiffDocument(Document):
    """What a change of policy decides otherwise, over every recorded decision."""

    kind: Literal["PolicyDiff"] = "PolicyDiff"
    base: str
    head: str
    files: tuple[str, ...] = Field(description="of policy that differ")
    decisions: int = Field(description="that facts record")
    replayed: int = Field(description="made again by both; no changed file concerns the others")
    changed: tuple[ChangedDecision, ...]
    other_reasons: int = Field(description="equal outcomes for other reasons")
    not_known: tuple[str, ...] = Field(description="what the control repository does not show")
    problem: str = Field("", description="why nothing was compared; empty if it was")


class PolicyTestItem(Model):
    """One case: the decision that it expects, and the one that policy gives."""

    file: str
    line: int
    name: str
    passed: bool
    expected: Outcome
    expected_reasons: tuple[str, ...] | None = Field(description="null: any")
    found: Outcome
    reasons: tuple[DecisionReasonItem, ...]


class PolicyTestDocument(Document):
    """The results of the cases that users wrote."""

    kind: Literal["PolicyTestReport"] = "PolicyTestReport"
    passed: int
    failed: int
    cases: tuple[PolicyTestItem, ...]
    findings: tuple[FindingItem, ...] = Field((), description="about malformed cases, not run")
