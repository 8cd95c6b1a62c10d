"""Facts and audits for people and machines. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pipeline.characters import visible
from pipeline.diagnostics import Finding, Verdict
from pipeline.models.base import Moment
from pipeline.models.facts import Fact
from pipeline.models.outputs import (
    AcknowledgedItem,
    AuditReportDocument,
    ProvedItem,
    TrustItem,
)
from pipeline.models.provenance import Stated
from pipeline.models.trust import Trust
from pipeline.render.requests import finding_items
from pipeline.render.style import PLAIN, Style, counted, short_digest, short_id, shown_moment
from pipeline.state.fact_types import type_of
from pipeline.state.facts import fact_bytes, hash_of


class ShownAcknowledgement(Protocol):
    """An acknowledged finding."""

    @property
    def finding(self) -> Finding: ...
    @property
    def path(self) -> str: ...
    @property
    def by(self) -> str: ...
    @property
    def reason(self) -> str: ...


class ShownReport(Protocol):
    """The shown part of what `pipeline.audit.verify` returns."""

    @property
    def findings(self) -> tuple[Finding, ...]: ...
    @property
    def drafts(self) -> int: ...
    @property
    def facts(self) -> int: ...
    @property
    def overlays(self) -> int: ...
    @property
    def repositories(self) -> int: ...
    @property
    def remembered(self) -> int: ...
    @property
    def decisions(self) -> int: ...
    @property
    def replayed(self) -> int: ...
    @property
    def proved(self) -> Mapping[str, int]: ...
    @property
    def trusted(self) -> Mapping[Trust, int]: ...
    @property
    def acknowledged(self) -> Sequence[ShownAcknowledgement]: ...
    @property
    def verdict(self) -> Verdict: ...


def render_log(draft: str, facts: Sequence[Fact], style: Style = PLAIN) -> str:
    """A draft's facts in order: what happened when, for which request, by which account.

    The time shown with a fact is its decision's; for a merge it is the merge commit's.
    """
    lines = [f"{style.good} {draft}: {counted(len(facts), 'fact')}, every link checked"]
    for fact in facts:
        head = f"  {fact.sequence:>4}  {shown_moment(fact.decided_at):<17}  {fact.body.type:<17}"
        lines.append(f"{head} {visible(summary_of(fact))}")
        lines.append(
            style.paint(
                "dim",
                f"        {fact.cause.request}@{short_id(fact.cause.commit)}"
                f"{_merged(fact.cause.merged_at)}, "
                f"account {fact.cause.actor}, {visible(fact.cause.run)}",
            )
        )
    if facts:
        lines.append(f"  newest   {hash_of(fact_bytes(facts[-1]))}")
    lines.append("  next     `pipeline audit verify` proves all of it from clones")
    return "".join(f"{line}\n" for line in lines)


def _merged(moment: Moment | None) -> str:
    return f", merged {shown_moment(moment)}" if moment else ""


def summary_of(fact: Fact) -> str:
    """One line that summarises a fact."""
    return type_of(fact.body).sentence(fact.body)


def render_provenance(draft: str, stated: Sequence[Stated], style: Style = PLAIN) -> str:
    """One line for each image of a draft: its source, and the signer of its provenance."""
    lines = [draft]
    for one in stated:
        record = one.record
        built = (
            f"{short_digest(record.digest)} from {short_id(record.source_commit)} "
            f"(tree {short_id(record.source_tree)}) by {record.builder}"
        )
        if one.problem:
            lines.append(f"  {style.bad} {built}: {visible(one.problem)}")
        else:
            lines.append(f"  {style.good} {built}, stated by {one.signer}")
    if not stated:
        lines.append("  no image was built yet")
    return "".join(f"{line}\n" for line in lines)


def audit_report_document(report: ShownReport) -> AuditReportDocument:
    """The report of `audit verify` as a document."""
    acknowledged = tuple(
        AcknowledgedItem(
            finding=finding_items([item.finding])[0],
            path=item.path,
            by=visible(item.by),
            reason=item.reason,
        )
        for item in report.acknowledged
    )
    return AuditReportDocument(
        verdict=report.verdict.value,
        drafts=report.drafts,
        facts=report.facts,
        overlays=report.overlays,
        repositories=report.repositories,
        remembered=report.remembered,
        decisions=report.decisions,
        replayed_equal=report.replayed,
        proved=tuple(ProvedItem(what=what, count=n) for what, n in report.proved.items()),
        trusted=tuple(
            TrustItem(what=visible(trust.what), whose=visible(trust.whose), count=count)
            for trust, count in report.trusted.items()
        ),
        findings=finding_items(report.findings),
        acknowledged=acknowledged,
    )


def render_audit_summary(report: ShownReport, style: Style = PLAIN) -> str:
    """The last lines of `audit verify`: the verdict, what was proved, what is taken on trust."""
    lines = [_verdict_line(report, style)]
    if report.decisions:
        lines.append(f"  decisions {report.decisions}, replayed equal {report.replayed}")
    if report.proved:
        lines.append(style.paint("bold", "proved, by computing it again"))
        lines += [f"  {count:>6}  {visible(what)}" for what, count in report.proved.items()]
    if report.trusted:
        lines.append(style.paint("bold", "taken on trust, since no clone shows it"))
        lines += [
            f"  {count:>6}  {visible(trust.what)}, on the word of {visible(trust.whose)}"
            for trust, count in report.trusted.items()
        ]
    if report.acknowledged:
        lines.append(style.paint("bold", "acknowledged"))
    for item in report.acknowledged:
        found = item.finding
        lines.append(f"  {found.code} at {visible(str(found.location))}: {visible(found.message)}")
        lines.append(f"    by {visible(item.by)} in {item.path}: {visible(item.reason)}")
    return "".join(f"{line}\n" for line in lines)


def _verdict_line(report: ShownReport, style: Style) -> str:
    read = (
        f"{counted(report.facts, 'fact')} of {counted(report.drafts, 'draft')}, "
        f"{counted(report.overlays, 'overlay')}, "
        f"{report.repositories} {'repository' if report.repositories == 1 else 'repositories'}"
    )
    if report.remembered:
        read += f"; {counted(report.remembered, 'fact')} verified before"
    if report.verdict is Verdict.VALID:
        return f"{style.good} verified: {read}"
    return f"{style.bad} {counted(len(report.findings), 'finding')} in {read}"
