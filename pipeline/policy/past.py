"""What each recorded decision rested on, by its draft's facts and what their causes name. Pure.

Facts tell of source, image, overlay and earlier runs; requests and commits how a decision was asked
for and approved. A refusal records no overlay, so its reasons about that are kept as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from pipeline.gate.approvals import source_authors
from pipeline.gate.authorise import DecisionReason
from pipeline.models.base import seconds_of
from pipeline.models.facts import (
    Accepted,
    Built,
    Cause,
    ChecksRecorded,
    Fact,
    FactBody,
    HoldLifted,
    PatchApplied,
    Promoted,
    PromotionRefused,
    Scaffolded,
)
from pipeline.models.requests import PrimitiveImplementationDraft, Promotion, Waiver
from pipeline.models.status import DraftStatus
from pipeline.policy.recorded import RecordedDraft, Sources
from pipeline.policy.replay import AskedWaiver, Asking, PastDecision, overlay_of
from pipeline.requests.layout import RequestPath, draft_path
from pipeline.requests.snapshot import LoadedRequest
from pipeline.stages.rollback import fallback_promotion
from pipeline.state.evidence import history_of, with_all_runs, with_evidence
from pipeline.state.facts import fold_one
from pipeline.state.runs import lists_all_runs

_AGAIN = frozenset(
    {
        # The final reasons that follow from policy, facts and requests alone.
        *("environment-order", "digest-not-built", "builder-refused", "digest-blocked"),
        *("check-failed", "namespace-shared-custom-code", "namespace-changed"),
        *("promotion-not-pinned", "lane-not-offered", "rollback-target", "rollback-not-due"),
        *("hold-absent", "author-out-of-scope", "policy-with-requests", "environment-unknown"),
        "approval-other-revision",
    }
)
_PROVENANCE = "provenance-"
_LONG_AGO = "1970-01-01T00:00:00Z"  # facts of older tools say no time


def past_decisions(
    recorded: RecordedDraft,
    sources: Sources,
    chosen: Collection[int],
    *,
    is_signed: bool,
) -> Iterator[tuple[Fact, PastDecision | None]]:
    """The decisions of a draft with these numbers, each with what it rested on."""
    facts = recorded.parsed()
    status: DraftStatus | None = None
    draft: PrimitiveImplementationDraft | None = None
    for position, fact in enumerate(facts[: max(chosen, default=0)]):
        if isinstance(fact.body, Accepted):
            found = sources.request(fact.cause.request, fact.cause.blob)
            draft = found if isinstance(found, PrimitiveImplementationDraft) else draft
        if fact.sequence in chosen and status is not None and draft is not None:
            past = _past(fact, facts[:position], (draft, status), sources, is_signed=is_signed)
            yield fact, past
        following = facts[position + 1].previous if position + 1 < len(facts) else None
        status = fold_one(status, fact, partial(_first, facts, position), hash=following)


def _first(facts: Sequence[Fact], count: int) -> Sequence[Fact]:
    return facts[:count]


def _past(
    fact: Fact,
    before: Sequence[Fact],
    known: tuple[PrimitiveImplementationDraft, DraftStatus],
    sources: Sources,
    *,
    is_signed: bool,
) -> PastDecision | None:
    """What one decision rested on; None if no fact tells its source."""
    body, cause, (draft, status) = fact.body, fact.cause, known
    found = sources.request(cause.request, cause.blob)
    promotion = found if isinstance(found, Promotion) else None
    if isinstance(body, Promoted) and body.automatic:
        promotion = fallback_promotion(fact.draft, body.environment, body.release)
    if promotion is None:
        return None
    tree = body.release.source_tree if isinstance(body, Promoted) else _tree_of(promotion, before)
    if tree is None and not isinstance(body, HoldLifted):
        return None
    overlay = None
    if isinstance(body, Promoted):
        overlay = overlay_of(
            status, body.environment, body.namespace, body.release, body.overlay_tree
        )
    return PastDecision(
        promotion=promotion,
        asking=_asking(cause, draft, sources),
        draft=draft,
        status=_with_tree(status, before, tree, promotion),
        now_s=seconds_of(fact.decided_at or cause.merged_at or _LONG_AGO),
        source_tree=tree,
        overlay=overlay,
        bundle=_bundle_of(before, tree) if is_signed else "",
        waivers=tuple(_waivers(body, cause, draft, sources)),
        source_authors=source_authors(before, ()),
        observed=body.observed if isinstance(body, Promoted) else 0,
        kept=tuple(_kept(body, is_signed=is_signed)),
    )


def _tree_of(promotion: Promotion, before: Sequence[Fact]) -> str | None:
    """The source tree that a request asks for, by what facts tell of its commit or digest."""
    release = promotion.release
    for fact in reversed(before):
        body = fact.body
        if isinstance(body, ChecksRecorded) and body.report.commit == release.source_commit:
            return body.report.tree
        if isinstance(body, Scaffolded | PatchApplied) and body.commit == release.source_commit:
            return body.tree
        if isinstance(body, Built) and (
            body.build.source_commit == release.source_commit or body.build.digest == release.digest
        ):
            return body.build.source_tree
    return None


def _with_tree(
    status: DraftStatus, before: Sequence[Fact], tree: str | None, promotion: Promotion
) -> DraftStatus:
    """The status with what facts tell of a source that it no longer lists."""
    if promotion.lane == "rollback":
        status = with_all_runs(status, before)
    if tree is None:
        return status
    is_listed = status.checks_of_tree(tree) and status.build_of_tree(tree)
    has_run = any(run.release.source_tree == tree for run in status.runs)
    if is_listed and (has_run or lists_all_runs(status)):
        return status
    return with_evidence(status, history_of(before, tree))


def _bundle_of(before: Sequence[Fact], tree: str | None) -> str:
    found = [
        f.body.build.bundle
        for f in before
        if isinstance(f.body, Built) and f.body.build.source_tree == tree
    ]
    return found[-1] if found else ""


def _asking(cause: Cause, draft: PrimitiveImplementationDraft, sources: Sources) -> Asking:
    """How a request came to main."""
    places = [(cause.request, cause.blob), *sources.beside.get(cause.commit, ())]
    loaded = [found for place in places if (found := sources.loaded(*place))]
    path = draft_path(draft.id)
    meaning = RequestPath("PrimitiveImplementationDraft", draft.tenant_id, draft.primitive_id)
    loaded.append(LoadedRequest(path, meaning, draft, ""))
    head = cause.brought.head if cause.brought else ""
    return Asking(
        cause=cause,
        changed=sources.changed.get(cause.commit) or (cause.request,),
        requests=tuple(loaded),
        committers=sources.committers.get(head, frozenset()),
        is_reviewed=(head, cause.request) not in sources.unreviewed,
        is_first=cause.commit in sources.firsts,
    )


def _waivers(
    body: FactBody, cause: Cause, draft: PrimitiveImplementationDraft, sources: Sources
) -> Iterator[AskedWaiver]:
    """The waivers that a promotion rested on."""
    for used in body.waived if isinstance(body, Promoted) else ():
        waiver = sources.request(used.request, used.blob)
        if isinstance(waiver, Waiver):
            told = Cause(
                request=used.request,
                commit=used.commit,
                blob=used.blob,
                run=cause.run,
                actor=used.brought.author if used.brought else 0,
                brought=used.brought,
            )
            yield AskedWaiver(waiver, _asking(told, draft, sources))


def _kept(body: FactBody, *, is_signed: bool) -> Iterator[DecisionReason]:
    """The recorded reasons that rest on what facts do not tell, or are the same by both."""
    for reason in body.reasons if isinstance(body, PromotionRefused) else ():
        is_again = reason.code in _AGAIN or (is_signed and reason.code.startswith(_PROVENANCE))
        if not is_again:
            yield DecisionReason(reason.code, reason.message, final=True)
