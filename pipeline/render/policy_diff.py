"""What a change of policy decides otherwise, for people: as text, and as Markdown. Pure.

Messages and names of drafts come from requests, so in Markdown they are always in code spans.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.models.policy import ChangedDecision, PolicyDiffDocument
from pipeline.render.markdown import code_span
from pipeline.render.style import PLAIN, Style, counted, shown_moment, table

_SHOWN = 20  # decisions in a comment; text and JSON have all
_REASONS = 3  # of each decision
_LONG = 200  # characters of a message


def render_policy_diff(document: PolicyDiffDocument, style: Style = PLAIN) -> str:
    """The decisions that would be others, newest first, and what is not known."""
    rows = [
        (
            one.draft,
            one.environment,
            f"fact {one.fact}",
            shown_moment(one.at),
            f"{one.was} → {one.would_be}",
        )
        for one in document.changed
    ]
    lines = [_headline(document, style)]
    for line, one in zip(table(rows), document.changed, strict=True):
        sign = style.good if one.would_be == "allowed" else style.bad
        lines.append(f"  {sign} {line}")
        lines += [f"      {reason.code}: {reason.message}" for reason in one.reasons]
    lines += [f"  {line}" for line in _notes(document)]
    return "".join(f"{line}\n" for line in lines)


def _headline(document: PolicyDiffDocument, style: Style) -> str:
    if document.problem:
        return f"{style.bad} what policy decides could not be compared: {document.problem}"
    if not document.files:
        return f"{style.good} no policy differs: {_of_all(document)} would come out the same"
    if not document.changed:
        return f"{style.good} none of {_of_all(document)} would be decided otherwise"
    return f"{style.wait} {len(document.changed)} of {_of_all(document)} would be decided otherwise"


def _of_all(document: PolicyDiffDocument) -> str:
    return counted(document.decisions, "recorded decision")


def _notes(document: PolicyDiffDocument) -> Iterator[str]:
    if document.files and not document.problem:
        yield (
            f"{document.replayed} made again by both policies; "
            "what changed concerns none of the others"
        )
    if document.other_reasons:
        yield f"{document.other_reasons} would come out the same for other reasons"
    yield from (f"not known: {told}" for told in document.not_known)


def policy_diff_lines(document: PolicyDiffDocument) -> Iterator[str]:
    """The section of a comment: a bounded table of decisions, and counts of all."""
    if document.problem:
        yield f"**What policy decides could not be compared**: {code_span(document.problem)}"
        return
    yield f"**{_headline(document, PLAIN)[2:]}**"
    yield ""
    if document.changed:
        yield "| decision | when | was | would be | reasons |"
        yield "|---|---|---|---|---|"
    yield from (_row(one) for one in document.changed[:_SHOWN])
    if document.changed:
        yield ""
    left = len(document.changed) - _SHOWN
    if left > 0:
        command = code_span(f"pipeline policy diff {document.base[:12]} {document.head[:12]}")
        yield f"- and {counted(left, 'more decision')}: {command} lists all"
    yield from (f"- {line}" for line in _notes(document))


def _row(one: ChangedDecision) -> str:
    told = [f"{r.code}: {r.message[:_LONG]}" for r in one.reasons[:_REASONS]]
    if len(one.reasons) > _REASONS:
        told.append(f"… and {len(one.reasons) - _REASONS} more")
    cells = (
        code_span(f"{one.draft} in {one.environment}, fact {one.fact}"),
        shown_moment(one.at),
        one.was,
        one.would_be,
        "; ".join(map(code_span, told)) or "–",
    )
    return f"| {' | '.join(cells)} |"


def render_policy_diff_markdown(document: PolicyDiffDocument) -> str:
    """The section of a comment as a document of its own."""
    return "".join(f"{line}\n" for line in policy_diff_lines(document))
