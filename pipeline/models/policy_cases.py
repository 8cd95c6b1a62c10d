"""Test cases of policy, as people write them: facts in short form, and the decision they expect.

One file holds several cases. What a case leaves out is as in a promotion that nothing speaks
against: built by a trusted builder, checked, merged, pinned, and run in no environment yet.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipeline.models.base import ApiVersion, Identifier, ImageDigestField, Model, Moment
from pipeline.models.evidence import CheckName
from pipeline.models.requests import (
    CodeOrigin,
    EnvironmentName,
    PrimitiveType,
    RiskTier,
    RuleId,
)
from pipeline.models.windows import Lane, Sentence

# A login of environments/platform.yaml, or the number of an account that it need not list.
Who = str | int
Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
CANDIDATE = "candidate"  # the release that a case is about


class CaseDraft(Model):
    """The primitive that is promoted."""

    tenant: Identifier
    name: Identifier = "example"
    type: PrimitiveType = PrimitiveType.DOMAIN
    origin: CodeOrigin = CodeOrigin.TENANT
    risk_tier: RiskTier | None = None  # by default its tenant's


class CaseRun(Model):
    """A release that ran, or runs, in an environment."""

    environment: EnvironmentName
    since: Moment
    until: Moment | None = None  # it still runs
    release: Label = CANDIDATE
    # Seen healthy without a break, until its end or now if nothing else is said.
    healthy_since: Moment | None = None
    healthy_until: Moment | None = None
    goes_further: bool = True


class CaseBuild(Model):
    """The image of the release; `signed_by` is a signer's name, by default any that is trusted."""

    builder: Literal["source-layout", "buildah", "buildx"] = "buildah"
    digest: ImageDigestField | None = None
    signed: bool = True
    signed_by: str | None = None


class CaseApproval(Model):
    """An approval of the final revision; without a time, of when the request was merged."""

    by: Who
    at: Moment | None = None


class CaseWaiver(Model):
    """A waiver on main for this release in this environment."""

    rule: RuleId
    starts: Moment
    expires: Moment
    asked_by: Who
    approvals: tuple[CaseApproval, ...] = ()


class CaseRequest(Model):
    """The promotion request, and how it came to main."""

    environment: EnvironmentName
    by: Who
    at: Moment | None = None  # by default the moment of the decision
    lane: Lane = "normal"
    pinned: bool = True  # whether it pins digest and overlay
    lifts_hold: bool = False
    approvals: tuple[CaseApproval, ...] = ()
    objections: tuple[Who, ...] = ()


class ExpectedDecision(Model):
    """The decision that a case expects; without `reasons` any reasons will do."""

    decision: Literal["allowed", "waits", "refused"]
    reasons: tuple[RuleId, ...] | None = None


class PolicyCase(Model):
    """One case."""

    name: Sentence
    draft: CaseDraft
    request: CaseRequest
    now: Moment
    runs: tuple[CaseRun, ...] = ()
    # By default every check that the environment asks for passed.
    checks: dict[CheckName, Literal["passed", "failed"]] | None = None
    build: CaseBuild | None = CaseBuild()
    merged: bool = True  # whether the source is on the default branch
    # Whether each signed statement is there that the environment asks for, a clean scan included.
    stated: bool = True
    source_by: tuple[Who, ...] = ()
    held_since: Moment | None = None
    waivers: tuple[CaseWaiver, ...] = ()
    # Policy file → its changes, as a JSON merge patch (RFC 7396); null takes the file away.
    policy: dict[str, dict[str, object] | None] = Field({})
    expect: ExpectedDecision


class PolicyCases(Model):
    """A file of cases."""

    api_version: ApiVersion = Field(alias="apiVersion")
    kind: Literal["PolicyCases"]
    cases: tuple[PolicyCase, ...] = Field(min_length=1, max_length=500)
