"""`status.yaml`: the readable fold of a draft's facts (docs/model.md §9).

It holds all that planning needs, so a run reads one small file per draft instead of its history;
`pipeline audit verify` proves that it equals the fold. Its size does not grow with the history:
`pipeline.state.bounds` says what it lists, and how the rest is found in the facts.
"""

from __future__ import annotations

from collections.abc import Collection
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
from pipeline.models.draft_state import DraftState as DraftState
from pipeline.models.evidence import BuildRecord, CheckReport, Observation
from pipeline.models.facts import PullRequestLink, Reason, Release
from pipeline.models.requests import CodeOrigin, EnvironmentName, PrimitiveType, RiskTier, Sku


class PatchRecord(Model):
    """How one patch ended."""

    patch: str
    outcome: Literal["applied", "refused"]
    commit: str = ""
    reasons: tuple[Reason, ...] = ()


class EarlierPatches(Model):
    """The patches that a status no longer lists, all numbered up to `through`."""

    count: int
    applied: int  # how many were applied; the others were refused
    through: str
    # Hash over the newest request of each; `pipeline.state.bounds` computes it.
    requests: FactHashField


class GroupRevision(Model):
    """One revision of a release group: its path, and the commit of main that brought it."""

    request: str
    commit: str
    # When the gate let all members pass; None for a member that it refused.
    decided_at: Moment | None = Field(None, exclude_if=not_)


class PromotionRecord(Model):
    """What was promoted to one environment, and its newest observation there."""

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
    group: GroupRevision | None = Field(None, exclude_if=not_)  # what it was part of


class RunRecord(Model):
    """A release that ran in one environment, from its promotion to the next one there."""

    environment: EnvironmentName
    release: Release
    fact: int  # the number of the promotion
    # From its merge to the next merge there. `until` is None while it runs; both are None in facts
    # of older tools.
    since: Moment | None = Field(None, exclude_if=not_)
    until: Moment | None = Field(None, exclude_if=not_)
    was_healthy: bool = False  # whether a delivery tool saw exactly this release healthy and synced
    # The start of the unbroken run of such observations; None once it is seen otherwise.
    healthy_since: Moment | None = Field(None, exclude_if=not_)
    healthy_seen: Moment | None = Field(None, exclude_if=not_)  # the newest of them
    longest_gap_s: int = Field(0, exclude_if=not_)  # between two of them that follow each other
    goes_further: bool = Field(True, exclude_if=bool)  # whether bots may ask for it elsewhere
    rolled_back: bool = Field(False, exclude_if=not_)  # whether policy ended it by itself


class RefusedPromotion(Model):
    """The newest refusal for one environment."""

    environment: EnvironmentName
    reasons: tuple[Reason, ...]
    group: GroupRevision | None = Field(None, exclude_if=not_)  # what it was part of


class HoldRecord(Model):
    """A rollback that holds its environment: nothing automatic changes what runs there."""

    environment: EnvironmentName
    fact: int  # the number of the rollback
    since: Moment | None = Field(None, exclude_if=not_)
    automatic: bool = Field(False, exclude_if=not_)


class SupersededPromotion(Model):
    """The newest promotion request for an environment that a newer one replaced."""

    environment: EnvironmentName
    blob: str
    commit: str  # the commit of main that brought it
    by: str  # the commit that brought the newer one


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
    rules: str = ""  # key of the branch rules last set on the repositories
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
    runs: tuple[RunRecord, ...] = Field((), exclude_if=not_)  # each environment's newest, by fact
    refused_promotions: tuple[RefusedPromotion, ...] = ()
    holds: tuple[HoldRecord, ...] = Field((), exclude_if=not_)
    # Replaced requests, until the newer one is carried out or refused.
    superseded: tuple[SupersededPromotion, ...] = Field((), exclude_if=not_)
    # Request path → blob already handled; a different blob there is due.
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
        """What runs in an environment, or None if nothing was promoted there."""
        return next((p for p in self.promotions if p.environment == environment), None)

    def hold(self, environment: str) -> HoldRecord | None:
        """The rollback that holds an environment, if one does."""
        return next((h for h in self.holds if h.environment == environment), None)

    def runs_in(self, environments: Collection[str]) -> tuple[RunRecord, ...]:
        """The listed runs in any of these environments."""
        return tuple(run for run in self.runs if run.environment in environments)

    def checks_of_tree(self, tree: str) -> CheckReport | None:
        """The check report of a source tree, if the status lists it."""
        return next((c for c in self.checks if c.tree == tree), None)

    def build_of_tree(self, tree: str) -> BuildRecord | None:
        """The build of a source tree, if the status lists it."""
        return next((b for b in self.builds if b.source_tree == tree), None)
