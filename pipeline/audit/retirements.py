"""Retirements computed again: each removal, its commit, and the end of the draft."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pipeline import names
from pipeline.audit import rules as rule
from pipeline.audit.cases import FactCase, commit_problem, folder_at, parents_at
from pipeline.diagnostics import Finding
from pipeline.models.facts import Rejected, Retired
from pipeline.models.requests import Retirement
from pipeline.plan.view import Retiring
from pipeline.stages.retire import end_reason, next_to_leave, removal


def check_retired(case: FactCase) -> Iterator[Finding]:
    """A finding unless the request, policy and GitOps history give this very removal."""
    body, request = case.fact.body, case.request
    if not isinstance(body, Retired) or not isinstance(request, Retirement):
        return
    gitops, before = case.gitops, case.before
    if gitops is None or before is None:
        return  # the repository's check reports it
    folder = names.overlay_folder(body.environment, before.instance)
    told = (body.gitops_repo, body.pull_request.repo, body.overlay_folder)
    problem = ""
    if told != (gitops.name, gitops.name, folder):
        problem = "its repository or folder is not the derived one"
    elif body.gitops_commit not in case.audit.line_of(gitops):
        problem = f"{gitops.name} has no commit {body.gitops_commit[:12]} on main"
    elif folder_at(gitops, body.gitops_commit, folder) is not None:
        problem = f"{folder} is still there at {body.gitops_commit[:12]}"
    else:
        problem = _removal_problem(case, body, request, folder)
    if problem:
        yield case.finding(rule.AUDIT_RETIREMENT_DIFFERS, problem)
    else:
        case.audit.proves("removals of retired primitives computed again")


def _removal_problem(case: FactCase, body: Retired, request: Retirement, folder: str) -> str:
    """How the removal differs from what the stage plans; empty if it does not."""
    gitops = case.gitops
    assert gitops is not None  # the caller checked
    merge = gitops.commit(body.gitops_commit)
    made = gitops.commit(merge.parents[-1]) if len(merge.parents) > 1 else merge
    if not made.parents:
        return "its commit has no parent"
    problem = "no policy of its time allows it"
    for view in case.views():
        retiring = Retiring(view.caused, request.reason)
        view = replace(view, retirement=retiring)
        record = next_to_leave(view)
        if not view.retires:
            reason = view.caused.authority.reasons[0]
            problem = f"{reason.code}: {reason.message}"
            continue
        if record is None or record.environment != body.environment:
            due = record.environment if record else "nothing"
            problem = f"it leaves {body.environment} where {due} is due"
            continue
        base = made.parents[0]
        parents = parents_at(gitops, base, folder)
        retiring = replace(retiring, gitops_base=base, gitops_parents=parents)
        found = commit_problem(case, made, removal(view, retiring, folder), parents)
        if found is None:
            return ""
        problem = f"commit {made.id[:12]} of {gitops.name}: {found}"
    return problem


def check_ended(case: FactCase) -> Iterator[Finding]:
    """A finding unless a draft ended by its retirement, or by a pull request that was closed."""
    body, before, request = case.fact.body, case.before, case.request
    if not isinstance(body, Rejected):
        return
    if isinstance(request, Retirement):
        if before is None or before.promotions or body.reason != end_reason(request.reason):
            yield case.finding(
                rule.AUDIT_RETIREMENT_DIFFERS,
                "a retired draft ends once it runs nowhere, with the reason of its request",
            )
        elif not any(view.caused.authority.is_complete for view in case.views()):
            yield case.finding(rule.AUDIT_RETIREMENT_DIFFERS, "its request came without authority")
        return
    case.audit.trusts("a pull request that was closed without a merge", "the forge")
    if before is None or before.promotions or not before.pull_request:
        yield case.finding(
            rule.AUDIT_TOLD_MISFIT, "only a draft that was never promoted can end so"
        )
