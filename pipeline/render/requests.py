"""The outcome of a proposed request: the document `RequestProposal`, and lines for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from pipeline.characters import visible
from pipeline.diagnostics import Finding
from pipeline.forges.port import PullRequest
from pipeline.models.decisions import DecisionDocument
from pipeline.models.outputs import RequestProposal
from pipeline.models.run_report import FindingItem
from pipeline.render.decision import approvals_wanted, reason_lines
from pipeline.render.report import finding_values
from pipeline.render.style import PLAIN, Style, short_digest, short_id


def finding_items(findings: Sequence[Finding]) -> tuple[FindingItem, ...]:
    """Findings as items of a document."""
    return tuple(FindingItem.model_validate(finding_values(f)) for f in findings)


def pull_name(pull: PullRequest) -> str:
    """A pull request as the `review` commands name it."""
    return f"{pull.repo}#{pull.number}"


def render_proposal(document: RequestProposal, headline: str, style: Style = PLAIN) -> str:
    """The result, where the request is, and the next step."""
    lines = [f"{style.good} {visible(headline)}", *outcome_lines(document)]
    return "\n".join(lines) + "\n"


def outcome_lines(document: RequestProposal) -> list[str]:
    """The lines on where the request is now, and the next step."""
    pull = document.pull_request
    match document.outcome:
        case "written" | "unchanged":
            return [f"  {document.outcome:<8} {document.path}", "  next     open a pull request"]
        case "on-main":
            return [f"  on main  {document.path}", "  next     `pipeline run`"]
        case "submitted":
            lines = [
                f"  asked    {document.path}",
                f"  pull     {pull} ({document.pull_request_state})",
            ]
            if document.pull_request_state == "open":
                lines.append(f"  next     `pipeline review approve {pull} --as ACCOUNT --merge`")
            elif document.pull_request_state == "merged":
                lines.append("  next     `pipeline run`")
            else:
                lines.append("  next     it was closed; ask again with another reason or summary")
            return lines
    assert_never(document.outcome)


def render_promotion(
    document: RequestProposal,
    decision: DecisionDocument,
    *,
    folder: str,
    added: int,
    removed: int,
    known: str,
    style: Style = PLAIN,
) -> str:
    """The result of `promote request`: what would run, the overlay, what waits, who approves."""
    release = short_digest(decision.digest)
    if decision.digest is None:
        release = f"the build of {short_id(decision.source_commit)}"
    lines = [f"{style.good} {decision.environment} would run {release}{known}"]
    if decision.overlay_tree:
        lines.append(
            f"  overlay  {folder}  tree {short_id(decision.overlay_tree)}  "
            f"(+{added} −{removed} lines against what runs now)"
        )
    lines += reason_lines(decision.reasons, style)
    found = outcome_lines(document)
    if decision.approvals is not None and document.pull_request_state != "merged":
        found[-1] += f"; {approvals_wanted(decision.approvals)}"
    return "\n".join([*lines, *found]) + "\n"


def render_refusal(decision: DecisionDocument, style: Style = PLAIN) -> str:
    """Why a promotion cannot be requested; nothing was written."""
    head = (
        f"{style.bad} {decision.environment} would refuse {short_digest(decision.digest)}: "
        "nothing was written"
    )
    why = f"  next     `pipeline why {decision.draft} --env {decision.environment}`"
    return "\n".join([head, *reason_lines(decision.reasons, style), why]) + "\n"
