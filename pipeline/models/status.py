"""`status.yaml`: the readable fold of a draft's facts (docs/model.md §9).

It holds all that planning needs, so that a run reads one small file a draft and not its
history; `pipeline audit verify` proves that it equals the fold. Its size does not grow with the
history: `pipeline.state.bounds` says what is listed, and how the rest is found in the facts.
"""

from __future__ import annotations

from enum import StrEnum
from operator import not_
from typing import Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from pipeline.models.base import (
    API_VERSION,
    ApiVersion,
    FactHashField,
    Model,
    Moment,
    without_empty,
)
from pipeline.models.evidence import BuildRecord, CheckReport, Observation
from pipeline.models.facts import PullRequestLink, Reason, Release
from pipeline.models.requests import CodeOrigin, EnvironmentName, PrimitiveType, RiskTier, Sku


class DraftState(StrEnum):
    """The states of a draft (docs/model.md §8); a fold of facts, never set."""

    PENDING = "PENDING"
    SCAFFOLDED = "SCAFFOLDED"
    IN_REVIEW = "IN_REVIEW"
    PROMOTED_DEV = "PROMOTED_DEV"
    PROMOTED_STAGING = "PROMOTED_STAGING"
    PROMOTED_PROD = "PROMOTED_PROD"
    REJECTED = "REJECTED"


class PatchRecord(Model):
    """How one patch ended."""

    patch: str
    outcome: Literal["applied", "refused"]
    commit: str = ""
    reasons: tuple[Reason, ...] = ()


class EarlierPatches(Model):
    """The patches that a status does not list any more, all numbered up to `through`."""

    count: int
    applied: int  # how many of them were applied; the others were refused
    through: str
    # Stands for the newest request of each: `pipeline.state.bounds` says how it is made.
    requests: FactHashField


class PromotionRecord(Model):
    """What runs in one environment by promotion, and what was seen of it there."""

    environment: EnvironmentName
    namespace: str
    release: Release
    overlay_tree: str
    overlay_folder: str
    gitops_commit: str
    merged_at: Moment | None = Field(None, exclude_if=not_)
    pull_request: PullRequestLink
    approved_by: tuple[int, ...]
    fact: int
    observation: Observation | None = None


class RefusedPromotion(Model):
    """The newest refusal for one environment."""

    environment: EnvironmentName
    reasons: tuple[Reason, ...]


class DraftStatus(Model):
    """The message `PrimitiveImplementationDraft` as it stands, and what planning needs."""

    api_version: ApiVersion = Field(API_VERSION, alias="apiVersion")
    kind: Literal["DraftStatus"] = "DraftStatus"
    id: str
    state: DraftState
    tenant_id: str
    primitive_type: PrimitiveType
    primitive_id: str
    template_id: str
    template_digest: str
    code_origin: CodeOrigin
    sku: Sku
    risk_tier: RiskTier
    target_repo: str
    gitops_repo: str
    instance: str
    image: str
    design_refs: tuple[str, ...] = ()
    target_namespaces: dict[EnvironmentName, str]
    repos: tuple[str, ...] = ()
    rules: str = ""  # key of the branch rules that the repositories were last given
    branch_name: str = ""
    pr_url: str = ""
    pull_request: PullRequestLink | None = None
    head: str = ""  # newest commit of the draft's branch that the pipeline made
    head_tree: str = ""
    patches: tuple[PatchRecord, ...] = ()  # the newest, by number
    earlier_patches: EarlierPatches | None = None
    checks: tuple[CheckReport, ...] = ()
    builds: tuple[BuildRecord, ...] = ()
    promotions: tuple[PromotionRecord, ...] = ()
    refused_promotions: tuple[RefusedPromotion, ...] = ()
    # Request path → blob that was dealt with; another blob there is something to do.
    requests: dict[str, str] = Field({})
    facts: int
    newest_fact: FactHashField
    decided_at: Moment | None = Field(None, exclude_if=not_)  # of the newest fact that says it

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_empty("earlier_patches", without_empty("rules", dump(self)))

    @property
    def is_patched(self) -> bool:
        """Whether any patch was applied to the draft."""
        earlier = self.earlier_patches
        listed = any(p.outcome == "applied" for p in self.patches)
        return listed or (earlier is not None and earlier.applied > 0)

    def promotion(self, environment: str) -> PromotionRecord | None:
        """What runs in an environment, if anything was promoted there."""
        return next((p for p in self.promotions if p.environment == environment), None)

    def checks_of_tree(self, tree: str) -> CheckReport | None:
        """The check report of a source tree, if it is among the newest."""
        return next((c for c in self.checks if c.tree == tree), None)

    def build_of_tree(self, tree: str) -> BuildRecord | None:
        """The build of a source tree, if it is among the newest."""
        return next((b for b in self.builds if b.source_tree == tree), None)
