"""Rules of plans: why a run waits, and why a saved plan is no longer applied."""

from __future__ import annotations

from pipeline.diagnostics import Rule, Severity, Subject, register

STALE_PLAN = register(
    Rule(
        id="stale-plan",
        summary="A saved plan is applied only if it is still exactly what would be planned.",
        why="the reviewer approved these effects on that state, and no others",
        fix="make the plan again (`pipeline plan --out FILE`) and have it reviewed",
        subject=Subject.SCENARIO,
        fails="a saved plan whose commit goes to another branch, or a main that moved since",
        passes="a saved plan as it was written, on the world that it was made for",
    )
)
EVIDENCE_DUE = register(
    Rule(
        id="evidence-due",
        summary="A run that records checks and builds has evidence of each one that is due.",
        why="the jobs that perform them hold no credentials; a run records only what they showed",
        fix="perform what is due (`pipeline due`, `pipeline perform`), then run with its evidence",
        subject=Subject.SCENARIO,
        fails="a patch was applied, and no job has checked its source yet",
        passes="the same source with the evidence of its checks",
        severity=Severity.NOTE,
    )
)
MERGE_PENDING = register(
    Rule(
        id="merge-pending",
        summary="A merge that the forge has queued is awaited, and not asked for again.",
        why="the forge merges it by itself once its own checks pass; the fact follows the merge",
        fix="wait for the forge's merge queue, then run again",
        subject=Subject.SCENARIO,
        fails="a promotion's pull request is in the merge queue",
        passes="a promotion's pull request that can be merged now",
        severity=Severity.NOTE,
    )
)
