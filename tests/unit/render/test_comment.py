"""The comment on a pull request: what merging does, with a request's words as plain text only."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.diagnostics import Finding
from pipeline.models.outputs import AskedItem, PromotionPreview, ValidationReport
from pipeline.render.comment import code_span, render_comment
from pipeline.render.report import validation_report
from pipeline.requests.asked import BeforeMerge, asked_of
from pipeline.requests.layout import draft_path, promotion_path
from tests.support.fact_history import RELEASE_MANAGERS, SECURITY_ID
from tests.support.promotion_evidence import authority_of, review
from tests.support.samples import DRAFT, findings_of, snapshot_and_findings, world_files


def report_of(*asked: AskedItem, findings: tuple[Finding, ...] = ()) -> ValidationReport:
    values = {**validation_report(findings), "asked": [a.model_dump() for a in asked]}
    return ValidationReport.model_validate_json(json.dumps(values))


PROMOTION = f"""apiVersion: pipeline.ameide.io/v1
kind: Promotion
draft: {DRAFT}
environment: prod
release:
  source_commit: {"1a" * 20}
  digest: sha256:{"2" * 64}
overlay_tree: {"3c" * 20}
reason: "@ameide/security fixes #1 <img src=x> https://example.com `x` | y"
"""


def test_a_reviewer_reads_what_merging_does() -> None:
    path = promotion_path(DRAFT, "prod")
    files = {**world_files(), path: PROMOTION.encode()}
    snapshot = snapshot_and_findings(files)[0]
    text = render_comment(
        report_of(*asked_of([draft_path(DRAFT), path], snapshot, BeforeMerge(snapshot)))
    )
    assert text.startswith("### ✓ 2 requests, nothing against them\n")
    assert "- scaffold a primitive, or keep it if it exists" in text
    assert "  - may run in: `tenant-acme-dev-cust, tenant-acme-staging-cust" in text
    assert f"  - digest: `sha256:{'2' * 64}`" in text
    assert f"  - writes exactly the tree: `{'3c' * 20}`" in text
    assert "2 approvals of release-managers or security, at least 1 of each" in text


def test_a_reviewer_reads_whose_approval_is_missing() -> None:
    path = promotion_path(DRAFT, "prod")
    snapshot = snapshot_and_findings({**world_files(), path: PROMOTION.encode()})[0]
    report = report_of(*asked_of([path], snapshot, BeforeMerge(snapshot)))
    one = render_comment(report, (), authority_of("prod", (review(1, RELEASE_MANAGERS[0]),)))
    assert one.startswith("### … 1 request: approvals are missing\n")
    assert "- 2 approvals of the final revision by `release-managers` or `security`" in one
    assert "- missing: `1 of 2 approvals by release-managers or security; 1 missing`" in one
    both = (review(1, RELEASE_MANAGERS[0]), review(2, SECURITY_ID))
    text = render_comment(report, (), authority_of("prod", both))
    assert text.startswith("### ✓ 1 request, nothing against them\n")
    assert "- nothing is missing" in text


def test_deleted_requests_and_other_files_are_listed() -> None:
    snapshot = snapshot_and_findings(world_files())[0]
    other, gone = asked_of(
        ["tenants/acme/drafts/gone/draft.yaml", "README.md"], snapshot, BeforeMerge(snapshot)
    )
    assert other.asks == "change a file that is not a request" and gone.kind == other.kind == ""


def test_findings_are_a_table() -> None:
    found = findings_of("tenants/acme/tenant.yaml", b"kind: Tenant\nsku: None\n")
    text = render_comment(report_of(findings=tuple(found)))
    assert text.startswith("### ✗ ")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == len(found) and all(row.count("|") == 5 for row in rows)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("plain", "`plain`"),
        ("a `b` c", "``a `b` c``"),
        ("`", "`` ` ``"),
        ("two\nlines", "`two<U+000A>lines`"),
        ("a|b", "`a¦b`"),
        ("", "` `"),
    ],
)
def test_a_code_span_holds_any_text(text: str, span: str) -> None:
    assert code_span(text) == span


@given(st.text(max_size=80))
def test_no_text_ends_a_code_span(text: str) -> None:
    span = code_span(text)
    ticks = re.match("`+", span)
    assert ticks is not None and span.endswith(ticks[0])
    inner = span[len(ticks[0]) : -len(ticks[0])]
    assert ticks[0] not in re.findall("`+", inner)
    assert not set(inner) & set("\r\n|")


def test_words_of_a_request_are_only_in_code_spans() -> None:
    path = promotion_path(DRAFT, "prod")
    snapshot = snapshot_and_findings({**world_files(), path: PROMOTION.encode()})[0]
    text = render_comment(report_of(*asked_of([path], snapshot, BeforeMerge(snapshot))))
    [line] = [line for line in text.splitlines() if "reason:" in line]
    assert line.startswith("  - reason: ``@ameide/security fixes #1 <img") and line.endswith("``")
    outside = re.sub(r"(`+).*?\1", "", text)
    for told in ("@", "#1", "<img", "https:"):
        assert told not in outside


def preview_of(**values: object) -> PromotionPreview:
    said = {"draft": DRAFT, "environment": "prod", "digest": "sha256:" + "2" * 64, **values}
    return PromotionPreview.model_validate_json(json.dumps(said))


def test_no_text_ends_the_fence_around_a_diff() -> None:
    diff = ["+ a: `````", "-@ameide/security fixes #1 <img src=x>", "+```", "+hidden\u202e"]
    text = render_comment(report_of(), [preview_of(diff=diff, left_out=3)])
    inside = re.search(r"\n(`{6})diff\n(.*?)\n\1\n", text, re.DOTALL)
    assert inside is not None and len(inside[2].splitlines()) == 4
    assert "\u202e" not in text
    assert "… and 3 more lines." in text


def test_a_reviewer_reads_who_signed_the_image_and_reasons_against_it() -> None:
    reason = {"code": "provenance-foreign", "message": "nobody `trusted` | @a", "final": True}
    text = render_comment(
        report_of(),
        [preview_of(signer="build-workflow", running="sha256:" + "3" * 64, reasons=[reason])],
    )
    assert "stated by `build-workflow`" in text
    assert f"- runs there now: `sha256:{'3' * 64}`" in text
    assert "- against it: `provenance-foreign` ``nobody `trusted` ¦ @a``" in text
    assert "no signed provenance" in render_comment(report_of(), [preview_of()])
    running = preview_of(running="sha256:" + "2" * 64)
    assert "that runs there already" in render_comment(report_of(), [running])


def test_only_addresses_become_links() -> None:
    links = [
        {"name": "source", "url": "https://github.com/ameide/code/tree/1a"},
        {"name": "bad", "url": "https://a.example/x) [y](javascript:alert(1)"},
        {"name": "worse", "url": "javascript:alert(1)"},
    ]
    text = render_comment(report_of(), [preview_of(links=links)])
    assert "- [source](https://github.com/ameide/code/tree/1a)\n" in text
    assert "javascript" not in text and "[bad]" not in text


def test_a_long_comment_drops_the_diff_first() -> None:
    previews = [preview_of(diff=["+" + "x" * 200] * 400)]
    text = render_comment(report_of(), previews)
    assert "- manifests: 400 lines of difference" in text and len(text) < 1_000


def test_a_long_comment_is_cut() -> None:
    items = [
        AskedItem(path=f"tenants/t{n}/tenant.yaml", kind="Tenant", asks="x") for n in range(80)
    ]
    text = render_comment(report_of(*items))
    assert "… and 30 more requests." in text
    long = AskedItem(path="x", kind="", asks="is changed", details=(("reason", "y" * 70_000),))
    assert len(render_comment(report_of(long))) < 1_000
    many = (("reason", "y" * 500),) * 60
    huge = [AskedItem(path=f"x{n}", kind="", asks="is changed", details=many) for n in range(3)]
    assert "… and 10 more changes" in render_comment(report_of(huge[0]))
    assert len(render_comment(report_of(*huge))) < 300
