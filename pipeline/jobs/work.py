"""Checks and builds as work, separate from the run that records them. Pure.

Jobs without credentials run checks and builds, on sources that a job with read access exported from
Git. Each piece of work is an effect of a plan; its evidence repeats that effect, so performed work
is compared with due work and never trusted by name (docs/adr/0014-jobs-without-credentials.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from pipeline.models.base import API_VERSION, ApiVersion, Model
from pipeline.models.evidence import BuildRecord, CheckReport
from pipeline.models.facts import Reason
from pipeline.plan.bounds import BUILD_FAILED, BUILD_OVER_BOUND
from pipeline.plan.effects import BuildImage, Plan, RunChecks

WorkItem = Annotated[RunChecks | BuildImage, Field(discriminator="kind")]
# The most entries in a matrix of GitHub Actions (GitHub, "Usage limits").
MAX_MATRIX = 256


class DueWork(Model):
    """The due checks and builds, as of one commit of main."""

    api_version: ApiVersion = Field(API_VERSION, alias="apiVersion")
    kind: Literal["DueWork"] = "DueWork"
    control_commit: str
    items: tuple[WorkItem, ...]


class WorkEvidence(Model):
    """The result of one piece of work: a report of checks, the record of an image, or why there
    will be none.
    """

    api_version: ApiVersion = Field(API_VERSION, alias="apiVersion")
    kind: Literal["Evidence"] = "Evidence"
    item: WorkItem
    report: CheckReport | None = None
    build: BuildRecord | None = None
    refused: Reason | None = None


def due_work(plan: Plan) -> DueWork:
    """The checks and builds of a plan."""
    items = tuple(e for e in plan.effects if isinstance(e, RunChecks | BuildImage))
    return DueWork(control_commit=plan.control_commit, items=items)


def evidence_problem(evidence: WorkEvidence) -> str:
    """Why this cannot be the result of its item; empty if it can."""
    item = evidence.item
    if isinstance(item, RunChecks):
        report = evidence.report
        if report is None or evidence.build is not None or evidence.refused is not None:
            return "it holds no report of the checks"
        if (report.commit, report.tree) != (item.commit, item.tree):
            return "its report is for another source"
        if tuple(result.name for result in report.results) != item.names:
            return "its report is for other checks"
        return ""
    build, refused = evidence.build, evidence.refused
    if evidence.report is not None or (build is None) is (refused is None):
        return "it holds no record of the image"
    if refused is not None:
        known = refused.code in (BUILD_FAILED.id, BUILD_OVER_BOUND.id)
        return "" if known else f"no build is refused for `{refused.code}`"
    assert build is not None
    if (build.source_commit, build.source_tree) != (item.commit, item.tree):
        return "its image is for another source"
    if build.image != item.image:
        return "its image has another repository"
    return ""


def is_of(evidence: WorkEvidence, item: RunChecks | BuildImage) -> bool:
    """Whether evidence is for this work, or for the same tree at another commit."""
    return evidence.item.model_copy(update={"commit": item.commit}) == item


def tenant_matrix(plan: Plan) -> list[dict[str, str]]:
    """The jobs of a matrix over the tenants with something due: a name, an option of `run` and its
    value. If there are more tenants than a matrix holds, the jobs are shards.
    """
    tenants = [t.tenant for t in plan.tenants if t.effects or t.failures]
    if len(tenants) <= MAX_MATRIX:
        return [{"name": t, "option": "--tenant", "value": t} for t in tenants]
    shards = [f"{number}/{MAX_MATRIX}" for number in range(1, MAX_MATRIX + 1)]
    # No tenant's id contains a dot, so no shard's name is taken for a tenant.
    return [{"name": f"shard.{s}", "option": "--shard", "value": s} for s in shards]


def work_matrix(items: Iterable[RunChecks | BuildImage]) -> list[dict[str, str]]:
    """The jobs of a matrix over pieces of work; any beyond its limit come next time."""
    return [
        {"key": item.key, "kind": item.kind, "name": f"{item.kind} {item.draft}"} for item in items
    ][:MAX_MATRIX]


def build_matrix(items: Iterable[RunChecks | BuildImage]) -> list[dict[str, str]]:
    """Only the jobs of that matrix that build an image."""
    return [job for job in work_matrix(items) if job["kind"] == "build-image"]
