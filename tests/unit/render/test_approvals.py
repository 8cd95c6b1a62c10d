"""`audit report`: who approved what an environment runs, as text, CSV and a page."""

from __future__ import annotations

import csv
import io

from pipeline.models.decisions import ApprovalsReport
from pipeline.render.approvals import (
    promoted_items,
    render_approvals_csv,
    render_approvals_page,
    render_approvals_report,
)
from tests.support import fact_history as history
from tests.support.samples import sample_platform

HOSTILE = "=cmd|' /C calc'!A0<script>alert(1)</script>\x1b[31m"


def report(environment: str = "staging", since: str | None = None) -> ApprovalsReport:
    facts = history.sample_facts()
    status = history.sample_status()
    items = promoted_items(status, facts, environment, sample_platform(), since=since)
    return ApprovalsReport(
        environment=environment,
        tenant=None,
        since=since,
        control_commit="0" * 40,
        promotions=tuple(items),
    )


def hostile() -> ApprovalsReport:
    found = report()
    item = found.promotions[0]
    approvals = tuple(a.model_copy(update={"login": HOSTILE}) for a in item.approvals)
    item = item.model_copy(
        update={"asked_by": HOSTILE, "request": HOSTILE, "health": HOSTILE, "approvals": approvals}
    )
    return found.model_copy(update={"promotions": (item,)})


def test_it_lists_what_runs_with_the_people_and_the_evidence() -> None:
    (item,) = report().promotions
    assert (
        item.runs_now and item.approvals and item.checks and item.request.endswith("staging.yaml")
    )
    assert item.builder != "unknown" and item.asked_by
    text = render_approvals_report(report())
    assert item.approvals[0].login in text and "1 promotion;" in text


def test_nothing_promoted_is_said() -> None:
    assert render_approvals_report(report("prod")) == "nothing was promoted to prod\n"


def test_since_lists_later_promotions_and_those_without_a_time() -> None:
    assert len(report(since="2000-01-01T00:00:00Z").promotions) == 1
    late = report(since="2100-01-01T00:00:00Z").promotions
    assert all(item.decided_at is None for item in late)


def test_csv_has_a_row_per_promotion_and_nothing_that_a_spreadsheet_calculates() -> None:
    head, row = csv.reader(io.StringIO(render_approvals_csv(hostile())))
    told = dict(zip(head, row, strict=True))
    assert told["asked_by"].startswith("'=") and "\x1b" not in render_approvals_csv(hostile())
    assert told["environment"] == "staging" and told["runs_now"] == "True"


def test_the_page_escapes_every_value_and_loads_nothing() -> None:
    page = render_approvals_page(hostile())
    assert "<script" not in page and "\x1b" not in page and "&lt;script&gt;" in page
    assert "default-src 'none'" in page and "http" not in page.replace("http-equiv", "")
