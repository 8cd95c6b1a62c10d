"""Reports of what happened and what would: plans, runs, status, audit, doctor."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from pipeline.audit.acknowledged import Acknowledged
from pipeline.audit.rules import AUDIT_FACT_CHAIN
from pipeline.diagnostics import Location, Verdict
from pipeline.gate.running import Running, check_running
from pipeline.models.base import moment_of
from pipeline.models.facts import (
    FactBody,
    Observed,
    PartOfGroup,
    PatchRefused,
    Promoted,
    PromotionRefused,
    Reason,
    Rejected,
)
from pipeline.models.outputs import DoctorItem, DoctorReport
from pipeline.models.policy import PolicyDiffDocument, PolicyTestDocument
from pipeline.models.provenance import Stated
from pipeline.plan.effects import Receipt, Waiting
from pipeline.plan.sightings import JudgedReport
from pipeline.render.audit import (
    audit_report_document,
    render_audit_summary,
    render_log,
    render_provenance,
)
from pipeline.render.doctor import render_doctor
from pipeline.render.json import render_json
from pipeline.render.observations import render_sightings
from pipeline.render.plan import RunSpan, render_plan, render_run_report, run_report_document
from pipeline.render.policy_diff import render_policy_diff, render_policy_diff_markdown
from pipeline.render.policy_tests import render_policy_tests
from pipeline.render.status import Beside, render_status, render_statuses
from pipeline.render.text import render_text
from pipeline.requests.layout import group_path
from pipeline.stages.observe import judge_unknown
from tests.support import fact_history as history
from tests.support.deliveries import observation
from tests.support.render_input import Report, plan_of
from tests.support.samples import DRAFT, ENVIRONMENTS
from worlds.control_repo import CLOCK_S

ALONE = Beside()
WAITS = Waiting(
    draft=DRAFT,
    request=f"tenants/{DRAFT.replace('/', '/drafts/')}/promotions/prod.yaml",
    reasons=(("approval-missing", "1 of 2 approvals by release-managers or security"),),
)
WAITS_FOR_TIME = WAITS.model_copy(update={"until": moment_of(CLOCK_S + 3600)})


def planned(*steps: str, waiting: tuple[Waiting, ...] = ()) -> dict[str, str]:
    """A plan of acme's with the effects of these steps."""
    return {"plan.txt": render_plan(plan_of(*steps, waiting=waiting))}


def ran(
    *effects: str,
    waiting: tuple[Waiting, ...] = (),
    failures: tuple[tuple[str, str, str], ...] = (),
    invalid: int = 0,
) -> dict[str, str]:
    """The report of a run."""
    receipt = Receipt(applied=tuple((f"k{n}", kind) for n, kind in enumerate(effects)))
    report = run_report_document(
        [receipt] if effects else [],
        waiting,
        failures,
        span=RunSpan(CLOCK_S, CLOCK_S + 60, 2),
        invalid_requests=invalid,
    )
    values = report.model_dump(mode="json", by_alias=True)
    return {"report.txt": render_run_report(report), "report.json": render_json(values)}


def status_with(*bodies: FactBody) -> dict[str, object]:
    last = history.sample_facts()[-1]
    more = (last.model_copy(update={"body": body}) for body in bodies)
    _, status = history.refolded((*history.sample_facts(), *more))
    return status.model_dump(mode="json", by_alias=True)


def status(*bodies: FactBody, facts: int | None = None, beside: Beside = ALONE) -> dict[str, str]:
    """The status after these facts; of the sample's only the first `facts`, if that is given."""
    if facts is None:
        values = status_with(*bodies)
    else:
        _, found = history.refolded(history.sample_facts()[:facts])
        values = found.model_dump(mode="json", by_alias=True)
    return {"status.txt": render_status(values, ENVIRONMENTS, beside)}


def in_group(*, refused: bool) -> dict[str, str]:
    """The status of a draft that moved with a release group, or that it refused."""
    *earlier, last = history.sample_facts()
    cause = last.cause.model_copy(update={"request": group_path("spring")})
    assert isinstance(last.body, Promoted) and last.decided_at
    part = PartOfGroup(name="spring", decided_at=last.decided_at)
    body: FactBody = last.body.model_copy(update={"group": part})
    if refused:
        said = "contoso/supplier-rating is refused: digest-blocked: it leaks"
        reason = Reason(code="group-member-refused", message=said)
        body = PromotionRefused(environment="prod", reasons=(reason,))
    told = last.model_copy(update={"cause": cause, "body": body})
    _, found = history.refolded((*earlier, told))
    values = found.model_dump(mode="json", by_alias=True)
    return {"status.txt": render_status(values, ENVIRONMENTS, ALONE)}


