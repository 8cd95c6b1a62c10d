"""The types of facts: one row holds all that the pipeline knows about a type. Pure.

To add a type, write its body in `pipeline.models.facts` and a row here: how it folds into the
status, its line in `audit log`, the requests that cause it, and what an audit looks for or takes
on trust. A check that computes the body again is a step of `pipeline.audit.steps`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pipeline.characters import short_digest, short_id, shown_moment
from pipeline.models.base import FactHash, Model, Moment
from pipeline.models.draft_state import STAGES, STATE_OF_STAGE, DraftState, higher_state
from pipeline.models.facts import (
    Accepted,
    Built,
    ChecksRecorded,
    Fact,
    FactBody,
    HoldLifted,
    Observed,
    PatchApplied,
    PatchRefused,
    Promoted,
    PromotionRefused,
    PromotionSuperseded,
    Provisioned,
    Reason,
    Rejected,
    Retired,
    Scaffolded,
)
from pipeline.models.status import (
    DraftStatus,
    GroupRevision,
    PatchRecord,
    PromotionRecord,
    RefusedPromotion,
    SupersededPromotion,
)
from pipeline.models.trust import Trust
from pipeline.requests.kinds import is_of_kind
from pipeline.requests.layout import draft_path
from pipeline.state.answers import answered, elsewhere, holds_after
from pipeline.state.runs import runs_after

B = TypeVar("B", bound=Model)
Changes = dict[str, object]  # fields of the status → their new values
_DRAFT, _PATCH, _PROMOTION = "PrimitiveImplementationDraft", "DraftPatch", "Promotion"
_GROUP = "ReleaseGroup"
_ENVIRONMENT, _RETIREMENT = "Environment", "Retirement"


def _nothing(body: Model) -> tuple[()]:
    return ()


def _unnamed(body: Model) -> str:
    return ""


def _no_refusal(body: Model) -> None:
    return None


@dataclass(frozen=True, slots=True)
class FactType(Generic[B]):
    """One row: everything that the pipeline knows about a type of fact."""

    body: type[B]
    caused_by: tuple[str, ...]  # kinds of request
    # Its changes to the draft's status.
    fold: Callable[[DraftStatus, Fact, B], Changes]
    sentence: Callable[[B], str]  # one line for `audit log`
    # Whether its request, while unchanged, needs nothing more.
    settles_request: bool = True
    # The name of its request: the number of a patch, the environment of a promotion.
    request_name: Callable[[B], str] = _unnamed
    # Commit and tree of each source that the code repository must have.
    sources: Callable[[B], tuple[tuple[str, str], ...]] = _nothing
    # A refusal's reasons, whose codes must be rules' ids; None for other facts.
    reasons: Callable[[B], tuple[Reason, ...] | None] = _no_refusal
    trusts: tuple[Trust, ...] = ()  # what no clone can show of any such fact

    @property
    def name(self) -> str:
        """The value of the body's field `type`."""
        return str(self.body.model_fields["type"].default)


# -- acceptance and repositories -------------------------------------------------------------


def first_status(fact: Fact, body: Accepted) -> DraftStatus:
    """The status after a draft's first fact, without the fields that every fact sets."""
    return DraftStatus(
        id=fact.draft,
        state=DraftState.PENDING,
        tenant_id=body.tenant_id,
        primitive_type=body.primitive_type,
        primitive_id=body.primitive_id,
        template_id=body.template_id,
        template_digest=body.template_digest,
        code_origin=body.code_origin,
        sku=body.sku,
        risk_tier=body.risk_tier,
        target_repo=body.target_repo,
        gitops_repo=body.gitops_repo,
        instance=body.instance,
        image=body.image,
        design_refs=body.design_refs,
        target_namespaces=_namespaces(body),
        facts=fact.sequence,
        newest_fact=FactHash(""),
    )


