"""The one comment on a pull request of the control repo: Markdown for a reviewer. Pure.

Text from a request is always in a code span, where GitHub sees no mention, reference, closing
keyword, link or HTML; all other text is this module's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import assert_never

from pipeline.characters import visible
from pipeline.gate.authority import Authority
from pipeline.models.outputs import AskedItem, PromotionPreview, ValidationReport
from pipeline.models.policy import PolicyDiffDocument
from pipeline.models.run_report import FindingItem
from pipeline.render.decision import approvals_wanted
from pipeline.render.markdown import TICKS, code_span
from pipeline.render.policy_diff import policy_diff_lines
from pipeline.render.style import counted

KEY = "summary"
# GitHub accepts 65,536 characters.
_MAX_CHARACTERS = 60_000
_SHOWN = 50
_LONG = 600  # characters per value, so that one request cannot push others out of the comment
_URL = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~@%/-]*)?\Z")


def render_comment(
    report: ValidationReport,
    previews: Sequence[PromotionPreview] = (),
    authority: Authority | None = None,
    policy: PolicyDiffDocument | None = None,
) -> str:
    """The comment: the verdict, what merging would do, who must approve, and findings.

    For promotions also the diff against what runs now; for a change of policy what it would have
    decided otherwise. If all is too long for a comment, the diffs are left out first.
    """
    for shown in (True, False):
        text = _comment(report, previews, authority, policy, with_diffs=shown)
        if len(text) <= _MAX_CHARACTERS:
            return text
    title = headline(report, authority)
    return f"### {title}\n\nToo long for a comment: the job's log has all of it.\n"


def _comment(
    report: ValidationReport,
    previews: Sequence[PromotionPreview],
    authority: Authority | None,
    policy: PolicyDiffDocument | None,
    *,
    with_diffs: bool,
) -> str:
    lines = [f"### {headline(report, authority)}", ""]
    if report.asked:
        lines += ["**Merging asks the pipeline to**", ""]
        for item in report.asked[:_SHOWN]:
            lines += _asked_lines(item)
        lines += _left_out(len(report.asked), "request")
    if authority is not None:
        lines += ["", *_authority_lines(authority)]
    for preview in previews[:_SHOWN]:
        lines += ["", *_preview_lines(preview, with_diffs)]
    if policy is not None:
        lines += ["", *policy_diff_lines(policy)]
    if report.findings:
        lines += ["", "| finding | where | what | how to fix it |", "|---|---|---|---|"]
        lines += [_row(finding) for finding in report.findings[:_SHOWN]]
        lines += ["", *_left_out(len(report.findings), "finding")]
    return "\n".join(lines).rstrip() + "\n"


def headline(report: ValidationReport, authority: Authority | None = None) -> str:
    """The verdict in one line."""
    match report.verdict:
        case "valid" if authority is not None and not authority.is_complete:
            return f"… {counted(len(report.asked), 'request')}: approvals are missing"
        case "valid":
            return f"✓ {counted(len(report.asked), 'request')}, nothing against them"
        case "invalid":
            return f"✗ {counted(report.counts.error, 'finding')} to correct before this is merged"
        case "could-not-check":
            return "… could not be checked; treated as failing"
    assert_never(report.verdict)


def _authority_lines(authority: Authority) -> Iterator[str]:
    """The lines on who must approve before the merge, and what is missing."""
    yield "**Before it is merged**"
    yield ""
    for policy in authority.wanted:
        teams = " or ".join(code_span(team) for team in policy.teams) or "nobody named in policy"
        yield f"- {counted(policy.count, 'approval')} of the final revision by {teams}"
    missing = list(dict.fromkeys(r.message for r in authority.reasons if not r.final))
    yield from (f"- missing: {code_span(message)}" for message in missing)
    if not missing:
        yield "- nothing is missing"


def _asked_lines(item: AskedItem) -> Iterator[str]:
    yield f"- {item.asks} ({code_span(item.path)})"
    for name, value in item.details[:_SHOWN]:
        yield f"  - {name}: {code_span(value if len(value) <= _LONG else value[:_LONG] + ' …')}"
    if len(item.details) > _SHOWN:
        yield f"  - … and {counted(len(item.details) - _SHOWN, 'more change')}"
    if item.approvals is not None:
        yield f"  - approvals: {code_span(approvals_wanted(item.approvals))}, of the last revision"


def _preview_lines(preview: PromotionPreview, with_diffs: bool) -> Iterator[str]:
    yield f"**{code_span(preview.draft)} in {code_span(preview.environment)}**"
    yield ""
    if preview.problem:
        yield f"- could not be read: {code_span(preview.problem)}"
        return
    if preview.digest:
        same = " – that runs there already" if preview.digest == preview.running else ""
        yield f"- image: {code_span(preview.digest)}{same}"
        stated = (
            f"stated by {code_span(preview.signer)}" if preview.signer else "no signed provenance"
        )
        yield (
            f"- built from {code_span(preview.source_commit[:12])} by {code_span(preview.builder)},"
            f" {stated}"
        )
    if preview.running and preview.running != preview.digest:
        yield f"- runs there now: {code_span(preview.running)}"
    if preview.namespace:
        yield f"- namespace: {code_span(preview.namespace)}"
    for reason in preview.reasons:
        word = "against it" if reason.final else "waits for"
        yield f"- {word}: {code_span(reason.code)} {code_span(reason.message)}"
    if not preview.reasons:
        yield "- nothing against it; approvals are counted once it is merged"
    links = " · ".join(f"[{link.name}]({link.url})" for link in preview.links if _is_url(link.url))
    if links:
        yield f"- {links}"
    yield from _diff_lines(preview, with_diffs)


def _is_url(text: str) -> bool:
    return _URL.match(text) is not None


def _diff_lines(preview: PromotionPreview, with_diffs: bool) -> Iterator[str]:
    if not (preview.diff and with_diffs):
        lines = len(preview.diff) + preview.left_out
        yield (
            f"- manifests: {counted(lines, 'line')} of difference"
            if lines
            else ("- manifests: as they are now")
        )
        return
    # The fence is longer than any run of backticks in the text, so the text cannot end it.
    runs = (len(run) for line in preview.diff for run in TICKS.findall(line))
    fence = "`" * max(3, 1 + max(runs, default=0))
    yield ""
    yield "<details><summary>What changes where it runs</summary>"
    yield ""
    yield f"{fence}diff"
    yield from (visible(line) for line in preview.diff)
    yield fence
    if preview.left_out:
        yield f"… and {counted(preview.left_out, 'more line')}."
    yield ""
    yield "</details>"


def _row(finding: FindingItem) -> str:
    place = finding.file if finding.line is None else f"{finding.file}:{finding.line}"
    cells = (finding.code, place, finding.message, finding.help)
    return "| " + " | ".join(code_span(cell) for cell in cells) + " |"


def _left_out(count: int, what: str) -> list[str]:
    return [f"… and {counted(count - _SHOWN, 'more ' + what)}."] if count > _SHOWN else []
