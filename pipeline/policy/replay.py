"""One decision of the gate made again by any policy. Pure.

A `PastDecision` holds all that a decision rested on but policy: the request and how it came to
main, the draft's status then, and what was seen of source, image and overlay. `decide_by` adds a
policy and asks the one gate. What a chart renders to is taken as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipeline.gate.authorise import Decision, DecisionReason
from pipeline.gate.authority import FOUNDING, Authority, judge, unbrought
from pipeline.gate.matters import matters_of
from pipeline.gate.waivers import Grant
from pipeline.models.base import TreeId
from pipeline.models.facts import Cause, Release
from pipeline.models.provenance import Verified
from pipeline.models.requests import (
    Environment,
    PrimitiveImplementationDraft,
    Promotion,
    RiskTier,
    Waiver,
)
from pipeline.models.status import DraftStatus
from pipeline.names import overlay_folder
from pipeline.plan.view import Caused, DraftView, PromotionInput
from pipeline.releases.overlays import FOLDER_OF, Overlay
from pipeline.requests.layout import PLATFORM_PATH
from pipeline.requests.snapshot import LoadedRequest, Snapshot
from pipeline.stages.promote import decide
from pipeline.templating import Template
from pipeline.world.revisions import revision_of

# An overlay is judged by its tree and namespace; that it has both forms leaves its runtime out.
_BOTH_FORMS = {f"{folder}/kustomization.yaml": b"" for folder in FOLDER_OF.values()}


@dataclass(frozen=True, slots=True)
class Asking:
    """How a request came to main: what its pull request changed, and who made and approved it."""

    cause: Cause
    changed: tuple[str, ...]
    requests: tuple[LoadedRequest, ...]  # drafts and promotions among what it changed, as merged
    committers: frozenset[int] = frozenset()
    is_reviewed: bool = True  # whether what was merged is what was reviewed
    is_first: bool = False  # whether it came with the repository's first commit


@dataclass(frozen=True, slots=True)
class AskedWaiver:
    """A waiver on main at the time of a decision, and how it came there."""

    waiver: Waiver
    asking: Asking


@dataclass(frozen=True, slots=True)
class PastDecision:
    """All that one decision rested on, but policy."""

    promotion: Promotion
    asking: Asking
    draft: PrimitiveImplementationDraft
    status: DraftStatus  # before the decision
    now_s: int
    source_tree: str | None
    source_on_default: bool = True
    overlay: Overlay | None = None
    bundle: str = ""  # the statement of its image
    waivers: tuple[AskedWaiver, ...] = ()
    source_authors: frozenset[int] | None = None
    observed: int = 0  # the observation that an automatic rollback follows
    kept: tuple[DecisionReason, ...] = ()  # recorded, and no policy changes them


@dataclass(frozen=True)
class PolicyOf:
    """A policy to decide by, and what its signers make of statements."""

    snapshot: Snapshot
    # Statement → the result of verifying it with the policy's signers.
    verified: Mapping[str, Verified] = field(default_factory=dict)


def decide_by(past: PastDecision, policy: PolicyOf) -> Decision | None:
    """The gate's decision by a policy; None if the policy has no such tenant, or no platform."""
    view = _view(past, policy)
    if view is None:
        return None
    due = PromotionInput(
        promotion=past.promotion,
        caused=view.caused,
        source_tree=past.source_tree,
        source_on_default=past.source_on_default,
        overlay=past.overlay,
        manifest_findings=(),
        chain_problem="",
        waivers=tuple(_grant(past, asked, policy) for asked in past.waivers),
        source_authors=past.source_authors,
        provenance=policy.verified.get(past.bundle),
        observed=past.observed,
    )
    found = decide(view, due)
    known = {reason.code for reason in found.reasons}
    kept = tuple(reason for reason in past.kept if reason.code not in known)
    if not kept:
        return found
    return Decision(
        found.draft, found.environment, (*found.reasons, *kept), found.approved_by, found.waived
    )


def _view(past: PastDecision, policy: PolicyOf) -> DraftView | None:
    """What the stage would look at by a policy."""
    snapshot = policy.snapshot
    platform, tenant = snapshot.platform, snapshot.tenant(past.draft.tenant_id)
    if platform is None or tenant is None:
        return None
    name, _, version = past.draft.template_id.partition("@")
    authority = FOUNDING if past.observed else authority_by(past.asking, policy, past.status)
    return DraftView(
        request=past.draft,
        caused=Caused(past.asking.cause, past.now_s, authority),
        tenant=tenant,
        platform=platform,
        environments=snapshot.environments,
        blocked_digests=snapshot.blocked_digests,
        stops=snapshot.stops,
        signers=snapshot.signers,
        template=Template(name, version, (), {}, (), past.status.template_digest),
        status=past.status,
        is_new_revision=False,
        now_s=past.now_s,
    )


def authority_by(asking: Asking, policy: PolicyOf, status: DraftStatus) -> Authority:
    """The authority over a request, as if the policy had held before it and at the decision."""
    brought, snapshot = asking.cause.brought, policy.snapshot
    if asking.is_first:
        return FOUNDING
    if brought is None:
        return unbrought(asking.cause.request, "no pull request is recorded for it")
    if snapshot.platform is None:
        return unbrought(PLATFORM_PATH, "the policy knows no account")
    with_requests = snapshot.beside(asking.requests)
    tier: RiskTier = status.risk_tier
    matters = matters_of(asking.changed, with_requests, with_requests, now=snapshot, tier=tier)
    revision = revision_of(brought, committers=asking.committers, is_reviewed=asking.is_reviewed)
    return judge(matters, revision, snapshot.platform)


def _grant(past: PastDecision, asked: AskedWaiver, policy: PolicyOf) -> Grant:
    authority = authority_by(asked.asking, policy, past.status)
    return Grant(asked.waiver, asked.asking.cause, authority)


def without_fields(policy: Snapshot, **changes: object) -> Snapshot:
    """The policy whose environments have these values, so that nothing rests on them."""
    requests = {
        path: replace(loaded, model=loaded.model.model_copy(update=changes))
        if isinstance(loaded.model, Environment)
        else loaded
        for path, loaded in policy.requests.items()
    }
    return replace(policy, requests=requests)


def without_statements(policy: Snapshot) -> Snapshot:
    """The policy without the signed statements that its environments ask for."""
    return without_fields(policy, statements=(), vulnerabilities=None)


def overlay_of(
    status: DraftStatus, environment: str, namespace: str, release: Release, tree: str
) -> Overlay:
    """An overlay by its tree alone, as a fact records it."""
    folder = overlay_folder(environment, status.instance)
    return Overlay(environment, namespace, folder, release, _BOTH_FORMS, TreeId(tree))
