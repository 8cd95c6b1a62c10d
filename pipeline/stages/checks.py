"""Checks: lint, tests and scans of one exact source tree, recorded as a fact. Pure.

They run after every applied patch, so that reviewers see them, and for every source that a
promotion requests. `pipeline.checks` runs them in a sandbox.
"""

from __future__ import annotations

from pipeline.errors import OverBound
from pipeline.models.base import CommitId, TreeId, key_of
from pipeline.models.evidence import CheckName, CheckOutcome, CheckReport, CheckResult
from pipeline.plan.effects import FactEntry, RunChecks
from pipeline.plan.view import Caused, DraftView, Step

_ORDER: tuple[CheckName, ...] = ("lint", "tests", "secrets", "code-scan")


def wanted_checks(view: DraftView) -> tuple[CheckName, ...]:
    """Every check that some environment requires, in a fixed order."""
    required = {name for env in view.environments.values() for name in env.required_checks}
    return tuple(name for name in _ORDER if name in required)


def plan_checks(view: DraftView, commit: str, tree: str, caused: Caused) -> Step | None:
    """The checks still to run on this tree; None if all were recorded."""
    wanted = wanted_checks(view)
    report = view.status.checks_of_tree(tree) if view.status else None
    done = {r.name for r in report.results} if report else set()
    if set(wanted) <= done:
        return None
    effect = RunChecks(
        key=key_of("checks", view.target_repo, tree, wanted),
        draft=view.id,
        repo=view.target_repo,
        commit=commit,
        folder=view.folder,
        tree=tree,
        names=wanted,
    )
    fact = FactEntry(
        draft=view.id,
        cause=caused.cause,
        type="checks-recorded",
        known={},
        outcomes={"report": effect.key},
    )
    return Step(effects=(effect,), facts=(fact,))


def refused_report(effect: RunChecks, error: OverBound) -> CheckReport:
    """The report on a source that exceeds the checks' bounds: every check fails."""
    results = tuple(
        CheckResult(
            name=name, outcome=CheckOutcome.FAILED, tool="bounds", summary=error.message[:300]
        )
        for name in effect.names
    )
    return CheckReport(commit=CommitId(effect.commit), tree=TreeId(effect.tree), results=results)


def plan_head_checks(view: DraftView) -> Step | None:
    """The checks of the draft's head, once it has a patch."""
    status = view.status
    if status is None or not status.is_patched:
        return None
    return plan_checks(view, status.head, status.head_tree, view.caused)
