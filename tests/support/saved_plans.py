"""Cases of saved plans that are tampered with or applied too late, as data.

A case says what to change (`at`, a path of keys and numbers, and `to`; or `repeat`/`drop` of an
effect by number) in the plan of one pending patch, or what happens before it is applied (`then`:
`main moves`, `state moves`).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml

from pipeline.diagnostics import Finding, Location
from pipeline.errors import StalePlan
from pipeline.plan.effects import Plan
from pipeline.plan.rules import STALE_PLAN
from tests.support.story import story_at
from tests.support.sweep import fingerprint

_FIELDS = {"at", "to", "repeat", "drop", "then"}


def _change(case: dict[str, Any], plan: dict[str, Any]) -> None:
    effects = plan["tenants"][0]["effects"]
    if "at" in case:
        *parents, last = [int(p) if p.isdigit() else p for p in case["at"].split("/")]
        place: Any = plan
        for part in parents:
            place = place[part]
        assert place[last] != case["to"], "the case changes nothing"
        place[last] = case["to"]
    if "repeat" in case:
        effects.append(effects[case["repeat"]])
    if "drop" in case:
        del effects[case["drop"]]


def findings_of_plan(text: str) -> tuple[Finding, ...]:
    """The error of applying the plan; a refused plan must have written nothing."""
    case = yaml.safe_load(text) or {}
    assert set(case) <= _FIELDS, f"unknown keys in {sorted(case)}"
    with tempfile.TemporaryDirectory(prefix="pipeline-tests-plan-") as folder:
        world = story_at("scaffolded", Path(folder) / "world")
        world.write("0001", "docs/one.md", "1\n")
        plan = json.loads(world.engine.plan(tenants=["acme"]).model_dump_json(by_alias=True))
        _change(case, plan)
        if case.get("then") == "main moves":
            world.write("0002", "docs/two.md", "2\n")
        elif case.get("then") == "state moves":
            world.go()
        before = fingerprint(world.root)
        try:
            world.engine.apply(Plan.model_validate_json(json.dumps(plan)))
        except StalePlan as stale:
            assert fingerprint(world.root) == before, "a refused plan wrote something"
            return (STALE_PLAN.finding(stale.message, Location("plan.json")),)
        finally:
            world.close()
    return ()


def stale_plan(fail: bool) -> set[str]:
    """Move main or the draft's branch after planning, so that the plan is stale."""
    changed = "{at: tenants/0/effects/0/branch, to: main}" if fail else "{}"
    return {finding.code for finding in findings_of_plan(changed)}
