"""Plans and run reports, for people. Pure; the document of a plan is the model itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.characters import visible
from pipeline.diagnostics import Finding
from pipeline.errors import Failure
from pipeline.models.base import Moment, moment_of
from pipeline.models.run_report import (
    DecisionReasonItem,
    FailureItem,
    IncidentItem,
    ProblemItem,
    RunReportDocument,
    WaitingItem,
)
from pipeline.plan.effects import Incident, Plan, Receipt, TenantPlan, Waiting, describe
from pipeline.render.style import PLAIN, Style, counted, shown_moment


def render_plan(plan: Plan, style: Style = PLAIN) -> str:
    """The plan: each tenant's effects in order, one line each, and what waits, with reasons."""
    lines = [_headline(plan, style)]
    for tenant in plan.tenants:
        lines += _tenant_lines(tenant, style)
    made = f"{shown_moment(plan.made_at)} by {plan.tool_version}"
    lines.append(f"  planned on main at {plan.control_commit[:12]}, {made}")
    return "".join(f"{line}\n" for line in lines)


def _headline(plan: Plan, style: Style) -> str:
    count = len(plan.effects)
    if not count:
        return f"{style.good} nothing to do for {counted(len(plan.tenants), 'tenant')}"
    busy = sum(not t.is_empty for t in plan.tenants)
    return f"{style.wait} {counted(count, 'effect')} for {counted(busy, 'tenant')}"


def _tenant_lines(tenant: TenantPlan, style: Style) -> list[str]:
    told = (tenant.waiting, tenant.failures, tenant.warnings, tenant.incidents)
    if tenant.is_empty and not any(told):
        return []
    lines = [style.paint("bold", tenant.tenant)]
    lines += [
        f"  {number:>3}  {visible(describe(effect))}"
        for number, effect in enumerate(tenant.effects, 1)
    ]
    for waiting in tenant.waiting:
        lines += _waiting_lines(waiting, style)
    for incident in tenant.incidents:
        where = f"{incident.repo}:{visible(incident.path)}"
        lines.append(f"  {style.bad} foreign {where}  {incident.code}: {incident.message}")
    for subject, code, message in tenant.failures:
        lines.append(f"  {style.bad} failed {subject}  {code}: {visible(message)}")
    for subject, code, message in tenant.warnings:
        lines.append(f"  {style.wait} not shown  {subject}  {code}: {visible(message)}")
    return lines


def _waiting_lines(waiting: Waiting, style: Style) -> list[str]:
    return [
        f"  {style.wait} waits  {waiting.request}",
        *(f"         {code}: {visible(message)}" for code, message in waiting.reasons),
        *_until_line(waiting.until),
    ]


def _until_line(until: Moment | None) -> list[str]:
    return [f"         may change at {shown_moment(until)}"] if until else []


@dataclass(frozen=True, slots=True)
class RunSpan:
    """When a run began and ended, in seconds since the epoch, and its rounds of plan and apply."""

    began_s: int
    ended_s: int
    rounds: int


def run_report_document(
    receipts: Sequence[Receipt],
    waiting: Iterable[Waiting],
    failures: Iterable[Failure],
    span: RunSpan,
    *,
    invalid_requests: int,
    incidents: Iterable[Incident] = (),
    restored: Iterable[Incident] = (),
    problems: Iterable[Finding] = (),
) -> RunReportDocument:
    """The report of a run, as a document."""
    counts = Counter(kind for receipt in receipts for _, kind in receipt.applied)
    return RunReportDocument(
        began_at=moment_of(span.began_s),
        ended_at=moment_of(span.ended_s),
        rounds=span.rounds,
        effects=dict(sorted(counts.items())),
        waiting=tuple(
            WaitingItem(
                draft=w.draft,
                request=w.request,
                reasons=tuple(
                    DecisionReasonItem(code=code, message=visible(message), final=False)
                    for code, message in w.reasons
                ),
                until=w.until,
            )
            for w in waiting
        ),
        failures=tuple(
            FailureItem(draft=draft, code=code, message=visible(message))
            for draft, code, message in failures
        ),
        warnings=tuple(
            FailureItem(draft=draft, code=code, message=visible(message))
            for draft, code, message in dict.fromkeys(w for r in receipts for w in r.warnings)
        ),
        incidents=tuple(
            IncidentItem(**incident.model_dump(), put_back=put_back)
            for put_back, found in ((True, restored), (False, incidents))
            for incident in found
        ),
        invalid_requests=invalid_requests,
        problems=tuple(
            ProblemItem(
                path=f.location.file, code=f.code, message=visible(f.message), help=visible(f.fix)
            )
            for f in problems
        ),
    )


def render_run_report(report: RunReportDocument, style: Style = PLAIN) -> str:
    """The report of a run: what was done, what waits and why, what failed, and the next step."""
    done = sum(report.effects.values())
    left = [incident for incident in report.incidents if not incident.put_back]
    sign = style.bad if report.failures or left or report.problems else style.good
    head = f"{counted(done, 'effect')} done" if done else "nothing to do"
    lines = [f"{sign} {head}{_listed(report.effects)}"]
    for waiting in report.waiting:
        lines.append(f"  {style.wait} waits  {waiting.request}")
        lines += [f"         {r.code}: {r.message}" for r in waiting.reasons]
        lines += _until_line(waiting.until)
    for incident in report.incidents:
        mark, word = (style.good, "put back") if incident.put_back else (style.bad, "foreign ")
        where = f"{incident.repo}:{visible(incident.path)}"
        lines.append(f"  {mark} {word} {where}  {incident.code}: {visible(incident.message)}")
    if left:
        lines.append(f"  next     `pipeline explain {left[0].code}`; promotions there wait")
    for failure in report.failures:
        lines.append(f"  {style.bad} failed {failure.draft}  {failure.code}: {failure.message}")
    if report.failures:
        lines.append("  next     correct the cause, then `pipeline run` goes on from here")
    for warning in report.warnings:
        about = f"{warning.draft}  {warning.code}: {warning.message}"
        lines.append(f"  {style.wait} not shown  {about}")
    if report.invalid_requests:
        lines.append(
            f"  {style.bad} {counted(report.invalid_requests, 'request')} on main refused; "
            "`pipeline validate` says why"
        )
    for item in report.problems:
        lines.append(f"  {style.bad} {item.code} {visible(item.path)}: {item.message}")
        lines.append(f"    help: {item.help}")
    lines.append(f"  ended    {shown_moment(report.ended_at)}")
    return "".join(f"{line}\n" for line in lines)


def _listed(effects: Mapping[str, int]) -> str:
    if not effects:
        return ""
    return ": " + ", ".join(f"{n} {kind}" for kind, n in effects.items())