def listed(requested: tuple[str, ...] = (), beside: Beside = ALONE) -> dict[str, str]:
    return {"statuses.txt": render_statuses([status_with()], ENVIRONMENTS, requested, beside)}


SEEN = observation("dev", observed_at=moment_of(CLOCK_S + 3600))
OTHER_DIGEST = "sha256:" + "9" * 64
IMAGE = history.sample_status().image
# What a status must show without a tick: each is laid over what was seen.
ODD: dict[str, dict[str, object]] = {
    "drift": {"digest": OTHER_DIGEST, "application": "Application argocd/acme--order-router--dev"},
    "no-digest": {"digest": None, "images": (f"{IMAGE}:1.2.3",)},
    "two-digests": {
        "digest": None,
        "images": (f"{IMAGE}@{history.DIGEST}", f"{IMAGE}@{OTHER_DIGEST}"),
        "health": "Progressing",
    },
    "unknown": {
        "digest": None,
        "health": "Unknown",
        "sync": "Unknown",
        "revision": None,
        "message": "the delivery tool does not list it",
    },
    "out-of-sync": {"sync": "OutOfSync"},
}


def odd(**over: object) -> dict[str, str]:
    """The status after an odd observation, and what is wrong with what runs."""
    seen = Observed(observation=SEEN.model_copy(update=over))
    values = status_with(seen)
    promotions = values["promotions"]
    assert isinstance(promotions, list)
    running = [one for p in promotions if (one := Running.of(p))]
    found = [finding for one in running for finding in check_running(one)]
    return {**status(seen), "findings.txt": render_text(found)}


def sighted() -> dict[str, str]:
    """What was seen of releases, as `pipeline observe` shows it."""
    record = history.sample_status().promotion("dev")
    assert record is not None
    known = [SEEN, *(SEEN.model_copy(update=over) for over in ODD.values())]
    sealed = record.release.digest
    judged = [
        JudgedReport(seen, seen, record, tuple(check_running(Running.seen(seen, sealed))))
        for seen in known
    ]
    stranger = SEEN.model_copy(
        update={"draft": "", "environment": "", "application": "Application argocd/by-hand"}
    )
    table = render_sightings([*judged, judge_unknown(stranger)], 12)
    return {"table.txt": table, "none.txt": render_sightings([], 0)}


FOREIGN = Beside(
    incidents=(
        (
            "tenant-acme-gitops",
            "environments/dev/order-router/x.yaml",
            "gitops-content-foreign",
            "a file beside what was promoted",
        ),
    )
)
UNREAD = Beside(failures=(("tenant-acme-gitops", "not-found", "it is gone"),))
PATCH_REFUSED = PatchRefused(
    patch="0002", reasons=(Reason(code="patch-secret", message="line 3 holds a credential"),)
)
PROMOTION_REFUSED = PromotionRefused(
    environment="prod",
    reasons=(Reason(code="environment-order", message="staging has not run this primitive"),),
)


BROKEN = AUDIT_FACT_CHAIN.finding(
    "fact 3 does not name fact 2", Location("state/acme:facts/0003.yaml")
)


def audited(report: Report) -> dict[str, str]:
    values = audit_report_document(report).model_dump(mode="json", by_alias=True)
    return {"audit.txt": render_audit_summary(report), "audit.json": render_json(values)}


def provenance() -> dict[str, str]:
    [record] = history.sample_status().builds
    stated = (Stated(record, "build-workflow", ""), Stated(record, "", "its statement is missing"))
    return {"some.txt": render_provenance(DRAFT, stated), "none.txt": render_provenance(DRAFT, ())}


def doctor(*items: tuple[str, str, str, str]) -> dict[str, str]:
    found = tuple(
        DoctorItem.model_validate({"name": n, "state": s, "detail": d, "help": h})
        for n, s, d, h in items
    )
    is_ready = all(item.state != "missing" for item in found)
    report = DoctorReport(verdict="valid" if is_ready else "could-not-check", items=found)
    return {"doctor.txt": render_doctor(report)}


GIT = ("git", "ok", "2.45.0", "")


