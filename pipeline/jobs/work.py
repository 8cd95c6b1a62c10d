"""Work that only tools can do, apart from the run that records it. Pure.

Checks and builds are run by jobs without credentials, on sources that a job with the right to
read took out of Git. Each piece of work is an effect of a plan; its evidence repeats that effect,
so that what was performed is compared with what is due and never believed by name
(docs/adr/0014-jobs-without-credentials.md).
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
# So many entries has a matrix of GitHub Actions at most (GitHub, "Usage limits").
MAX_MATRIX = 256


class DueWork(Model):
    """The checks and builds that are due, as of one commit of main."""

    api_version: ApiVersion = Field(API_VERSION, alias="apiVersion")
    kind: Literal["DueWork"] = "DueWork"
    control_commit: str
    items: tuple[WorkItem, ...]


class WorkEvidence(Model):
    """What performing one piece of work gave: a report of checks, the record of an image, or why
    there will be none.
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
    """Why this cannot be what performing its item gives; empty when it can."""
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
    """Whether evidence is of this work; of the same tree at another commit it is."""
    return evidence.item.model_copy(update={"commit": item.commit}) == item


def tenant_matrix(plan: Plan) -> list[dict[str, str]]:
    """The jobs of a matrix over the tenants with something due: a name, an option of `run` and its
    value. Beyond what a matrix holds they are shards.
    """
    tenants = [tenant.tenant for tenant in plan.tenants]
    if len(tenants) <= MAX_MATRIX:
        return [{"name": t, "option": "--tenant", "value": t} for t in tenants]
    shards = [f"{number}/{MAX_MATRIX}" for number in range(1, MAX_MATRIX + 1)]
    # No tenant's id holds a dot, so that no shard is taken for a tenant.
    return [{"name": f"shard.{s}", "option": "--shard", "value": s} for s in shards]


def work_matrix(items: Iterable[RunChecks | BuildImage]) -> list[dict[str, str]]:
    """The jobs of a matrix over pieces of work; beyond what it holds the rest comes next time."""
    return [
        {"key": item.key, "kind": item.kind, "name": f"{item.kind} {item.draft}"} for item in items
    ][:MAX_MATRIX]


def build_matrix(items: Iterable[RunChecks | BuildImage]) -> list[dict[str, str]]:
    """The jobs of the same matrix that make an image."""
    return [job for job in work_matrix(items) if job["kind"] == "build-image"]
