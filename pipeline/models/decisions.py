"""The JSON documents about decisions: one decision, who approved what runs, the gates in force."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.models.base import Model, Moment
from pipeline.models.requests import EnvironmentName, RiskTier
from pipeline.models.run_report import DecisionReasonItem, Document


class ApprovalsWanted(Model):
    """The approvals an environment needs at a draft's risk tier."""

    risk_tier: RiskTier
    count: int
    teams: tuple[str, ...]
    each_team: bool = False  # each of the teams gives one at least


class ClauseItem(Model):
    """One clause of the gate: whether it is met, by which evidence, and what would make it pass."""

    clause: str
    about: str
    met: bool
    assumed: bool = Field(description="taken as met, since `--if` says so")
    evidence: str
    reasons: tuple[DecisionReasonItem, ...]
    help: tuple[str, ...]
    who: str = Field(description="who can make it pass; empty if it is met")
    waiver: str = Field(description="where a waiver may lie; empty if policy allows none")
    until: Moment | None = Field(description="when time alone makes it pass")


class DecisionDocument(Document):
    """The gate's decision on a promotion, from all that is known now."""

    kind: Literal["Decision"] = "Decision"
    draft: str
    environment: str
    requested: bool = Field(description="whether the request is on main, or is only hypothetical")
    verdict: Literal["allowed", "waits", "refused"]
    reasons: tuple[DecisionReasonItem, ...]
    approved_by: tuple[int, ...]
    approvals: ApprovalsWanted | None
    at: Moment | None = Field(None, description="the moment of the decision")
    runs_since: Moment | None = Field(
        None, description="when the request was carried out; the verdict is on asking for it again"
    )
    until: Moment | None = Field(None, description="when time alone lets it pass")
    clauses: tuple[ClauseItem, ...] = Field((), description="the whole gate; `why` alone tells it")
    source_commit: str
    digest: str | None
    overlay_tree: str | None
    namespace: str | None


class ApprovalItem(Model):
    """One person whose approval counted."""

    account: int
    login: str = Field(description="by today's policy; the number if policy has it no more")
    at: Moment | None = Field(description="when they approved, if the forge told")


class PromotedItem(Model):
    """One promotion: what ran, who asked for it and approved it, and on which evidence."""

    draft: str
    environment: EnvironmentName
    runs_now: bool
    digest: str
    source_commit: str
    namespace: str
    decided_at: Moment | None
    merged_at: Moment | None
    asked_by: str
    approvals: tuple[ApprovalItem, ...]
    request: str
    request_commit: str
    checks: tuple[str, ...]
    builder: str
    waived: tuple[str, ...]
    stated: tuple[str, ...] = Field((), description="signed statements, and who signed each")
    health: str
    fact: int


class ApprovalsReport(Document):
    """Who approved what an environment runs, or what was promoted there since a moment."""

    kind: Literal["ApprovalsReport"] = "ApprovalsReport"
    environment: EnvironmentName
    tenant: str | None
    since: Moment | None
    control_commit: str
    promotions: tuple[PromotedItem, ...]


class GateItem(Model):
    """One gate of an environment: what it asks, and the file and line that say so."""

    environment: EnvironmentName
    gate: str
    asks: str
    file: str | None = Field(description="null: it is a default")
    line: int | None


class PolicyDocument(Document):
    """The gates in force in each environment, at a moment."""

    kind: Literal["Policy"] = "Policy"
    control_commit: str
    at: Moment
    gates: tuple[GateItem, ...]
