"""Decisions of the gate: as the document `Decision`, and as lines for people. Pure."""

from __future__ import annotations

from typing import Literal

from pipeline.characters import visible
from pipeline.gate.authorise import Decision, DecisionReason
from pipeline.models.outputs import ApprovalsWanted, DecisionDocument
from pipeline.models.requests import ApprovalPolicy, Promotion, RiskTier
from pipeline.models.run_report import DecisionReasonItem
from pipeline.releases.overlays import Overlay
from pipeline.render.style import PLAIN, Style, short_digest, short_id
from pipeline.requests.asked import wanted_by


def decision_document(
    decision: Decision,
    promotion: Promotion,
    overlay: Overlay | None,
    *,
    requested: bool,
    risk_tier: RiskTier,
    policy: ApprovalPolicy | None,
) -> DecisionDocument:
    """The decision as a document, with its input."""
    wanted = None
    if policy is not None:
        wanted = wanted_by(policy, risk_tier)
    digest = promotion.release.digest or (overlay.release.digest if overlay else None)
    verdict: Literal["allowed", "waits", "refused"] = "allowed"
    if decision.reasons:
        verdict = "refused" if decision.refused else "waits"
    return DecisionDocument(
        draft=decision.draft,
        environment=decision.environment,
        requested=requested,
        verdict=verdict,
        reasons=tuple(reason_item(r) for r in decision.reasons),
        approved_by=decision.approved_by,
        approvals=wanted,
        source_commit=promotion.release.source_commit,
        digest=digest,
        overlay_tree=overlay.tree if overlay else None,
        namespace=overlay.namespace if overlay else None,
    )


def reason_item(reason: DecisionReason) -> DecisionReasonItem:
    """One reason, with invisible characters in its message shown."""
    return DecisionReasonItem(code=reason.code, message=visible(reason.message), final=reason.final)


def render_decision(document: DecisionDocument, style: Style = PLAIN) -> str:
    """The output of `why`: verdict, release, every reason, and the next step."""
    sign = {"allowed": style.good, "waits": style.wait, "refused": style.bad}[document.verdict]
    asked = "" if document.requested else " (not requested yet)"
    lines = [
        f"{sign} {document.draft} in {document.environment}: "
        f"{style.paint('bold', document.verdict)}{asked}",
        f"  release  {short_digest(document.digest)} from {short_id(document.source_commit)}",
    ]
    if document.overlay_tree:
        lines.append(f"  overlay  tree {short_id(document.overlay_tree)} in {document.namespace}")
    if document.approved_by:
        lines.append(f"  approved by account {', '.join(map(str, document.approved_by))}")
    lines += reason_lines(document.reasons, style)
    lines.append(f"  next     {next_step(document)}")
    return "\n".join(lines) + "\n"


def reason_lines(reasons: tuple[DecisionReasonItem, ...], style: Style = PLAIN) -> list[str]:
    """One line for each reason: final ones refuse, the others wait."""
    return [
        f"  {style.bad if r.final else style.wait} {style.paint('bold', r.code)}: {r.message}"
        for r in reasons
    ]


def next_step(document: DecisionDocument) -> str:
    """The next step after this verdict."""
    again = f"pipeline promote request {document.draft} --env {document.environment}"
    if document.verdict == "refused":
        codes = {r.code for r in document.reasons if r.final}
        if "environment-order" in codes:
            return "promote it to the environment before this one first"
        return f"`pipeline explain {min(codes)}`; then a new request"
    if not document.requested:
        return f"`{again} --reason …`"
    if document.verdict == "allowed":
        return "`pipeline run` writes the overlay"
    if any(r.code == "approval-missing" for r in document.reasons):
        return f"{approvals_wanted(document.approvals)}; then `pipeline run`"
    return "`pipeline run` does what is missing and judges again"


def approvals_wanted(wanted: ApprovalsWanted | None) -> str:
    """The required approvals, in words."""
    if wanted is None:
        return "no approval asked"
    teams = " or ".join(wanted.teams)
    each = ", at least 1 of each" if wanted.each_team else ""
    return f"{wanted.count} approval{'' if wanted.count == 1 else 's'} of {teams}{each}"