def _namespaces(body: Accepted) -> dict[str, str]:
    """Environment → namespace in the order of policy, whatever the order in the fact's JSON."""
    # Older tools recorded no order; their environments are named like stages.
    stages: list[str] = list(STAGES)
    listed = body.environments or sorted(
        body.target_namespaces, key=lambda e: (stages.index(e) if e in stages else len(stages), e)
    )
    return {e: body.target_namespaces[e] for e in listed}


def _fold_accepted(status: DraftStatus, fact: Fact, body: Accepted) -> Changes:
    told = ("risk_tier", "design_refs", "template_id", "template_digest")
    changes: Changes = {name: getattr(body, name) for name in told}
    return changes | {"target_namespaces": _namespaces(body)}


def _fold_provisioned(status: DraftStatus, fact: Fact, body: Provisioned) -> Changes:
    return {"repos": body.repos, "rules": body.rules}


def _fold_rejected(status: DraftStatus, fact: Fact, body: Rejected) -> Changes:
    ended: Changes = {"state": DraftState.REJECTED}
    if fact.cause.request == draft_path(fact.draft):
        return ended
    # The end is all that a retirement asks for.
    requests = {**status.requests, fact.cause.request: fact.cause.blob}
    return ended | {"requests": dict(sorted(requests.items()))}


# -- code ------------------------------------------------------------------------------------


def _at_head(body: Scaffolded | PatchApplied) -> Changes:
    return {
        "branch_name": body.branch,
        "pr_url": body.pull_request.url,
        "pull_request": body.pull_request,
        "head": body.commit,
        "head_tree": body.tree,
    }


def _with_patch(status: DraftStatus, record: PatchRecord) -> tuple[PatchRecord, ...]:
    others = tuple(p for p in status.patches if p.patch != record.patch)
    return tuple(sorted((*others, record), key=lambda p: p.patch))


def _fold_scaffolded(status: DraftStatus, fact: Fact, body: Scaffolded) -> Changes:
    return _at_head(body) | {"state": higher_state(status.state, DraftState.SCAFFOLDED)}


def _fold_patch_applied(status: DraftStatus, fact: Fact, body: PatchApplied) -> Changes:
    record = PatchRecord(patch=body.patch, outcome="applied", commit=body.commit)
    return _at_head(body) | {
        "state": higher_state(status.state, DraftState.IN_REVIEW),
        "patches": _with_patch(status, record),
    }


def _fold_patch_refused(status: DraftStatus, fact: Fact, body: PatchRefused) -> Changes:
    record = PatchRecord(patch=body.patch, outcome="refused", reasons=body.reasons)
    return {"patches": _with_patch(status, record)}


def _fold_checks(status: DraftStatus, fact: Fact, body: ChecksRecorded) -> Changes:
    kept = tuple(c for c in status.checks if c.tree != body.report.tree)
    return {"checks": (*kept, body.report)}


def _fold_built(status: DraftStatus, fact: Fact, body: Built) -> Changes:
    return {"builds": (*status.builds, body.build.model_copy(update={"bundle": ""}))}


def _say_checks(body: ChecksRecorded) -> str:
    results = (f"{r.name} {r.outcome}" for r in body.report.results)
    return f"{', '.join(results)} at {short_id(body.report.commit)}"


def _codes(reasons: tuple[Reason, ...]) -> str:
    return ", ".join(dict.fromkeys(r.code for r in reasons))


# -- promotions and observations -------------------------------------------------------------


def told_state(status: DraftStatus, body: Promoted) -> DraftState:
    """The state of a draft after a promotion, according to its fact."""
    told = body.state or STATE_OF_STAGE.get(body.environment, status.state)
    return higher_state(status.state, told)


def _fold_promotion_refused(status: DraftStatus, fact: Fact, body: PromotionRefused) -> Changes:
    refused = RefusedPromotion(
        environment=body.environment, reasons=body.reasons, group=_group(fact)
    )
    others = elsewhere(status.refused_promotions, body.environment)
    return answered(status, body.environment) | {"refused_promotions": (*others, refused)}


