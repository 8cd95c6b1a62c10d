"""What planning one draft may look at: values only, all pinned to commit ids.

A stage returns a `Step`: effects, then the facts that record them. `pipeline.stages.order`
combines the steps of a draft; a tenant's facts are published in one commit, last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from pipeline import __version__, names
from pipeline.diagnostics import Finding
from pipeline.forges.port import PullRequest, RepoView
from pipeline.gate.authority import FOUNDING, Authority
from pipeline.gate.groups import Companion
from pipeline.gate.rollback import Fallback
from pipeline.gate.waivers import Grant
from pipeline.git.commits import render_trailers
from pipeline.git.objects import TreeEntry
from pipeline.models.draft_id import DraftId
from pipeline.models.evidence import Observation
from pipeline.models.facts import Cause
from pipeline.models.provenance import Verified
from pipeline.models.requests import (
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
from pipeline.models.statements import BroughtStatement
from pipeline.models.status import DraftStatus
from pipeline.plan.effects import Effect, FactEntry, Waiting
from pipeline.plan.patches import PatchResult
from pipeline.releases.overlays import Overlay
from pipeline.requests.kinds import request_path
from pipeline.requests.snapshot import Snapshot
from pipeline.templating import Template

POLICY_TRAILER = "Policy"
Parents = tuple[tuple[TreeEntry, ...], ...]


@dataclass(frozen=True, slots=True)
class Caused:
    """A request's cause, the time of the causing commit (seconds since the epoch), and the
    authority of those who asked and approved."""

    cause: Cause
    time_s: int
    authority: Authority = FOUNDING


@dataclass(frozen=True, slots=True)
class Existing:
    """A branch that an interrupted run made for the same key: its head and folder."""

    commit: str
    folder_tree: str | None


@dataclass(frozen=True, slots=True)
class PatchInput:
    """One due patch, and its result on the current files."""

    number: str
    patch: DraftPatch
    caused: Caused
    head: str  # the commit it is applied to: the branch's, or the default branch's once merged
    result: PatchResult  # on the primitive's folder at `head`
    parents: Parents  # trees above the primitive's folder at `head`
    secrets: tuple[str, ...] = ()  # what the secret scan found in the result, one line each
    is_followup: bool = False  # it needs a branch and a pull request of its own
    existing: Existing | None = None


@dataclass(frozen=True, slots=True)
class PromotionInput:
    """One due promotion, with everything that its decision rests on."""

    promotion: Promotion
    caused: Caused
    source_tree: str | None
    source_on_default: bool
    overlay: Overlay | None
    manifest_findings: tuple[Finding, ...]
    chain_problem: str
    waivers: tuple[Grant, ...] = ()
    source_authors: frozenset[int] | None = None  # None where nobody asks who they are
    # The draft's status, with this source's checks and build even if it no longer lists them.
    status: DraftStatus | None = None
    provenance: Verified | None = None  # of the source tree's image, if it has a statement
    statements: tuple[BroughtStatement, ...] = ()  # read where the environment asks for any
    gitops_base: str = ""  # the parent of the overlay's commit: main's head, or the begun branch's
    gitops_parents: Parents = ()  # trees above the overlay's folder at that commit
    existing: Existing | None = None
    gitops_pull: PullRequest | None = None  # the overlay's pull request, once it is open
    owners: frozenset[int] = frozenset()  # who may approve that pull request
    merged: bool = False  # whether it was merged; `overlay` is then the merged one
    decided_by: Snapshot | None = None  # the policy that its merge names, once it is merged
    is_queued: bool = False  # whether the forge has queued it for merging
    newer: Caused | None = None  # the newer request that replaced this one
    observed: int = 0  # the number of the observation that an automatic rollback follows
    companions: tuple[Companion, ...] = ()  # the other members of its release group

    @property
    def group(self) -> str:
        """The name of its release group; empty if it is of none."""
        meaning = request_path(self.caused.cause.request)
        return meaning.name if meaning is not None and meaning.kind == "ReleaseGroup" else ""


@dataclass(frozen=True, slots=True)
class FallbackInput:
    """An automatic rollback of one environment, now or later."""

    fallback: Fallback
    due: PromotionInput | None = None  # None: later, or there is nothing to go back to


@dataclass(frozen=True, slots=True)
class Retiring:
    """A request to retire the draft, and how far the next environment's removal is."""

    caused: Caused
    reason: str
    gitops_base: str = ""  # the parent of the removal's commit
    gitops_parents: Parents = ()  # trees above the overlay's folder at that commit
    existing: Existing | None = None
    pull: PullRequest | None = None  # the removal's pull request, once it is open
    owners: frozenset[int] = frozenset()  # who may approve that pull request
    merged: bool = False


