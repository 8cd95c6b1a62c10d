"""The JSON report of a run, and the parts that other documents share with it.

Separate from `pipeline.models.outputs`: every run imports this, hardly any run imports the rest.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.models.base import API_VERSION, ApiVersion, Model, Moment


class Document(Model):
    """The field that every document starts with."""

    api_version: ApiVersion = Field(API_VERSION, alias="apiVersion")


class DecisionReasonItem(Model):
    """One reason against a promotion; a final one needs a new revision of the request."""

    code: str
    message: str
    final: bool


class FindingItem(Model):
    """One finding: what, where, why it matters, how to fix it."""

    code: str
    severity: Literal["error", "warning", "note"]
    message: str
    file: str
    line: int | None
    column: int | None
    why: str
    help: str
    docs: str


class FailureItem(Model):
    """What kept one draft, or the repository or tenant that `draft` then names, from going on."""

    draft: str
    code: str
    message: str


class WaitingItem(Model):
    """A request that cannot go on yet."""

    draft: str
    request: str
    reasons: tuple[DecisionReasonItem, ...]
    until: Moment | None = Field(
        None, description="the first moment at which time alone may change that"
    )


class IncidentItem(Model):
    """Something in a GitOps repository that is not as it was promoted."""

    repo: str
    path: str
    code: str
    message: str
    put_back: bool = Field(description="whether this run put the sealed trees back")


class ProblemItem(Model):
    """What is wrong with main beyond single requests, and how it is ended: policy that came
    without authority, a draft's or tenant's file that is gone though something of it stands."""

    path: str
    code: str
    message: str
    help: str


class RunReportDocument(Document):
    """What a run or an applied plan did."""

    kind: Literal["RunReport"] = "RunReport"
    began_at: Moment
    ended_at: Moment
    rounds: int
    effects: dict[str, int] = Field(description="kind of effect → how many were done or found")
    waiting: tuple[WaitingItem, ...]
    failures: tuple[FailureItem, ...]
    warnings: tuple[FailureItem, ...] = Field(
        (), description="deployments that people could not be shown; nothing else waits for them"
    )
    incidents: tuple[IncidentItem, ...] = ()
    invalid_requests: int = Field(description="files on main that `validate` refuses")
    problems: tuple[ProblemItem, ...] = Field(
        (), description="policy without authority, and files gone though what they asked for stands"
    )
