"""What was seen by running a tool on exact bytes: check results, builds, observed health.

Evidence of a tool is deterministic: it holds no durations, hosts or clock, so that finding it again
after a crash gives the same body, byte for byte (docs/adr/0003-no-clock-in-evidence.md).
"""

from __future__ import annotations

from enum import StrEnum
from operator import not_
from typing import Literal

from pydantic import Field

from pipeline.models.base import (
    CommitIdField,
    ImageDigestField,
    Model,
    Moment,
    ToldText,
    TreeIdField,
)

CheckName = Literal["lint", "tests", "secrets", "code-scan"]


class CheckOutcome(StrEnum):
    """What one check said. Could-not-check is an exception, never a value recorded as a pass."""

    PASSED = "passed"
    FAILED = "failed"


class CheckResult(Model):
    """One check's outcome; `summary` is one line, `details` the first lines worth reading."""

    name: CheckName
    outcome: CheckOutcome
    tool: ToldText  # name and version, such as `ruff 0.9.1`
    summary: ToldText
    details: tuple[ToldText, ...] = ()


class CheckReport(Model):
    """All checks of one primitive's folder at one commit."""

    commit: CommitIdField
    tree: TreeIdField
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> frozenset[str]:
        """The names of the checks that passed."""
        return frozenset(r.name for r in self.results if r.outcome is CheckOutcome.PASSED)


class BuildRecord(Model):
    """One image per source tree, ever: what was built from it, and where it is kept.

    `bundle` is the signed statement of that, a Sigstore bundle as JSON; the status names only its
    digest, since the fact holds it.
    """

    source_commit: CommitIdField
    source_tree: TreeIdField
    digest: ImageDigestField  # of the image index, not of one platform's manifest
    builder: Literal["source-layout", "buildah", "buildx"]
    image: str = Field(description="repository without tag or digest")
    sbom: ImageDigestField | None = None  # of the list of what is inside, as CycloneDX JSON
    provenance: ImageDigestField | None = None  # of `bundle`
    bundle: str = ""


class Observation(Model):
    """What a delivery tool reported of one primitive in one environment."""

    environment: str
    draft: str
    digest: ImageDigestField
    health: Literal["Healthy", "Progressing", "Degraded", "Missing", "Suspended", "Unknown"]
    sync: Literal["Synced", "OutOfSync", "Unknown"]
    revision: CommitIdField
    message: ToldText = ""
    # When the delivery tool saw it, by its own clock.
    observed_at: Moment | None = Field(None, exclude_if=not_)