def _group(fact: Fact, decided_at: Moment | None = None) -> GroupRevision | None:
    """The revision of a release group that caused a fact; None if another request did."""
    cause = fact.cause
    if not is_of_kind(cause.request, _GROUP):
        return None
    return GroupRevision(request=cause.request, commit=cause.commit, decided_at=decided_at)


def _fold_superseded(status: DraftStatus, fact: Fact, body: PromotionSuperseded) -> Changes:
    replaced = SupersededPromotion(
        environment=body.environment, blob=body.blob, commit=body.commit, by=fact.cause.commit
    )
    changes: Changes = {"superseded": (*elsewhere(status.superseded, body.environment), replaced)}
    if not body.request:
        return changes
    # It lies elsewhere than the newer request, whose answer will not settle it.
    requests = {**status.requests, body.request: body.blob}
    return changes | {"requests": dict(sorted(requests.items()))}


def _fold_hold_lifted(status: DraftStatus, fact: Fact, body: HoldLifted) -> Changes:
    left = elsewhere(status.holds, body.environment)
    return answered(status, body.environment) | {"holds": left}


def _fold_retired(status: DraftStatus, fact: Fact, body: Retired) -> Changes:
    return {
        "promotions": elsewhere(status.promotions, body.environment),
        "holds": elsewhere(status.holds, body.environment),
    }


def _fold_promoted(status: DraftStatus, fact: Fact, body: Promoted) -> Changes:
    record = PromotionRecord(
        environment=body.environment,
        namespace=body.namespace,
        release=body.release,
        overlay_tree=body.overlay_tree,
        overlay_folder=body.overlay_folder,
        gitops_commit=body.gitops_commit,
        merged_at=body.merged_at,
        pull_request=body.pull_request,
        approved_by=body.approved_by,
        fact=fact.sequence,
        group=_group(fact, body.group.decided_at) if body.group else None,
    )
    others = elsewhere(status.promotions, body.environment)
    order = {name: at for at, name in enumerate(status.target_namespaces)}
    # An environment added after the draft was accepted has no place in the order yet.
    found = sorted(
        (*others, record), key=lambda p: (order.get(p.environment, len(order)), p.environment)
    )
    return answered(status, body.environment) | {
        "state": told_state(status, body),
        "promotions": tuple(found),
        "runs": runs_after(status.runs, fact),
        "holds": holds_after(status, fact, body),
    }


def _say_promoted(body: Promoted) -> str:
    digest = short_digest(body.release.digest)
    waived = "".join(f", {w.rule} waived by {w.request}" for w in body.waived)
    approved = f"{_approved(body.approved_by)}{_say_lane(body)}"
    stated = "".join(f", {s.request} stated by {s.signer}" for s in body.stated)
    told = f"{body.environment} runs {digest} in {body.namespace}{approved}{waived}{stated}"
    return told + _when("merged", body.merged_at)


def _approved(accounts: tuple[int, ...]) -> str:
    return f", approved by {', '.join(map(str, accounts))}" if accounts else ""


def _say_lane(body: Promoted) -> str:
    """What is unusual about a promotion."""
    told = "" if body.lane == "normal" else f", lane {body.lane}"
    if body.automatic:
        told += f" (by policy, after the observation of fact {body.observed})"
    if body.group:
        told += f", with the group {body.group.name}"
    return told if body.goes_further else f"{told}, goes no further by itself"


def _fold_observed(status: DraftStatus, fact: Fact, body: Observed) -> Changes:
    seen = body.observation
    return {
        "promotions": tuple(
            p.model_copy(update={"observation": seen}) if p.environment == seen.environment else p
            for p in status.promotions
        ),
        "runs": runs_after(status.runs, fact),
    }


def _say_observed(body: Observed) -> str:
    seen = body.observation
    return f"{seen.environment}: {seen.health}, {seen.sync}" + _when("seen", seen.observed_at)


