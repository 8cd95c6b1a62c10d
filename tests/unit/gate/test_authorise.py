"""The gate: each clause passes the allowed promotion and stops it for its own reason only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.diagnostics import RULES, Location
from pipeline.gate.authorise import CLAUSES, authorise
from pipeline.gate.rollback import fallback_of
from pipeline.models.base import seconds_of
from pipeline.releases.rules import MANIFEST_KIND
from pipeline.rules import load_rules
from tests.support import fact_history as history
from tests.support.promotion_evidence import (
    allowed_evidence,
    authority_of,
    case_of,
    evidence_of_case,
    review,
)
from tests.support.samples import sample_environment

MANAGER, OTHER_MANAGER = history.RELEASE_MANAGERS
SECURITY = history.SECURITY_ID


def reasons_of(case: str) -> list[tuple[str, bool]]:
    """Codes of the reasons against a changed promotion, each with whether it is final."""
    decision = authorise(evidence_of_case(case_of(case)))
    assert decision.allowed == (not decision.reasons)
    return [(reason.code, reason.final) for reason in decision.reasons]


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_the_baseline_is_allowed_and_each_clause_lets_it_pass(environment: str) -> None:
    evidence = evidence_of_case({"environment": environment})
    for clause in CLAUSES:
        assert list(clause(evidence)) == [], clause.__name__
    decision = authorise(evidence)
    assert decision.allowed and not decision.refused
    expected = {"dev": (history.ENGINEER_ID,), "staging": (MANAGER,), "prod": (MANAGER, SECURITY)}
    assert decision.approved_by == expected[environment]


ROLLBACK = "lane: rollback, lanes: {rollback: [release-managers]}"
DEGRADED = "automatic: true, runs_here: [this, other], health: Degraded"
FINAL = {
    "lane: security": "lane-not-offered",
    "{runs_here: [this, other], lane: rollback, lanes: {security: [security]}}": "lane-not-offered",
    f"{{runs_here: [], {ROLLBACK}}}": "rollback-target",
    f"{{runs_here: [other, third], {ROLLBACK}}}": "rollback-target",
    f"{{runs_here: [other, this], {ROLLBACK}}}": "rollback-target",
    f"{{runs_here: [this, other], base: other, {ROLLBACK}}}": "base-changed",
    f"{{runs_here: [this, other], blocked: true, {ROLLBACK}}}": "digest-blocked",
    "{automatic: true, runs_here: [this, other], health: Healthy}": "rollback-not-due",
    "{automatic: true, runs_here: [this, other], health: Degraded, healthy: []}": (
        "rollback-not-due"
    ),
    "{automatic: true, runs_here: [this, third, other], health: Degraded}": "rollback-not-due",
    "{automatic: true, runs_here: [this, other], health: Degraded, rolled_back: [other]}": (
        "rollback-not-due"
    ),
    "lift: true": "hold-absent",
    "{lift: true, held: true, author: 1201, runs_here: [other]}": "hold-absent",
    "retires: true": "draft-ended",
    "state: REJECTED": "draft-ended",
    "author: 1902": "author-out-of-scope",
    "author: 4711": "author-out-of-scope",
    "source_tree: null": "source-unknown",
    "promotions: [dev]": "environment-order",
    "running: other": "environment-order",
    "builders: [buildah]": "builder-refused",
    "provenance: none": "provenance-missing",
    "signers: null": "provenance-foreign",
    "{signers: null, provenance: none}": "provenance-foreign",
    "provenance: damaged": "provenance-unreadable",
    "provenance: no provenance": "provenance-unreadable",
    "provenance: of another key": "provenance-foreign",
    "provenance: of an unknown signer": "provenance-foreign",
    "provenance: of another image": "provenance-mismatch",
    "provenance: of another source": "provenance-mismatch",
    "provenance: of another repository": "provenance-mismatch",
    "provenance: of another folder": "provenance-mismatch",
    "provenance: of another builder": "provenance-mismatch",
    "blocked: true": "digest-blocked",
    "checks: [failed]": "check-failed",
    "namespace: tenant-acme-prod-base": "namespace-changed",
    "overlay_tree: other": "overlay-tree-mismatch",
    "approved_blob: other": "approval-other-revision",
    "builds: []": "digest-not-built",
}
FREEZE = "{effect: deny, from: 2026-12-24T00:00:00, to: 2026-12-27T00:00:00}"
WAITS = {
    "stops: [{reason: Down}]": "promotion-stopped",
    "stops: [{reason: Down, environments: [staging, prod]}]": "promotion-stopped",
    "stops: [{reason: Down, tenants: [acme]}]": "promotion-stopped",
    "stops: [{reason: Down, lanes: [rollback, security]}]": "promotion-stopped",
    f"{{{DEGRADED}, minutes: 61}}": "rollback-not-due",
    "held: true": "environment-held",
    "{held: true, author: 1201, asked: before}": "environment-held",
    "{held: true, lift: true, runs_here: [this]}": "environment-held",
    f"{{held: true, runs_here: [this, other], {ROLLBACK}}}": "environment-held",
    "stays: true": "release-stays",
    "stops: [{reason: Down, environments: [dev]}, {reason: Down}]": "promotion-stopped",
    "{stops: [{reason: Down, lanes: [rollback]}], lane: security, lanes: {security: [security]}}": (
        "promotion-stopped"
    ),
    f"{{windows: [{FREEZE}], now: 2026-12-24T12:00:00Z}}": "window-closed",
    f"{{platform_windows: [{FREEZE}], now: 2026-12-24T12:00:00Z}}": "window-closed",
    f"{{windows: [{FREEZE.replace('deny', 'allow')}], now: 2026-12-28T12:00:00Z}}": "window-closed",
    "chain_problem: broken": "state-tampered",
    "source_on_default: false": "source-not-on-default-branch",
    "checks: []": "check-missing",
    "{environment: dev, builds: []}": "build-missing",
    "reviews: []": "approval-missing",
}


@pytest.mark.parametrize("case", FINAL)
def test_a_reason_that_waiting_cannot_change_is_final(case: str) -> None:
    assert set(reasons_of(case)) == {(FINAL[case], True)}
    assert authorise(evidence_of_case(case_of(case))).refused


@pytest.mark.parametrize("case", WAITS)
def test_a_reason_that_waiting_can_change_waits(case: str) -> None:
    assert set(reasons_of(case)) == {(WAITS[case], False)}
    assert not authorise(evidence_of_case(case_of(case))).refused


def test_all_reasons_are_given_in_the_order_of_the_clauses() -> None:
    case = """
