"""Test cases of policy: what they may hold, what they decide, and what is said of mistakes."""

from __future__ import annotations

import pytest

from pipeline.diagnostics import Finding
from pipeline.models.policy import PolicyTestDocument, PolicyTestItem
from pipeline.policy.casefiles import merged
from pipeline.policy.trial import read_case_files, try_cases
from pipeline.requests.kinds import parse_request
from pipeline.requests.snapshot import snapshot_of
from tests.conftest import ROOT
from tests.support.samples import sample_files

Tried = tuple[PolicyTestDocument, tuple[Finding, ...]]
HEAD = """apiVersion: pipeline.ameide.io/v1
kind: PolicyCases
cases:
"""
DEV = """  - name: dev
    draft: {tenant: acme}
    request: {environment: dev, by: acme-engineer-1, approvals: [{by: acme-engineer-2}]}
    now: 2026-12-01T10:00:00Z
    expect: {decision: allowed, reasons: []}
"""
PROD = """  - name: prod
    draft: {tenant: acme}
    request:
      environment: prod
      by: acme-engineer-1
      approvals: [{by: release-manager-1, at: 2026-11-01T10:00:00Z}, {by: security-reviewer-1}]
    now: 2026-12-01T10:00:00Z
    runs:
      - {environment: staging, since: 2026-11-20T09:00:00Z}
    expect: {decision: allowed, reasons: []}
"""


def try_file(text: bytes, name: str = "cases.yaml") -> Tried:
    """The results of one file against the policy of the samples."""
    return try_all({name: text})


def try_all(files: dict[str, bytes]) -> Tried:
    """The results of files against the policy of the samples."""
    reads = [read for p, c in sample_files().items() if (read := parse_request(p, c)[0])]
    return try_cases(files, reads, snapshot_of("", {read.path: "" for read in reads}, reads))


def tried(*cases: str) -> Tried:
    """The results of some cases."""
    return try_file((HEAD + "".join(cases)).encode())


def result(case: str) -> PolicyTestItem:
    """The result of one well-formed case."""
    report, findings = tried(case)
    assert findings == ()
    [item] = report.cases
    return item


def codes(case: str) -> set[str]:
    """The codes of the reasons that a case is decided by."""
    return {reason.code for reason in result(case).reasons}


def test_the_cases_of_this_repository_hold() -> None:
    report, findings = try_all(read_case_files(ROOT / "policy-tests"))
    assert findings == () and report.failed == 0 and report.passed >= 8


def test_what_a_case_leaves_out_speaks_against_nothing() -> None:
    assert result(DEV).passed and result(PROD).passed


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        pytest.param("staging, since", "dev, since", "environment-order", id="never in staging"),
        pytest.param("09:00:00Z}", "09:00:00Z, release: older}", "environment-order", id="other"),
        pytest.param("  now:", "  build: null\n    now:", "digest-not-built", id="not built"),
        pytest.param(
            "  now:", "  build: {signed: false}\n    now:", "provenance-missing", id="bare"
        ),
        pytest.param(
            "  now:", "  merged: false\n    now:", "source-not-on-default-branch", id="code"
        ),
        pytest.param("  now:", "  checks: {lint: passed}\n    now:", "check-missing", id="checks"),
        pytest.param("{by: security-reviewer-1}", "{by: 4711}", "approval-missing", id="stranger"),
        pytest.param("by: acme-engineer-1", "by: 4711", "author-out-of-scope", id="asker"),
        pytest.param(
            "environment: prod",
            "environment: prod\n      pinned: false",
            "promotion-not-pinned",
            id="pins",
        ),
        pytest.param(
            "environment: prod",
            "environment: prod\n      objections: [security-reviewer-1]",
            "approval-missing",
            id="objects",
        ),
        pytest.param(
            "environment: prod",
            "environment: prod\n      lane: security",
            "approval-missing lane-not-offered",
            id="lane",
        ),
        pytest.param("environment: prod", "environment: prod-eu", "environment-unknown", id="gone"),
        pytest.param("by: acme-engineer-1", 'by: "acme-agent[bot]"', "", id="a bot may ask"),
        pytest.param(
            "  now:", "  held_since: 2026-11-30T09:00:00Z\n    now:", "", id="a person after a hold"
        ),
    ],
)
def test_a_fact_of_a_case_decides(old: str, new: str, code: str) -> None:
    assert PROD.count(old) == 1
    assert codes(PROD.replace(old, new)) == set(code.split())


def test_a_bot_waits_while_a_rollback_holds() -> None:
    held = PROD.replace("by: acme-engineer-1", 'by: "acme-agent[bot]"').replace(
        "  now:", "  held_since: 2026-11-30T09:00:00Z\n    now:"
    )
    assert codes(held) == {"environment-held"}


def test_a_change_of_policy_is_of_one_case_alone() -> None:
    expires = """    policy:
      environments/prod/environment.yaml:
        approvals:
          LOW: {expires_after_days: 14}
"""
    report, findings = tried(PROD.replace("    expect", expires + "    expect"), PROD)
    assert findings == ()
    first, second = report.cases
    assert first.found == "waits" and {r.code for r in first.reasons} == {"approval-expired"}
    assert second.passed