def _when(what: str, moment: Moment | None) -> str:
    return f", {what} {shown_moment(moment)}" if moment else ""


# -- the table -------------------------------------------------------------------------------

ROWS: tuple[FactType[Any], ...] = (
    FactType(
        Accepted,
        (_DRAFT,),
        _fold_accepted,
        lambda b: f"{b.primitive_type} from {b.template_id}, code of origin {b.code_origin}",
    ),
    FactType(
        Provisioned,
        (_DRAFT,),
        _fold_provisioned,
        lambda b: ", ".join(b.repos),
        settles_request=False,
    ),
    FactType(
        Scaffolded,
        (_DRAFT,),
        _fold_scaffolded,
        lambda b: f"{b.branch} at {short_id(b.commit)}, {b.pull_request.url}",
        sources=lambda b: ((b.commit, b.tree),),
    ),
    FactType(
        PatchApplied,
        (_PATCH,),
        _fold_patch_applied,
        lambda b: f"patch {b.patch} at {short_id(b.commit)}",
        request_name=lambda b: b.patch,
        sources=lambda b: ((b.commit, b.tree),),
    ),
    FactType(
        PatchRefused,
        (_PATCH,),
        _fold_patch_refused,
        lambda b: f"patch {b.patch}: {_codes(b.reasons)}",
        request_name=lambda b: b.patch,
        reasons=lambda b: b.reasons,
    ),
    FactType(
        ChecksRecorded,
        (_DRAFT, _PROMOTION, _GROUP),
        _fold_checks,
        _say_checks,
        settles_request=False,
        sources=lambda b: ((b.report.commit, b.report.tree),),
        trusts=(Trust("what checks said of a source tree", "the jobs that ran them"),),
    ),
    FactType(
        Built,
        (_PROMOTION, _GROUP),
        _fold_built,
        lambda b: f"{short_digest(b.build.digest)} by {b.build.builder}",
        settles_request=False,
        sources=lambda b: ((b.build.source_commit, b.build.source_tree),),
    ),
    FactType(
        PromotionRefused,
        (_PROMOTION, _GROUP),
        _fold_promotion_refused,
        lambda b: f"{b.environment}: {_codes(b.reasons)}",
        request_name=lambda b: b.environment,
        reasons=lambda b: b.reasons,
    ),
    FactType(
        PromotionSuperseded,
        (_PROMOTION, _GROUP),
        _fold_superseded,
        lambda b: f"{b.environment}: a newer request replaced that of {short_id(b.commit)}",
        settles_request=False,
        request_name=lambda b: b.environment,
    ),
    FactType(
        HoldLifted,
        (_PROMOTION,),
        _fold_hold_lifted,
        lambda b: f"{b.environment}: hold of fact {b.hold}{_approved(b.approved_by)}",
        request_name=lambda b: b.environment,
    ),
    FactType(
        Promoted,
        (_PROMOTION, _GROUP, _ENVIRONMENT),
        _fold_promoted,
        _say_promoted,
        request_name=lambda b: b.environment,
    ),
    FactType(
        Retired,
        (_RETIREMENT,),
        _fold_retired,
        lambda b: f"{b.environment}: {b.overlay_folder} is gone" + _when("merged", b.merged_at),
        settles_request=False,
    ),
    FactType(
        Observed,
        (_DRAFT,),
        _fold_observed,
        _say_observed,
        settles_request=False,
        trusts=(Trust("how a release does in its cluster", "the delivery tool"),),
    ),
    FactType(
        Rejected,
        (_RETIREMENT, _DRAFT),
        _fold_rejected,
        lambda b: b.reason,
        settles_request=False,
    ),
)
FACT_TYPES: Mapping[str, FactType[Any]] = {row.name: row for row in ROWS}


def type_of(body: FactBody) -> FactType[Any]:
    """The row of a fact's body."""
    return FACT_TYPES[body.type]