state: REJECTED
chain_problem: broken
source_on_default: false
promotions: []
digest: other
builders: [buildah]
provenance: none
checks: [failed]
overlay_tree: other
reviews: []
blocked: true
"""
    assert list(dict.fromkeys(code for code, _ in reasons_of(case))) == [
        "draft-ended",
        "state-tampered",
        "source-not-on-default-branch",
        "environment-order",
        "digest-not-built",
        "builder-refused",
        "provenance-missing",
        "digest-blocked",
        "check-failed",
        "overlay-tree-mismatch",
        "approval-missing",
    ]


def test_an_environment_may_leave_provenance_unchecked() -> None:
    evidence = evidence_of_case({"provenance": "none"})
    policy = evidence.environment.model_copy(update={"provenance": "unchecked"})
    assert authorise(replace(evidence, environment=policy)).allowed


def test_a_release_that_staging_ran_may_go_on_after_a_newer_one_runs_there() -> None:
    assert authorise(evidence_of_case({"running": "newer"})).allowed


def test_a_message_says_what_runs_before_and_what_never_did() -> None:
    (reason,) = authorise(evidence_of_case({"running": "other"})).reasons
    other = history.digest_of("other image")
    assert reason.message == (
        f"staging runs {other[:19]}…; staging never ran {history.DIGEST[:19]}…"
    )


def test_without_a_digest_it_is_the_source_that_must_have_run() -> None:
    evidence = allowed_evidence("staging")
    release = evidence.promotion.release.model_copy(update={"digest": None})
    unpinned = evidence.promotion.model_copy(update={"release": release})
    policy = evidence.environment.model_copy(update={"approvals": {}})
    evidence = replace(evidence, promotion=unpinned, environment=policy)
    assert authorise(evidence).allowed
    other = replace(evidence, source_tree=history.id_of("another tree"))
    assert "environment-order" in {reason.code for reason in authorise(other).reasons}


def test_every_reason_is_a_rule() -> None:
    load_rules()
    for case in (*FINAL, *WAITS):
        assert {code for code, _ in reasons_of(case)} <= set(RULES)


def test_a_message_names_what_is_missing() -> None:
    decision = authorise(evidence_of_case({"checks": ["failed"]}))
    assert [r.message for r in decision.reasons] == [
        f"`{name}` failed: failed" for name in ("lint", "tests", "secrets")
    ]
    decision = authorise(evidence_of_case({"reviews": [MANAGER]}))
    assert decision.reasons[0].message == (
        "1 of 2 approvals by release-managers or security; 1 missing"
    )


def test_each_required_check_counts_by_itself() -> None:
    evidence = allowed_evidence()
    only_lint = evidence.status.model_copy(update={"checks": (history.report("lint"),)})
    decision = authorise(replace(evidence, status=only_lint))
    assert [r.code for r in decision.reasons] == ["check-missing", "check-missing"]


def test_findings_of_the_overlay_are_reasons() -> None:
    finding = MANIFEST_KIND.finding("ClusterRole/all is not allowed here", Location("overlay"))
    decision = authorise(replace(allowed_evidence(), manifest_findings=(finding,)))
    assert [(r.code, r.message, r.final) for r in decision.reasons] == [
        ("manifest-kind", finding.message, True)
    ]


def test_a_release_without_an_overlay_has_nothing_to_compare() -> None:
    evidence = replace(allowed_evidence(), overlay=None)
    assert authorise(evidence).allowed


def test_dev_takes_a_pinned_request_too() -> None:
    assert reasons_of("{environment: dev, digest: built}") == []
    assert reasons_of("{environment: dev, digest: other}") == [("digest-not-built", True)]


def test_only_objections_by_possible_approvers_count() -> None:
    case = "{environment: dev, reviews: [1201, {by: 1501, verdict: changes-requested}]}"
    assert reasons_of(case) == []


@pytest.mark.parametrize(
    ("tier", "reviews", "missing"),
    [
        ("LOW", [], True),
        ("LOW", [MANAGER], False),
        ("MEDIUM", [SECURITY], True),
        ("MEDIUM", [OTHER_MANAGER], False),
        ("HIGH", [MANAGER], True),
        ("HIGH", [MANAGER, OTHER_MANAGER], True),
        ("HIGH", [OTHER_MANAGER, SECURITY], False),
    ],
)
def test_the_risk_tier_decides_the_approvals(tier: str, reviews: list[int], missing: bool) -> None:
    evidence = evidence_of_case({"environment": "staging", "risk_tier": tier, "reviews": reviews})
    codes = {reason.code for reason in authorise(evidence).reasons}
    assert codes == ({"approval-missing"} if missing else set())


def test_a_tier_without_an_entry_uses_the_nearest_lower_one() -> None:
    policy = sample_environment("staging")
    only_low = policy.model_copy(update={"approvals": {"LOW": policy.approvals["LOW"]}})
    assert only_low.approval_for("HIGH", "acme") == policy.approvals["LOW"]
    only_high = policy.model_copy(update={"approvals": {"HIGH": policy.approvals["HIGH"]}})
    assert only_high.approval_for("MEDIUM", "acme") is None


def test_people_count_once_by_their_newest_verdict_on_the_final_revision() -> None:
    def people(*reviews: tuple[int, str, str], author: int = history.AGENT_ID) -> set[int]:
        head = {"final": history.id_of("final revision"), "old": history.id_of("earlier revision")}
        listed = tuple(review(n, u, v, head[of]) for n, (u, v, of) in enumerate(reviews, start=1))
        return set(authority_of("prod", listed, author=author).approved_by)

    yes, no, old = "approved", "changes-requested", "old"
    assert people((MANAGER, yes, "final"), (MANAGER, yes, "final")) == {MANAGER}
    assert people((MANAGER, yes, old)) == set()
    assert people((MANAGER, yes, old), (MANAGER, yes, "final")) == {MANAGER}
    assert people((MANAGER, no, "final"), (MANAGER, yes, "final")) == {MANAGER}
    assert people((MANAGER, yes, "final"), (MANAGER, no, "final")) == set()
    assert people((MANAGER, yes, "final"), (MANAGER, "dismissed", "final")) == set()
    assert people((MANAGER, yes, "final"), (MANAGER, "commented", "final")) == {MANAGER}
    assert people((MANAGER, yes, "final"), author=MANAGER) == set()
    assert (
        people((history.AGENT_ID, yes, "final"), (1000, yes, "final"), (1201, yes, "final"))
        == set()
    )


def test_reviews_count_in_the_order_in_which_they_were_given() -> None:
    reviews = (
        review(1, MANAGER),
        review(2, SECURITY),
        review(3, SECURITY, "changes-requested"),
    )
    found = authority_of("prod", reviews[::-1])
    assert {reason.code for reason in found.reasons} == {"approval-missing"}
    assert found == authority_of("prod", reviews)


def test_an_objection_to_an_earlier_revision_does_not_block() -> None:
    case = """