@dataclass(frozen=True, slots=True)
class DraftView:
    """Everything that planning one draft may look at."""

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
    now_s: int  # the moment of the plan, in seconds since the epoch
    policy: str = ""  # the commit of the control repo that all policy here is from
    target: RepoView | None = None
    gitops: RepoView | None = None
    pull: PullRequest | None = None  # the draft's pull request, as the forge has it now
    base_parents: Parents = ()  # trees above the primitive's folder at the target's head
    patch: PatchInput | None = None
    promotions: tuple[PromotionInput, ...] = ()
    fallbacks: tuple[FallbackInput, ...] = ()  # what policy rolls back by itself
    retirement: Retiring | None = None
    observations: tuple[Observation, ...] = ()
    gitops_findings: tuple[Finding, ...] = ()  # what differs from promotions in its GitOps repo
    keeps_rules: bool = False  # whether this draft records the branch rules of its repositories
    existing: Existing | None = None  # the scaffold's branch

    @property
    def id(self) -> DraftId:
        """The draft's id."""
        return self.request.id

    @property
    def retires(self) -> bool:
        """Whether the draft is being retired, by a request with full authority."""
        return self.retirement is not None and self.retirement.caused.authority.is_complete

    @property
    def instance(self) -> str:
        """The primitive's name in its repository."""
        r = self.request
        return names.instance(r.tenant_id, r.primitive_id, r.code_origin)

    @property
    def folder(self) -> str:
        """The folder of the primitive's code."""
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
        """The teams that own its repositories."""
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
        """Environment → namespace, in the order of environments."""
        r = self.request
        return {
            env: names.namespace(
                self.platform.platform, r.tenant_id, self.tenant.sku, r.code_origin, env
            )
            for env in self.environments
        }

    @property
    def newest_fact(self) -> str:
        """The newest fact's hash, for commit trailers. Raises ValueError before the first fact."""
        if self.status is None:
            raise ValueError(f"{self.id} has no fact yet that a commit could rest on")
        return self.status.newest_fact


def by_policy(view: DraftView, policy: Snapshot) -> DraftView:
    """The view by another policy. Raises KeyError if that lacks the platform or the tenant."""
    tenant, platform = policy.tenant(view.request.tenant_id), policy.platform
    if tenant is None or platform is None:
        raise KeyError(view.request.tenant_id)
    return replace(
        view,
        tenant=tenant,
        platform=platform,
        environments=policy.environments,
        blocked_digests=policy.blocked_digests,
        stops=policy.stops,
        signers=policy.signers,
        policy=policy.commit,
    )


def owners_of(platform: Platform, tenant: Tenant, origin: CodeOrigin) -> tuple[str, ...]:
    """The teams that own the repositories of a tenant's code of this origin."""
    return platform.owners if origin is CodeOrigin.PLATFORM else tenant.owners


class Stage(StrEnum):
    """The parts of the work that can run separately, each with only the rights it needs."""

    SCAFFOLD = "scaffold"  # code repositories, their branches and pull requests, patches
    BUILD = "build"  # results of checks and builds
    PROMOTE = "promote"  # overlays, their pull requests and merges
    OBSERVE = "observe"  # reports of delivery tools


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run may do: its stages, and the checks and builds that it can record.

    `evidence` holds the keys of those performed elsewhere; None means that they run here.
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


def message_of(subject: str, view: DraftView, caused: Caused, key: str, *, policy: str = "") -> str:
    """A commit message with trailers that name its request and fact (docs/model.md §9), and the
    commit whose `policy` decided it.
    """
    trailers = (
        ("Draft", view.id),
        ("Request", f"{caused.cause.request}@{caused.cause.commit}"),
        ("Key", key),
        ("Fact", view.newest_fact),
        *(((POLICY_TRAILER, policy),) if policy else ()),
    )
    return f"{subject}\n\n{render_trailers(trailers)}"


TOOL = f"primitive-pipeline {__version__}"
