"""Evidence from running a tool on exact bytes: check results, builds, observed health.

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

MOST_IMAGES = 20  # per observation
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
    """The one image of a source tree: what was built, and where it is stored.

    `bundle` is its signed provenance, a Sigstore bundle as JSON. The fact holds the bundle; the
    status holds only its digest.
    """

    source_commit: CommitIdField
    source_tree: TreeIdField
    digest: ImageDigestField  # of the image index, not of one platform's manifest
    builder: Literal["source-layout", "buildah", "buildx"]
    image: str = Field(description="repository without tag or digest")
    sbom: ImageDigestField | None = None  # of the CycloneDX JSON
    provenance: ImageDigestField | None = None  # of `bundle`
    bundle: str = ""


Health = Literal["Healthy", "Progressing", "Degraded", "Missing", "Suspended", "Unknown"]
SyncState = Literal["Synced", "OutOfSync", "Unknown"]


class Observation(Model):
    """A delivery tool's report on one primitive in one environment.

    A tool's own words, until `pipeline.stages.observe` judges them: it records that a release is
    Healthy only if the report is about exactly the promoted tree.
    """

    # Both empty: an application that looks like one of the pipeline's, with unknown draft.
    environment: str
    draft: str
    # The running image, if it is exactly one, by digest; otherwise `images` lists what runs.
    digest: ImageDigestField | None = Field(None, exclude_if=not_)
    health: Health
    sync: SyncState
    # The commit of the GitOps repository that the tool compared or applied.
    revision: CommitIdField | None = Field(None, exclude_if=not_)
    message: ToldText = ""
    # When the delivery tool saw this, by its own clock.
    observed_at: Moment | None = Field(None, exclude_if=not_)
    # The end of its newest sync operation.
    synced_at: Moment | None = Field(None, exclude_if=not_)
    # The installed chart, as a tree id, if the tool reports no revision.
    chart: TreeIdField | None = Field(None, exclude_if=not_)
    # The primitive's running images if they are not one digest: several, or one by tag.
    images: tuple[ToldText, ...] = Field((), exclude_if=not_, max_length=MOST_IMAGES)
    application: ToldText = Field("", exclude_if=not_)  # the tool's name for it

    def is_healthy_as(self, digest: str) -> bool:
        """Whether it runs only this image, healthy and synced.

        If the tool reports no image, it applied the sealed tree, which names one.
        """
        return (
            self.health == "Healthy"
            and self.sync == "Synced"
            and not self.images
            and self.digest in (None, digest)
        )
