"""Who approved the releases in an environment, when, and on which evidence. Pure.

`pipeline audit report` prints it as a table, CSV, JSON or a page. All of it comes from facts;
`pipeline audit verify` proves them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources

from jinja2 import Environment as Pages
from jinja2 import StrictUndefined

from pipeline.characters import visible
from pipeline.models.decisions import ApprovalItem, ApprovalsReport, PromotedItem
from pipeline.models.facts import Fact, Promoted
from pipeline.models.requests import Platform
from pipeline.models.status import DraftStatus
from pipeline.render.style import PLAIN, Style, counted, short_digest, short_id, shown_moment, table

_COLUMNS = (
    "draft",
    "environment",
    "runs_now",
    "digest",
    "source_commit",
    "decided_at",
    "merged_at",
    "asked_by",
    "approved_by",
    "request",
    "request_commit",
    "checks",
    "builder",
    "waived",
    "stated",
    "health",
    "fact",
)


def promoted_items(
    status: DraftStatus,
    facts: Sequence[Fact],
    environment: str,
    platform: Platform | None,
    *,
    since: str | None = None,
) -> Iterator[PromotedItem]:
    """A draft's promotions to an environment, oldest first: the running one, or all since then."""
    running = status.promotion(environment)
    for fact in facts:
        body = fact.body
        if not isinstance(body, Promoted) or body.environment != environment:
            continue
        runs_now = running is not None and running.fact == fact.sequence
        decided = body.merged_at or fact.decided_at
        if runs_now if since is None else decided is None or decided >= since:
            seen = running.observation if running is not None and runs_now else None
            yield PromotedItem(
                draft=status.id,
                environment=environment,
                runs_now=runs_now,
                digest=body.release.digest,
                source_commit=body.release.source_commit,
                namespace=body.namespace,
                decided_at=fact.decided_at,
                merged_at=body.merged_at,
                asked_by=_login(platform, fact.cause.actor),
                approvals=tuple(_approvals(fact, body, platform)),
                request=fact.cause.request,
                request_commit=fact.cause.commit,
                checks=body.checks,
                builder=_builder(facts, body),
                waived=tuple(f"{w.rule} by {w.request}" for w in body.waived),
                stated=tuple(f"{s.request} by {s.signer}" for s in body.stated),
                health=f"{seen.health}, {seen.sync}" if seen else "unknown",
                fact=fact.sequence,
            )


def _approvals(fact: Fact, body: Promoted, platform: Platform | None) -> Iterator[ApprovalItem]:
    """The people whose approval counted, each with the time of their last approval."""
    brought = fact.cause.brought
    for id in body.approved_by:
        reviews = [r for r in (brought.reviews if brought else ()) if r.account == id]
        given = [review.at for review in reviews if review.verdict == "approved"]
        at = given[-1] if given else None
        yield ApprovalItem(account=id, login=_login(platform, id), at=at)


def _login(platform: Platform | None, id: int) -> str:
    """The account's login in today's policy, or its number if policy no longer lists it."""
    account = platform.account(id) if platform else None
    return account.login if account else str(id)


def _builder(facts: Iterable[Fact], body: Promoted) -> str:
    builds = (getattr(fact.body, "build", None) for fact in facts)
    return next((b.builder for b in builds if b and b.digest == body.release.digest), "unknown")


def render_approvals_report(report: ApprovalsReport, style: Style = PLAIN) -> str:
    """One line per promotion: what was promoted, and who asked for it and approved it."""
    if not report.promotions:
        return f"nothing was promoted to {report.environment}\n"
    rows = [("DRAFT", "DIGEST", "SOURCE", "MERGED", "ASKED BY", "APPROVED BY", "HEALTH", "NOW")]
    for item in report.promotions:
        rows.append(
            (
                item.draft,
                short_digest(item.digest),
                short_id(item.source_commit),
                shown_moment(item.merged_at or item.decided_at),
                visible(item.asked_by),
                _people(item) or "nobody had to",
                visible(item.health),
                "runs" if item.runs_now else "-",
            )
        )
    head, *lines = table(rows)
    count = counted(len(report.promotions), "promotion")
    told = [style.paint("dim", head), *lines, f"{count}; `pipeline audit verify` proves the facts"]
    return "".join(f"{line}\n" for line in told)


def _people(item: PromotedItem) -> str:
    return ", ".join(visible(approval.login) for approval in item.approvals)


def render_approvals_csv(report: ApprovalsReport) -> str:
    """The report as CSV with a head; a cell that a spreadsheet would calculate begins with `'`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for item in report.promotions:
        values = item.model_dump(mode="json") | {"approved_by": _approved_cell(item)}
        writer.writerow(_cell(values[name]) for name in _COLUMNS)
    return out.getvalue()


def _approved_cell(item: PromotedItem) -> str:
    said = (f"{a.login} ({a.account}){f' at {a.at}' if a.at else ''}" for a in item.approvals)
    return "; ".join(said)


def _cell(value: object) -> str:
    text = "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")
    shown = visible(text)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") else shown


def render_approvals_page(report: ApprovalsReport) -> str:
    """The report as one printable HTML page that loads nothing else."""
    pages = Pages(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    pages.filters["visible"] = visible
    text = resources.files("pipeline.render").joinpath("approvals.html.j2").read_text("utf-8")
    return pages.from_string(text).render(report=report)
