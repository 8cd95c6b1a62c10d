"""The output of commands: the result first, then where it is, then what to do next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.audit.acknowledged import Acknowledged
from pipeline.audit.rules import AUDIT_FACT_CHAIN
from pipeline.diagnostics import Location, Verdict
from pipeline.errors import Failure
from pipeline.models.base import moment_of
from pipeline.models.facts import Observed, PatchRefused, PromotionRefused, Reason, Rejected
from pipeline.models.outputs import DoctorItem, DoctorReport, RequestProposal
from pipeline.models.requests import ApprovalPolicy
from pipeline.models.status import DraftStatus
from pipeline.models.trust import Trust
from pipeline.plan.effects import Receipt, TenantPlan, Waiting
from pipeline.render.audit import (
    audit_report_document,
    render_audit_summary,
    render_log,
    summary_of,
)
from pipeline.render.decision import approvals_wanted, next_step, render_decision
from pipeline.render.doctor import render_doctor
from pipeline.render.plan import RunSpan, render_plan, render_run_report, run_report_document
from pipeline.render.requests import outcome_lines, render_promotion, render_refusal
from pipeline.render.status import Beside, render_status, render_statuses
from pipeline.render.style import Style, counted, short_digest, short_id, table
from pipeline.requests.asked import wanted_by
from tests.support import fact_history as history
from tests.support.deliveries import observation
from tests.support.render_input import Report, decision_of, plan_of
from tests.support.samples import DRAFT, ENVIRONMENTS
from worlds.control_repo import CLOCK_S

HOSTILE = "\x1b[2Jgone\u202e"


def values(status: DraftStatus) -> dict[str, object]:
    return status.model_dump(mode="json", by_alias=True)


# -- style -------------------------------------------------------------------------------


def test_colour_only_when_asked() -> None:
    assert (Style().good, Style().paint("bold", "x")) == ("✓", "x")
    assert Style(colour=True).good == "\x1b[32m✓\x1b[0m"


def test_ids_are_shortened_for_people() -> None:
    assert short_digest(history.DIGEST) == f"{history.DIGEST[:19]}…"
    assert short_digest(None) == "(not built yet)"
    assert (short_id("a" * 40), short_id("")) == ("a" * 12, "-")
    assert (counted(1, "effect"), counted(2, "effect")) == ("1 effect", "2 effects")
    assert table([("a", "b"), ("ccc", "")]) == ["a    b", "ccc"]
    assert table([]) == []


# -- status ------------------------------------------------------------------------------


def test_a_status_says_state_first_and_what_may_be_done_last() -> None:
    lines = render_status(values(history.sample_status()), ENVIRONMENTS).splitlines()
    assert lines[0] == f"{DRAFT}  PROMOTED_STAGING"
    assert lines[-1] == f"  next     `pipeline promote request {DRAFT} --env prod --reason …`"
    assert any(line.startswith("  staging  ✓ sha256:") for line in lines)


def test_a_status_shows_refusals_without_control_characters() -> None:
    refused = PatchRefused(patch="0002", reasons=(Reason(code="patch-secret", message=HOSTILE),))
    held = PromotionRefused(
        environment="prod", reasons=(Reason(code="environment-order", message=HOSTILE),)
    )
    facts = (*history.sample_facts(), *(_fact(body) for body in (refused, held)))
    _, status = history.refolded(facts)
    text = render_status(values(status), ENVIRONMENTS)
    assert "0002 ✗ refused" in text and "patch-secret: " in text
    assert "  prod     ✗ refused  environment-order: " in text
    assert "\x1b" not in text and "\u202e" not in text and "<U+202E>" in text


def test_a_rejected_draft_has_no_next_step() -> None:
    _, status = history.refolded((*history.sample_facts(), _fact(Rejected(reason="closed"))))
    text = render_status(values(status), ENVIRONMENTS, style=Style(colour=True))
    assert "\x1b[31mREJECTED\x1b[0m" in text and "next" not in text


def test_environments_are_in_policy_order_and_deleted_ones_last() -> None:
    status = values(history.sample_status())
    order = ("staging", "canary", "prod-eu")
    head, _ = render_statuses([status], order).splitlines()
    assert head.split()[2:6] == ["STAGING", "CANARY", "PROD-EU", "DEV"]
    labels = [line.split()[0] for line in render_status(status, order).splitlines()]
    assert labels.index("staging") < labels.index("dev")
    assert "--env canary" in render_status(status, order)


def test_all_statuses_as_a_table() -> None:
    status = values(history.sample_status())
    text = render_statuses([status], ENVIRONMENTS, ["contoso/inventory", DRAFT])
    head, first, second = text.splitlines()
    columns = ["DRAFT", "STATE", "DEV", "STAGING", "PROD", "CHANGED", "PULL", "REQUEST"]
    assert head.split() == columns
    assert first.split()[:2] == [DRAFT, "PROMOTED_STAGING"]
    assert second.split()[:2] == ["contoso/inventory", "(requested)"]
    assert render_statuses([], ENVIRONMENTS).startswith("no drafts yet\n")


def _fact(body: PatchRefused | PromotionRefused | Rejected | Observed) -> history.Fact:
    return history.sample_facts()[-1].model_copy(update={"body": body})


# -- plans and runs ----------------------------------------------------------------------


WAITS = Waiting(draft=DRAFT, request="tenants/x.yaml", reasons=(("approval-missing", HOSTILE),))
PLAN = plan_of("provision", "scaffold", waiting=(WAITS,))


def test_a_plan_has_one_line_for_each_effect() -> None:
    lines = render_plan(PLAN).splitlines()
    assert lines[0] == f"… {len(PLAN.effects)} effects for 1 tenant"
    assert lines[1] == "acme" and "contoso" not in lines
    numbers = [line.split()[0] for line in lines if line.strip()[:1].isdigit()]
    assert numbers == [str(n) for n in range(1, len(PLAN.effects) + 1)]
    assert "  … waits  tenants/x.yaml" in lines
    assert not any("\x1b" in line for line in lines)
    assert lines[-1].endswith("by 1.2.3")


def test_an_empty_plan_says_so_first() -> None:
    plan = PLAN.model_copy(update={"tenants": PLAN.tenants[1:]})
    assert render_plan(plan).startswith("✓ nothing to do for 1 tenant\n")


def test_a_run_counts_what_it_did_and_tells_failures() -> None:
    receipt = Receipt(applied=(("k1", "open-pull"), ("k2", "open-pull"), ("k3", "append-facts")))
    report = run_report_document(
        [receipt],
        (WAITS,),
        [(DRAFT, "could-not-check", HOSTILE)],
        span=RunSpan(CLOCK_S, CLOCK_S + 60, 2),
        invalid_requests=1,
    )
    assert report.effects == {"append-facts": 1, "open-pull": 2}
    text = render_run_report(report)
    assert text.startswith("✗ 3 effects done: 1 append-facts, 2 open-pull\n")
    assert f"  ✗ failed {DRAFT}  could-not-check: " in text
    assert "1 request on main refused" in text and "\x1b" not in text
    nothing = run_report_document([], [], [], span=RunSpan(CLOCK_S, CLOCK_S, 0), invalid_requests=0)
    assert render_run_report(nothing) == "✓ nothing to do\n  ended    2026-01-01 00:05Z\n"


def test_what_people_could_not_be_shown_is_a_warning_and_no_failure() -> None:
    warning = Failure("tenant-acme-controllers", "github-unavailable", HOSTILE)
    report = run_report_document(
        [Receipt(warnings=(warning,)), Receipt(warnings=(warning,))],
        [],
        [],
        span=RunSpan(CLOCK_S, CLOCK_S, 1),
        invalid_requests=0,
    )
    assert len(report.warnings) == 1 and report.failures == ()
    text = render_run_report(report)
    assert text.startswith("✓ nothing to do\n  … not shown  tenant-acme-controllers  github-una")
    assert "\x1b" not in text
    tenant = TenantPlan(tenant="acme", state_head=None, warnings=(warning,))
    plan = render_plan(PLAN.model_copy(update={"tenants": (tenant,)}))
    assert "\n  … not shown  tenant-acme-controllers  github-unavailable: " in plan
    assert "\x1b" not in plan


def test_a_waiting_request_says_when_time_alone_may_change_it() -> None:
    waits = WAITS.model_copy(update={"until": moment_of(CLOCK_S)})
    report = run_report_document(
        [], [waits], [], span=RunSpan(CLOCK_S, CLOCK_S, 1), invalid_requests=0
    )
    assert "         may change at 2026-01-01 00:05Z\n" in render_run_report(report)
    assert report.waiting[0].until == "2026-01-01T00:05:00Z"
    tenant = TenantPlan(tenant="acme", state_head=None, waiting=(waits,))
    plan = PLAN.model_copy(update={"tenants": (tenant,)})
    assert "         may change at 2026-01-01 00:05Z\n" in render_plan(plan)


# -- decisions ---------------------------------------------------------------------------


def test_an_allowed_decision() -> None:
    document = decision_of()
    assert (document.verdict, document.reasons) == ("allowed", ())
    text = render_decision(document)
    assert text.startswith(f"✓ {DRAFT} in prod: allowed\n")
    assert text.endswith("  next     `pipeline run` writes the overlay\n")
    asked = render_decision(document.model_copy(update={"requested": False}))
    assert "not requested yet" in asked and "promote request" in asked


def test_a_decision_that_waits_and_one_that_is_final() -> None:
    waits = decision_of(reviews=[])
    assert waits.verdict == "waits"
    assert "2 approvals of release-managers or security, at least 1 of each" in next_step(waits)
    assert "\n  … approval-missing: " in render_decision(waits)
    final = waits.model_copy(
        update={
            "verdict": "refused",
            "reasons": (waits.reasons[0].model_copy(update={"final": True, "code": "x-y"}),),
        }
    )
    assert "\n  ✗ x-y: " in render_decision(final)
    assert next_step(final) == "`pipeline explain x-y`; then a new request"
    assert "nothing was written" in render_refusal(final)


def test_the_approvals_that_are_missing_are_named() -> None:
    def wanted(count: int, *teams: str) -> str:
        policy = ApprovalPolicy(count=count, teams=teams)
        return approvals_wanted(wanted_by(policy, "LOW"))

    assert approvals_wanted(None) == "no approval asked"
    assert wanted(1, "security") == "1 approval of security"
    assert wanted(1, "a", "b") == "1 approval of a or b"
    assert wanted(2, "a", "b") == "2 approvals of a or b, at least 1 of each"


# -- requests ----------------------------------------------------------------------------


def proposal(**changes: object) -> RequestProposal:
    base = RequestProposal(
        draft=DRAFT, path="tenants/x.yaml", content="", findings=(), outcome="written"
    )
    return base.model_copy(update=changes)


def test_a_request_s_place_and_next_step_are_shown() -> None:
    assert outcome_lines(proposal())[-1] == "  next     open a pull request"
    submitted = {"outcome": "submitted", "pull_request": "control#7"}
    seen = {
        state: outcome_lines(proposal(**submitted, pull_request_state=state))[-1]
        for state in ("open", "merged", "closed")
    }
    assert "review approve control#7" in seen["open"]
    assert "`pipeline run`" in seen["merged"] and "it was closed" in seen["closed"]
    assert "`pipeline run`" in outcome_lines(proposal(outcome="on-main"))[-1]


def test_a_promotion_starts_with_what_would_run() -> None:
    text = render_promotion(
        proposal(), decision_of(), folder="environments/prod/x", added=1, removed=2, known=" (new)"
    )
    lines = text.splitlines()
    assert lines[0] == f"✓ prod would run {short_digest(history.DIGEST)} (new)"
    assert "(+1 −2 lines against what runs now)" in lines[1]
    assert lines[-1].startswith("  next     open a pull request; 2 approvals of ")


# -- audit and doctor --------------------------------------------------------------------


def test_a_log_has_every_fact_with_its_cause() -> None:
    facts = history.sample_facts()
    text = render_log(DRAFT, facts)
    assert text.startswith(f"✓ {DRAFT}: {len(facts)} facts, every link checked\n")
    for fact in facts:
        assert summary_of(fact) in text
        assert fact.cause.request in text
    assert render_log(DRAFT, ()).startswith(f"✓ {DRAFT}: 0 facts")


AUDITED = Report(drafts=1, decisions=0, replayed=0, proved={}, trusted={})


def test_an_audit_says_what_it_read() -> None:
    expected = "✓ verified: 9 facts of 1 draft, 2 overlays, 1 repository\n"
    assert render_audit_summary(AUDITED) == expected
    finding = AUDIT_FACT_CHAIN.finding("broken", Location("state/acme:x"))
    broken = replace(AUDITED, findings=(finding,), verdict=Verdict.INVALID)
    assert render_audit_summary(broken).startswith("✗ 1 finding in 9 facts")
    document = audit_report_document(broken)
    assert (document.verdict, document.findings[0].code) == ("invalid", AUDIT_FACT_CHAIN.id)


def test_an_audit_lists_what_it_proved_and_whom_it_trusts() -> None:
    finding = AUDIT_FACT_CHAIN.finding("broken\x1b[2J", Location("state/acme:x"))
    report = replace(
        AUDITED,
        proved={"acceptances computed again": 3},
        trusted={Trust("what checks said", "the jobs that ran them"): 2},
        acknowledged=(Acknowledged(finding, "environments/x.yaml", "E <e@x>", "Looked into"),),
        remembered=4,
    )
    text = render_audit_summary(report)
    assert text.splitlines()[0].endswith("1 repository; 4 facts verified before")
    assert "       3  acceptances computed again\n" in text
    assert "       2  what checks said, on the word of the jobs that ran them\n" in text
    assert "\x1b" not in text
    assert "    by E <e@x> in environments/x.yaml: Looked into\n" in text
    document = audit_report_document(report)
    assert (document.proved[0].count, document.trusted[0].whose) == (3, "the jobs that ran them")
    assert (document.acknowledged[0].by, document.remembered) == ("E <e@x>", 4)


def test_doctor_says_how_to_install_what_is_missing() -> None:
    items = (
        DoctorItem(name="git", state="ok", detail="2.45.0"),
        DoctorItem(name="helm", state="missing", detail="not found", help="run `make setup`"),
    )
    text = render_doctor(DoctorReport(verdict="could-not-check", items=items))
    assert "✗ helm  not found\n        run `make setup`\n" in text
    assert text.endswith("something is missing\n")
    assert render_doctor(DoctorReport(verdict="valid", items=items[:1])).endswith("ready\n")


FOREIGN = ("tenant-acme-gitops", "environments/dev/order-router/x.yaml", "gitops-content-foreign")


def test_health_is_shown_only_for_the_promoted_overlay() -> None:
    seen = observation("dev")
    _, status = history.refolded((*history.sample_facts(), _fact(Observed(observation=seen))))
    shown = values(status)
    assert "Healthy, Synced" in render_status(shown, ENVIRONMENTS)
    foreign = Beside(incidents=((*FOREIGN, "a file beside what was promoted"),))
    unread = Beside(failures=((FOREIGN[0], "not-found", "it is gone"),))
    for beside in (foreign, unread, Beside(is_checked=False)):
        text = render_status(shown, ENVIRONMENTS, beside)
        assert "Healthy" not in text and history.DIGEST[7:19] in text
    assert "another tree is there" in render_status(shown, ENVIRONMENTS, foreign)
    assert "foreign  tenant-acme-gitops:environments/dev/order-router/x.yaml" in render_status(
        shown, ENVIRONMENTS, foreign
    )


@pytest.mark.parametrize(
    ("path", "is_foreign"),
    [
        ("environments/dev/order-router/x.yaml", True),
        ("environments/dev/order-router", True),
        ("environments/dev", True),
        ("environments", True),
        ("environments/dev/order-router-2", False),
        ("environments/prod/order-router/x.yaml", False),
    ],
)
def test_an_overlay_is_foreign_by_a_path_in_or_above_it(path: str, is_foreign: bool) -> None:
    beside = Beside(incidents=(("gitops", path, "gitops-content-foreign", "said"),))
    assert beside.is_foreign("gitops", "environments/dev/order-router") is is_foreign
    assert not beside.is_foreign("another", "environments/dev/order-router")


def test_a_list_marks_foreign_and_unchecked_releases() -> None:
    shown = values(history.sample_status())
    digest = history.DIGEST[7:19]
    marked = render_statuses([shown], ENVIRONMENTS, beside=Beside(incidents=((*FOREIGN, "said"),)))
    assert f"{digest}!" in marked and f"{digest} " in marked
    assert f"{digest}?" in render_statuses([shown], ENVIRONMENTS, beside=Beside(is_checked=False))
    failed = render_statuses(
        [shown], ENVIRONMENTS, beside=Beside(failures=(("acme/x", "could-not-check", "no"),))
    )
    assert "failed   acme/x  could-not-check: no" in failed
