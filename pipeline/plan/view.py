"""What planning one draft may look at: values only, all pinned to commit ids.

A stage returns a `Step`: effects, then the facts that record them. `pipeline.stages.order`
puts the steps of a draft together; facts of a tenant are published in one commit, last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline import __version__, names
from pipeline.diagnostics import Finding
from pipeline.forges.port import PullRequest, RepoView
from pipeline.gate.authority import FOUNDING, Authority
from pipeline.git.commits import render_trailers
from pipeline.git.objects import TreeEntry
from pipeline.models.draft_id import DraftId
from pipeline.models.evidence import Observation
from pipeline.models.facts import Cause
from pipeline.models.provenance import Verified
from pipeline.models.requests import (
    ENVIRONMENTS,
    CodeOrigin,
    DraftPatch,
    Environment,
    Halt,
    Platform,
    PrimitiveImplementationDraft,
    Promotion,
    RiskTier,
    Signers,
    Tenant,
)
from pipeline.models.status import DraftStatus
from pipeline.plan.effects import Effect, FactEntry, Waiting
from pipeline.plan.patches import PatchResult
from pipeline.releases.overlays import Overlay
from pipeline.templating import Template

Parents = tuple[tuple[TreeEntry, ...], ...]


@dataclass(frozen=True, slots=True)
class Caused:
    """A request's cause, when the causing commit was made (seconds since the epoch), and whether
    whoever asked and approved had the authority."""

    cause: Cause
    time_s: int
    authority: Authority = FOUNDING


@dataclass(frozen=True, slots=True)
class Existing:
    """A branch that an earlier, broken-off run made for the same key: its head and folder."""

    commit: str
    folder_tree: str | None


@dataclass(frozen=True, slots=True)
class PatchInput:
    """One patch that is due, and what it makes of the files that it meets."""

    number: str
    patch: DraftPatch
    caused: Caused
    head: str  # the commit the patch goes on: the branch's, or the default branch's once merged
    result: PatchResult  # what it makes of the primitive's folder at `head`
    parents: Parents  # trees above the primitive's folder at `head`
    secrets: tuple[str, ...] = ()  # what the secret scan found in the result, one line each
    is_followup: bool = False  # it needs a branch and a pull request of its own
    existing: Existing | None = None


@dataclass(frozen=True, slots=True)
class PromotionInput:
    """One promotion that is due, with everything its decision rests on."""

    promotion: Promotion
    caused: Caused
    source_tree: str | None
    source_on_default: bool
    overlay: Overlay | None
    manifest_findings: tuple[Finding, ...]
    chain_problem: str
    # The draft's, with the checks and the build of this source, which it may list no more.
    status: DraftStatus | None = None
    provenance: Verified | None = None  # of the source tree's image, if it has a statement
    gitops_base: str = ""  # the commit that the overlay goes on: main's, or the begun branch's
    gitops_parents: Parents = ()  # trees above the overlay's folder at that commit
    existing: Existing | None = None
    gitops_pull: PullRequest | None = None  # the one that brings its overlay, once it is open
    owners: frozenset[int] = frozenset()  # who may approve that one, by policy and the forge
    merged: bool = False  # and was merged: `overlay` is what was
    is_queued: bool = False  # and the forge merges it by itself, later


@dataclass(frozen=True, slots=True)
class DraftView:
    """All that planning one draft may look at."""

    request: PrimitiveImplementationDraft
    caused: Caused
    tenant: Tenant
    platform: Platform
    environments: Mapping[str, Environment]
    blocked_digests: frozenset[str]
    stops: tuple[Halt, ...]
    signers: Signers | None
    template: Template
    status: DraftStatus | None
    is_new_revision: bool  # the draft's own request is not yet among the facts
    target: RepoView | None = None
    gitops: RepoView | None = None
    pull: PullRequest | None = None  # the draft's, as the forge has it now
    base_parents: Parents = ()  # trees above the primitive's folder at the target's head
    patch: PatchInput | None = None
    promotions: tuple[PromotionInput, ...] = ()
    observations: tuple[Observation, ...] = ()
    gitops_findings: tuple[Finding, ...] = ()  # what is not as promoted where its overlays go
    keeps_rules: bool = False  # of all drafts of its repositories, it records their branch rules
    existing: Existing | None = None  # of the scaffold's branch

    @property
    def id(self) -> DraftId:
        """The draft's id."""
        return self.request.id

    @property
    def instance(self) -> str:
        """The primitive's name in its repository."""
        r = self.request
        return names.instance(r.tenant_id, r.primitive_id, r.code_origin)

    @property
    def folder(self) -> str:
        """Where the primitive's code lies."""
        return names.primitive_folder(self.instance)

    @property
    def target_repo(self) -> str:
        """The repository of the code."""
        r = self.request
        return names.controllers_repo(self.platform.platform, r.tenant_id, r.code_origin)

    @property
    def gitops_repo(self) -> str:
        """The repository of the overlays."""
        r = self.request
        return names.gitops_repo(self.platform.platform, r.tenant_id, r.code_origin)

    @property
    def owners(self) -> tuple[str, ...]:
        """The teams that its repositories belong to."""
        return owners_of(self.platform, self.tenant, self.request.code_origin)

    @property
    def image(self) -> str:
        """The image's repository."""
        r = self.request
        return names.image_repository(self.platform.registry.prefix, r.tenant_id, r.primitive_id)

    @property
    def risk_tier(self) -> RiskTier:
        """The draft's own tier, else its tenant's."""
        return self.request.risk_tier or self.tenant.risk_tier

    @property
    def namespaces(self) -> dict[str, str]:
        """Environment → namespace."""
        r = self.request
        return {
            env: names.namespace(
                self.platform.platform, r.tenant_id, self.tenant.sku, r.code_origin, env
            )
            for env in ENVIRONMENTS
        }

    @property
    def newest_fact(self) -> str:
        """The hash that a commit's trailer names. Raises ValueError before the first fact."""
        if self.status is None:
            raise ValueError(f"{self.id} has no fact yet that a commit could rest on")
        return self.status.newest_fact


def owners_of(platform: Platform, tenant: Tenant, origin: CodeOrigin) -> tuple[str, ...]:
    """The teams that own the repositories of a tenant's code of this origin."""
    return platform.owners if origin is CodeOrigin.PLATFORM else tenant.owners


class Stage(StrEnum):
    """The parts of the work that can run apart, each with the rights that it alone needs."""

    SCAFFOLD = "scaffold"  # repositories, branches and pull requests of code, patches
    BUILD = "build"  # what checks and builds showed
    PROMOTE = "promote"  # overlays, their pull requests and merges
    OBSERVE = "observe"  # what delivery tools reported


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run may do: the stages that are its own, and which checks and builds it can record.

    `evidence` holds the keys of those that were performed elsewhere; None: they run here.
    """

    stages: frozenset[Stage] = frozenset(Stage)
    evidence: frozenset[str] | None = None


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Step:
    """What one stage would do for a draft."""

    effects: tuple[Effect, ...] = ()
    facts: tuple[FactEntry, ...] = ()
    waiting: tuple[Waiting, ...] = ()


def message_of(subject: str, view: DraftView, caused: Caused, key: str) -> str:
    """A commit message with the trailers that tie it to request and facts (docs/model.md §9)."""
    trailers = (
        ("Draft", view.id),
        ("Request", f"{caused.cause.request}@{caused.cause.commit}"),
        ("Key", key),
        ("Fact", view.newest_fact),
    )
    return f"{subject}\n\n{render_trailers(trailers)}"


TOOL = f"primitive-pipeline {__version__}"
