"""`why`: every clause with what it was judged by, who can change it, and when time alone does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.gate import explain
from pipeline.gate.authorise import CLAUSES, LIFT_CLAUSES, Evidence, authorise
from pipeline.models.base import seconds_of
from pipeline.models.windows import Window
from tests.support.promotion_evidence import allowed_evidence, case_of, changed, evidence_of_case


def answer(evidence: Evidence, clause: str) -> explain.Answer:
    return next(a for a in explain.explain_clauses(evidence) if a.clause == clause)


def test_every_clause_has_a_row_and_every_row_a_clause() -> None:
    assert {explain.name_of(clause) for clause in (*CLAUSES, *LIFT_CLAUSES)} == set(explain.ROWS)


def test_an_allowed_promotion_meets_every_clause_and_each_says_by_what() -> None:
    answers = explain.explain_clauses(allowed_evidence())
    assert all(a.is_met and a.evidence and not a.who for a in answers)
    assert [a.clause for a in answers] == [explain.name_of(clause) for clause in CLAUSES]


def test_the_answers_equal_the_gate_s() -> None:
    refused = changed(allowed_evidence(), "reviews", [])
    reasons = [r for a in explain.explain_clauses(refused) for r in a.reasons]
    assert tuple(reasons) == authorise(refused).reasons and reasons


def test_missing_approvals_name_the_people_who_can_give_them() -> None:
    found = answer(changed(allowed_evidence(), "reviews", []), "authority")
    assert not found.is_met and found.fixes
    assert "release-managers" in found.who and "(" in found.who
    assert found.until_s is None  # time alone approves nothing


def test_enough_assumed_approvals_take_the_reason_away_and_too_few_do_not() -> None:
    refused = changed(allowed_evidence(), "reviews", [])
    assert answer(explain.with_approvals(refused, 6), "authority").is_met
    assert not answer(explain.with_approvals(refused, 0), "authority").is_met


def test_an_assumed_clause_is_met_and_said_to_be_assumed() -> None:
    refused = changed(allowed_evidence(), "reviews", [])
    found = {a.clause: a for a in explain.explain_clauses(refused, ["authority"])}
    assert found["authority"].is_met and found["authority"].is_assumed
    with pytest.raises(KeyError):
        explain.explain_clauses(refused, ["nonsense"])


def frozen(evidence: Evidence, at: str) -> Evidence:
    """The evidence on a day with a freeze that ends on 4 January."""
    window = Window.model_validate_json(
        '{"name": "year-end", "effect": "deny", "zone": "UTC", "from": "2026-12-19T00:00:00",'
        ' "to": "2027-01-04T06:00:00", "reason": "nobody is there"}'
    )
    environment = evidence.environment.model_copy(update={"windows": (window,)})
    return replace(evidence, environment=environment, now_s=seconds_of(at))


def test_a_freeze_says_when_time_alone_opens_it() -> None:
    closed = frozen(allowed_evidence(), "2026-12-24T18:00:00Z")
    found = answer(closed, "windows")
    assert found.until_s == seconds_of("2027-01-04T06:00:00Z")
    assert explain.opens_at(explain.explain_clauses(closed)) == found.until_s
    assert answer(frozen(allowed_evidence(), "2027-01-04T06:00:00Z"), "windows").is_met


def test_a_waived_rule_is_no_reason_and_the_waiver_is_named() -> None:
    waived = "{checks: [failed], now: 2026-12-02T00:00:00Z, waivers: [{}]}"
    found = answer(evidence_of_case(case_of(waived)), "checks")
    assert found.is_met and not found.who
    assert "check-failed is waived by tenants/acme/drafts/order-router/waivers/" in found.evidence
    over = waived.replace("12-02", "12-30")
    assert not answer(evidence_of_case(case_of(over)), "checks").is_met


def test_a_waiver_is_offered_where_policy_lets_the_rule_be_waived() -> None:
    closed = frozen(allowed_evidence(), "2026-12-24T18:00:00Z")
    assert answer(closed, "windows").waiver == "tenants/acme/drafts/order-router/waivers/NAME.yaml"
    none = replace(closed, platform=closed.platform.model_copy(update={"waivers": None}))
    assert answer(none, "windows").waiver == ""


def test_time_alone_opens_nothing_that_also_lacks_approvals() -> None:
    closed = frozen(changed(allowed_evidence(), "reviews", []), "2026-12-24T18:00:00Z")
    assert explain.opens_at(explain.explain_clauses(closed)) is None


def test_statements_say_who_signed_what_counts_and_who_could() -> None:
    asked = [{"predicate_type": "https://example.com/change/v1", "signers": ["board"]}]
    evidence = changed(allowed_evidence(), "asked_statements", asked)
    missing = answer(evidence, "statements")
    assert missing.evidence == "1 required; there is none"
    assert missing.who == "the signers board"
    there = [{"type": "https://example.com/change/v1", "by": "board"}]
    found = answer(changed(evidence, "stated", there), "statements")
    path = "tenants/acme/drafts/order-router/statements/s0.yaml"
    assert found.is_met and found.evidence == f"1 required; there is `{path}` by `board`"


def test_a_scan_says_its_limit_and_where_a_waiver_could_lie() -> None:
    evidence = changed(allowed_evidence(), "vulnerabilities", "medium")
    assert answer(evidence, "vulnerabilities").who == "who scans and signs: scanner"
    holes = [{"found": {"CVE-2026-1234": "9.8"}}, {"type": "vex", "by": "security-team"}]
    found = answer(changed(evidence, "stated", holes), "vulnerabilities")
    paths = [f"`tenants/acme/drafts/order-router/statements/s{n}.yaml`" for n in (0, 1)]
    assert found.evidence == (
        f"at most medium; there are {paths[0]} by `scanner`, {paths[1]} by `security-team`"
    )
    rules = {"rules": ["vulnerability-over-limit"], "longest_days": 7}
    waivable = changed(changed(evidence, "stated", holes), "waivable", rules)
    assert answer(waivable, "vulnerabilities").waiver.endswith("waivers/NAME.yaml")