def test_policy_can_take_a_file_away_and_add_one() -> None:
    gone = "    policy: {environments/prod/environment.yaml: null}\n    expect"
    assert codes(PROD.replace("    expect", gone)) == {"environment-unknown"}
    stop = """    policy:
      environments/stop.yaml:
        apiVersion: pipeline.ameide.io/v1
        kind: Stop
        stops: [{reason: The gateway drops requests}]
    expect"""
    assert codes(PROD.replace("    expect", stop)) == {"promotion-stopped"}


def test_a_waiver_of_a_case_counts_if_policy_lets_it() -> None:
    more = """    checks: {lint: passed, tests: failed, secrets: passed}
    policy: {environments/platform.yaml: {waivers: {rules: [check-failed], longest_days: 7}}}
    waivers:
      - rule: check-failed
        starts: 2026-12-01T00:00:00Z
        expires: 2026-12-03T00:00:00Z
        asked_by: acme-engineer-1
        approvals: [{by: platform-engineer-1}]
    expect"""
    waived = PROD.replace("    expect", more)
    assert codes(waived) == set()
    assert codes(waived.replace("12-03T", "12-01T")) == {"check-failed"}
    assert codes(waived.replace("by: platform-engineer-1", "by: release-manager-1")) == {
        "check-failed"
    }


def test_who_wrote_the_source_does_not_approve_where_policy_says_so() -> None:
    more = """    source_by: [release-manager-1]
    policy:
      environments/prod/environment.yaml:
        approvals: {LOW: {separation: source-authors}}
    expect"""
    assert codes(PROD.replace("    expect", more)) == {"approval-by-source-author"}


def test_signed_statements_are_there_unless_a_case_says_otherwise() -> None:
    more = """    policy:
      environments/prod/environment.yaml:
        vulnerabilities: {signers: [build-workflow], highest: high, expires_after_days: 7}
    expect"""
    asked = PROD.replace("    expect", more)
    assert codes(asked) == set()
    assert codes(asked.replace("  now:", "  stated: false\n    now:")) == {
        "vulnerability-report-missing"
    }


def test_time_seen_healthy_counts_for_a_soak() -> None:
    more = "    policy: {environments/prod/environment.yaml: {soak: {hours: 24}}}\n    expect"
    asked = PROD.replace("    expect", more)
    assert codes(asked) == {"soak-unknown"}
    seen = asked.replace("09:00:00Z}", "09:00:00Z, healthy_since: 2026-11-29T09:00:00Z}")
    assert codes(seen) == set()
    assert codes(seen.replace("11-29T", "12-01T")) == {"soak-not-over"}


def test_a_case_that_expects_otherwise_fails() -> None:
    other = result(DEV.replace("allowed, reasons: []", "waits, reasons: [window-closed]"))
    assert not other.passed and (other.expected, other.found) == ("waits", "allowed")
    assert not result(DEV.replace("reasons: []", "reasons: [window-closed]")).passed
    any_reason = PROD.replace("- {environment: staging", "- {environment: dev").replace(
        "allowed, reasons: []", "refused"
    )
    assert result(any_reason).passed


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        ("name: dev", "nam: dev", "request-unknown-field", (4, 5)),
        ("by: acme-engineer-2", "by: acme-engneer-2", "policy-case-unknown", (6, 71)),
        ("tenant: acme", "tenant: acmee", "policy-case-unknown", (5, 21)),
        ("decision: allowed", "decision: alowed", "request-bad-value", (8, 24)),
        ("reasons: []", "reasons: [check-faild]", "policy-case-unknown", (8, 43)),
        ("2026-12-01T10:00:00Z", "2026-12-01", "request-bad-value", (7, 10)),
        ("kind: PolicyCases", "kind: PolicyCase", "request-bad-value", (2, 7)),
        (
            "    now",
            "    runs: [{environment: qa, since: 2026-11-20T09:00:00Z}]\n    now",
            "policy-case-unknown",
            (7, 26),
        ),
        ("    now", "    build: {signed_by: me}\n    now", "policy-case-unknown", (7, 24)),
        (
            "    now",
            "    policy: {environments/dev/environment.yaml: {merge: soon}}\n    now",
            "request-bad-value",
            (7, 14),
        ),
        ("    now", "    policy: {environments/dev.yaml: {}}\n    now", "path-unknown", (7, 14)),
    ],
)
def test_a_malformed_case_is_found_with_its_place(
    old: str, new: str, code: str, place: tuple[int, int]
) -> None:
    text = (HEAD + DEV).replace(old, new)
    assert text != HEAD + DEV
    report, findings = try_file(text.encode())
    assert report.cases == ()
    assert (code, place) in {(f.code, (f.location.line, f.location.column)) for f in findings}


def test_a_merge_patch_is_that_of_its_rfc() -> None:
    """Examples of RFC 7396, appendix A, for mappings."""
    assert merged({"a": "b"}, {"a": "c"}) == {"a": "c"}
    assert merged({"a": "b"}, {"b": "c"}) == {"a": "b", "b": "c"}
    assert merged({"a": "b", "b": "c"}, {"a": None}) == {"b": "c"}
    assert merged({"a": ["b"]}, {"a": "c"}) == {"a": "c"}
    assert merged({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}) == {"a": {"b": "d"}}
    assert merged({"a": "foo"}, {"a": {"bb": {"ccc": None}}}) == {"a": {"bb": {}}}
