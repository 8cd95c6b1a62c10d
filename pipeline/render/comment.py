"""The one comment on a pull request of the control repo: Markdown for a reviewer. Pure.

Whatever a request says stands in a code span, where GitHub sees no mention, no reference, no
closing word, no link and no HTML; what is not in one is this module's own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.characters import visible
from pipeline.models.outputs import AskedItem, FindingItem, ValidationReport
from pipeline.render.decision import approvals_wanted
from pipeline.render.style import counted

KEY = "summary"
# GitHub takes 65,536 characters.
_MAX_CHARACTERS = 60_000
_SHOWN = 50
_TICKS = re.compile(r"`+")


def code_span(text: str) -> str:
    """Text as one code span, whatever it holds; a `|` would end a cell even there."""
    told = visible(text).replace("|", "¦")
    if not told.strip():
        return "` `"
    ticks = "`" * (1 + max((len(run) for run in _TICKS.findall(told)), default=0))
    gap = " " if told[0] in "` " or told[-1] in "` " else ""
    return f"{ticks}{gap}{told}{gap}{ticks}"


def render_comment(report: ValidationReport) -> str:
    """What a reviewer reads: the verdict, what merging would do, who must approve, findings."""
    lines = [f"### {_headline(report)}", ""]
    if report.asked:
        lines += ["**Merging asks the pipeline to**", ""]
        for item in report.asked[:_SHOWN]:
            lines += _asked_lines(item)
        lines += _left_out(len(report.asked), "request")
    if report.findings:
        lines += ["", "| finding | where | what | how to fix it |", "|---|---|---|---|"]
        lines += [_row(finding) for finding in report.findings[:_SHOWN]]
        lines += ["", *_left_out(len(report.findings), "finding")]
    text = "\n".join(lines).rstrip() + "\n"
    if len(text) > _MAX_CHARACTERS:
        return f"### {_headline(report)}\n\nToo long for a comment: the job's log has all of it.\n"
    return text


def _headline(report: ValidationReport) -> str:
    match report.verdict:
        case "valid":
            return f"✓ {counted(len(report.asked), 'request')}, nothing against them"
        case "invalid":
            return f"✗ {counted(report.counts.error, 'finding')} to correct before this is merged"
        case _:
            return "… could not be checked, so it is not good"


def _asked_lines(item: AskedItem) -> Iterator[str]:
    yield f"- {item.asks} ({code_span(item.path)})"
    for name, value in item.details:
        yield f"  - {name}: {code_span(value)}"
    if item.approvals is not None:
        yield f"  - approvals: {code_span(approvals_wanted(item.approvals))}, of the last revision"


def _row(finding: FindingItem) -> str:
    place = finding.file if finding.line is None else f"{finding.file}:{finding.line}"
    cells = (finding.code, place, finding.message, finding.help)
    return "| " + " | ".join(code_span(cell) for cell in cells) + " |"


def _left_out(count: int, what: str) -> list[str]:
    return [f"… and {counted(count - _SHOWN, 'more ' + what)}."] if count > _SHOWN else []
