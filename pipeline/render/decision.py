"""Decisions of the gate: as the document `Decision`, and as lines for people. Pure."""

from __future__ import annotations

import html
from collections.abc import Sequence

from pipeline.characters import visible
from pipeline.gate.authorise import Decision, DecisionReason
from pipeline.gate.explain import Answer, opens_at
from pipeline.models.base import Moment, moment_of
from pipeline.models.decisions import ApprovalsWanted, ClauseItem, DecisionDocument
from pipeline.models.requests import ApprovalPolicy, Promotion, RiskTier
from pipeline.models.run_report import DecisionReasonItem
from pipeline.releases.overlays import Overlay
from pipeline.render.style import PLAIN, Style, short_digest, short_id, shown_moment
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
    return DecisionDocument(
        draft=decision.draft,
        environment=decision.environment,
        requested=requested,
        verdict=decision.verdict,
        reasons=tuple(reason_item(r) for r in decision.reasons),
        approved_by=decision.approved_by,
        approvals=wanted,
        source_commit=promotion.release.source_commit,
        digest=digest,
        overlay_tree=overlay.tree if overlay else None,
        namespace=overlay.namespace if overlay else None,
    )


def explained(
    document: DecisionDocument, answers: Sequence[Answer], now_s: int
) -> DecisionDocument:
    """The document with the answers of all clauses at this moment."""
    clauses = tuple(_clause_item(answer) for answer in answers)
    until = _moment_or_none(opens_at(answers))
    return document.model_copy(update={"clauses": clauses, "at": moment_of(now_s), "until": until})


def _clause_item(answer: Answer) -> ClauseItem:
    return ClauseItem(
        clause=answer.clause,
        about=answer.about,
        met=answer.is_met,
        assumed=answer.is_assumed,
        evidence=visible(answer.evidence),
        reasons=tuple(reason_item(reason) for reason in answer.reasons),
        help=answer.fixes,
        who=visible(answer.who),
        waiver=answer.waiver,
        until=_moment_or_none(answer.until_s),
    )


def _moment_or_none(seconds: int | None) -> Moment | None:
    return None if seconds is None else moment_of(seconds)


def reason_item(reason: DecisionReason) -> DecisionReasonItem:
    """One reason, with invisible characters in its message shown."""
    return DecisionReasonItem(code=reason.code, message=visible(reason.message), final=reason.final)


def render_decision(document: DecisionDocument, style: Style = PLAIN) -> str:
    """The output of `why`: verdict, release, every reason, and the next step."""
    sign = {"allowed": style.good, "waits": style.wait, "refused": style.bad}[document.verdict]
    told = f"{style.paint('bold', document.verdict)}{_asked(document)}"
    if document.runs_since:
        sign, told = style.good, f"runs since {shown_moment(document.runs_since)}"
    lines = [
        f"{sign} {document.draft} in {document.environment}: {told}",
        f"  release  {short_digest(document.digest)} from {short_id(document.source_commit)}",
    ]
    if document.overlay_tree:
        lines.append(f"  overlay  tree {short_id(document.overlay_tree)} in {document.namespace}")
    if document.approved_by:
        lines.append(f"  approved by account {', '.join(map(str, document.approved_by))}")
    if document.at:
        lines.append(f"  at       {shown_moment(document.at)}")
    if document.runs_since:
        lines.append(f"  asked for again now: {style.paint('bold', document.verdict)}")
    if document.clauses:
        lines += [line for clause in document.clauses for line in _clause_lines(clause, style)]
    else:
        lines += reason_lines(document.reasons, style)
    if document.until:
        lines.append(f"  opens    {shown_moment(document.until)}, by time alone")
    lines.append(f"  next     {next_step(document)}")
    return "\n".join(lines) + "\n"


def _clause_lines(clause: ClauseItem, style: Style) -> list[str]:
    """One line for a met clause; for an unmet one also its reasons, the fix and who can do it."""
    if clause.met:
        sign = style.wait if clause.assumed else style.good
        return [f"  {sign} {clause.clause:<18} {clause.about}: {clause.evidence}"]
    final = any(reason.final for reason in clause.reasons)
    sign = style.bad if final else style.wait
    lines = [f"  {sign} {style.paint('bold', f'{clause.clause:<18}')} {clause.about}"]
    lines += [f"      {reason.code}: {reason.message}" for reason in clause.reasons]
    lines += [f"      help: {fix}" for fix in clause.help]
    lines.append(f"      who:  {clause.who}")
    if clause.waiver:
        lines.append(f"      or:   a reviewed waiver, {clause.waiver}")
    if clause.until:
        lines.append(f"      from: {shown_moment(clause.until)}")
    return lines


def render_decision_markdown(document: DecisionDocument) -> str:
    """The decision as Markdown for a pull request's comment: a table of clauses."""
    verdict = f"{document.verdict}**{_asked(document)}"
    if document.runs_since:
        since = shown_moment(document.runs_since)
        verdict = f"runs since {since}** (asked for again now: {document.verdict})"
    lines = [
        f"**`{document.draft}` in `{document.environment}`: {verdict}",
        "",
        "| | clause | what was found | who can change it |",
        "|---|---|---|---|",
    ]
    for clause in document.clauses:
        final = any(reason.final for reason in clause.reasons)
        sign = "✓" if clause.met else "✗" if final else "…"
        found = [clause.evidence, *(f"{r.code}: {r.message}" for r in clause.reasons)]
        cells = (sign, clause.clause, "; ".join(found), clause.who or "–")
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    if document.until:
        lines += ["", f"Time alone lets it pass from {shown_moment(document.until)} on."]
    lines += ["", f"Next: {next_step(document)}"]
    return "".join(f"{line}\n" for line in lines)


def _asked(document: DecisionDocument) -> str:
    return "" if document.requested else " (not requested yet)"


def _cell(text: str) -> str:
    """Text escaped so that it can neither end a table's cell nor become markup."""
    kept = html.escape(text, quote=False)
    return "".join(f"\\{c}" if c in "\\|`*_[]!" else c for c in kept)


def reason_lines(reasons: tuple[DecisionReasonItem, ...], style: Style = PLAIN) -> list[str]:
    """One line for each reason: final ones refuse, the others wait."""
    return [
        f"  {style.bad if r.final else style.wait} {style.paint('bold', r.code)}: {r.message}"
        for r in reasons
    ]


def next_step(document: DecisionDocument) -> str:
    """The next step after this verdict."""
    if document.runs_since:
        return "nothing: what was asked for runs"
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