def policy_difference(**changes: object) -> PolicyDiffDocument:
    """What a change of prod's approvals and signers would have decided otherwise."""
    decided = [
        (
            "prod",
            17,
            "allowed",
            "waits",
            ("approval-missing", "2 of 3 approvals", False),
        ),
        ("dev", 12, "allowed", "refused", ("digest-blocked", history.digest_of("a"), True)),
        ("staging", 9, "refused", "allowed", ("builder-refused", "built by `buildah`", True)),
    ]
    changed = [
        {
            "draft": DRAFT,
            "environment": environment,
            "fact": fact,
            "recorded": "refused" if was == "refused" else "promoted",
            "at": moment_of(CLOCK_S),
            "was": was,
            "would_be": would_be,
            "reasons": [{"code": reason[0], "message": reason[1], "final": reason[2]}],
        }
        for environment, fact, was, would_be, reason in decided
    ]
    told = {
        "base": "a" * 40,
        "head": "b" * 40,
        "files": ["environments/prod/environment.yaml"],
        "decisions": 1200,
        "replayed": 400,
        "changed": changed,
        "other_reasons": 2,
        "not_known": ["prod: overlays are taken as they were rendered"],
    }
    return PolicyDiffDocument.model_validate_json(json.dumps(told | changes))


def policy_compared(**changes: object) -> dict[str, str]:
    """A comparison of policies as text and as the section of a comment."""
    found = policy_difference(**changes)
    return {
        "diff.txt": render_policy_diff(found),
        "diff.md": render_policy_diff_markdown(found),
    }


def policy_tried() -> dict[str, str]:
    """The results of test cases, one of which expected something else."""
    reason = {"code": "window-closed", "message": "window `freeze` is closed", "final": False}
    told = {
        "passed": 1,
        "failed": 1,
        "cases": [
            {
                "file": "policy-tests/prod.yaml",
                "line": line,
                "name": name,
                "passed": line == 6,
                "expected": "allowed",
                "expected_reasons": [],
                "found": "allowed" if line == 6 else "waits",
                "reasons": [] if line == 6 else [reason],
            }
            for line, name in ((6, "Prod goes on"), (21, "A fix passes the freeze"))
        ],
    }
    report = PolicyTestDocument.model_validate_json(json.dumps(told))
    return {"cases.txt": render_policy_tests(report)}


CASES: dict[str, Callable[[], dict[str, str]]] = {
    "policy-compared": policy_compared,
    "policy-compared-equal": partial(policy_compared, changed=[], not_known=[], other_reasons=0),
    "policy-compared-nothing": partial(
        policy_compared, files=[], changed=[], not_known=[], other_reasons=0
    ),
    "policy-not-compared": partial(
        policy_compared,
        problem="could-not-check: no fact `a|b`",
        changed=[],
        other_reasons=0,
        not_known=[],
    ),
    "policy-tried": policy_tried,
    "plan-provision": partial(planned, "provision"),
    "plan-scaffold": partial(planned, "scaffold"),
    "plan-that-waits": partial(planned, "provision", waiting=(WAITS,)),
    "plan-of-nothing": planned,
    "run-of-nothing": ran,
    "run-of-effects": partial(ran, "open-pull", "open-pull", "append-facts"),
    "run-that-waits": partial(ran, "append-facts", waiting=(WAITS, WAITS_FOR_TIME)),
    "run-with-failures": partial(
        ran, failures=((DRAFT, "could-not-check", "helm is missing"),), invalid=1
    ),
    **{f"status-after-{n:02d}-facts": partial(status, facts=n) for n in (2, 4, 6, 8)},
    "status-observed": partial(status, Observed(observation=SEEN)),
    **{f"status-{name}": partial(odd, **over) for name, over in ODD.items()},
    "observed": sighted,
    "status-refused": partial(status, PATCH_REFUSED, PROMOTION_REFUSED),
    "status-in-a-group": partial(in_group, refused=False),
    "status-refused-in-a-group": partial(in_group, refused=True),
    "status-rejected": partial(status, Rejected(reason="its pull request was closed")),
    "status-foreign-content": partial(status, Observed(observation=SEEN), beside=FOREIGN),
    "status-unread": partial(status, beside=UNREAD),
    "statuses": partial(listed, ("contoso/inventory", DRAFT)),
    "statuses-with-incidents": partial(listed, beside=FOREIGN),
    "statuses-not-looked-at": partial(listed, beside=Beside(is_checked=False)),
    "statuses-of-nothing": lambda: {"statuses.txt": render_statuses([], ENVIRONMENTS)},
    "audit-log": lambda: {"log.txt": render_log(DRAFT, history.sample_facts())},
    "audit-verified": partial(audited, Report(remembered=4)),
    "audit-with-findings": partial(audited, Report((BROKEN,), verdict=Verdict.INVALID)),
    "audit-acknowledged": partial(
        audited,
        Report(acknowledged=(Acknowledged(BROKEN, "environments/x.yaml", "E <e@x>", "Seen"),)),
    ),
    "audit-provenance": provenance,
    "doctor-ready": partial(doctor, GIT),
    "doctor-missing": partial(doctor, GIT, ("helm", "missing", "not found", "run `make setup`")),
    "doctor-optional": partial(
        doctor, GIT, ("buildah", "optional", "not found", "needed for images alone")
    ),
}