reviews:
  - {by: 1502, verdict: changes-requested, of: earlier}
  - 1501
  - 1601
"""
    assert reasons_of(case) == []


def test_the_decision_is_pure() -> None:
    assert authorise(allowed_evidence()) == authorise(allowed_evidence())


def test_a_closed_window_says_until_when() -> None:
    evidence = evidence_of_case(case_of(f"{{windows: [{FREEZE}], now: 2026-12-24T12:00:00Z}}"))
    (reason,) = authorise(evidence).reasons
    assert reason.until_s == seconds_of("2026-12-27T00:00:00Z")
    assert reason.message == (
        "window `freeze` is closed: Nobody is there; promotions pass from 2026-12-27T00:00:00Z on"
    )
    for now_s, allowed in ((reason.until_s - 1, False), (reason.until_s, True)):
        assert authorise(replace(evidence, now_s=now_s)).allowed == allowed


@pytest.mark.parametrize(
    "case",
    [
        "stops: []",
        "stops: [{reason: Down, environments: [dev, staging]}]",
        "stops: [{reason: Down, tenants: [contoso]}]",
        "stops: [{reason: Down, environments: [prod], tenants: [contoso]}]",
        "stops: [{reason: Down, lanes: [security]}]\nlane: security\nlanes: {security: [security]}",
    ],
)
def test_a_stop_holds_only_what_it_names(case: str) -> None:
    assert reasons_of(case) == []


def test_a_lane_passes_where_window_and_platform_let_it() -> None:
    freeze = FREEZE.replace("}", ", lanes: [security]}")
    case = f"windows: [{freeze}]\nnow: 2026-12-24T12:00:00Z\nlanes: {{security: [security]}}\n"
    assert reasons_of(case) == [("window-closed", False)]
    assert reasons_of(case + "lane: security\n") == []


@pytest.mark.parametrize(
    "case",
    [
        f"{{runs_here: [this, other], {ROLLBACK}}}",
        # It need not have run anywhere else: what ran there is good for there.
        f"{{promotions: [], runs_here: [this, other], {ROLLBACK}}}",
        f"{{{DEGRADED}}}",
        f"{{{DEGRADED}, minutes: 60}}",
        "{held: true, author: 1201}",
        "{held: true, author: 1201, lift: true, runs_here: [this]}",
        "{stays: true, author: 1201}",
    ],
)
def test_a_rollback_or_a_lifted_hold_passes(case: str) -> None:
    assert reasons_of(case) == []


def test_an_automatic_rollback_goes_to_the_newest_release_that_ran_healthy_there() -> None:
    e = evidence_of_case(
        case_of(
            "{automatic: true, runs_here: [this, third, other], healthy: [this], health: Degraded}"
        )
    )
    fallback = fallback_of(e.status, e.environment, ())
    assert fallback is not None and fallback.release == history.RELEASE
    assert fallback_of(e.status, e.environment, (history.DIGEST,)).release is None  # type: ignore[union-attr]  # it is degraded
    held = evidence_of_case(case_of(f"{{{DEGRADED}, held: true}}"))
    assert fallback_of(held.status, held.environment, ()) is None
