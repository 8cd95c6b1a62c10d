"""The rule of saved plans: a plan is carried out exactly as it was reviewed, or not at all."""

from __future__ import annotations

from pipeline.diagnostics import Rule, Subject, register

STALE_PLAN = register(
    Rule(
        id="stale-plan",
        summary="A saved plan is applied only while it is, to the letter, what would be planned.",
        why="who reviewed the plan approved these effects on this world, and no others",
        fix="make the plan again (`pipeline plan --out FILE`) and have it reviewed",
        subject=Subject.SCENARIO,
        fails="a saved plan whose commit goes to another branch, or a main that moved since",
        passes="a saved plan as it was written, on the world that it was made for",
    )
)
