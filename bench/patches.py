"""Many patches on one draft, from merged requests to facts: `python -m bench.patches FOLDER COUNT`.

Checks and the search for credentials have stand-ins, to measure this pipeline alone.
Prints one JSON object: the number of facts, and processor time of this process in milliseconds per
patch at the beginning and at the end.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.engine.opening import open_engine
from pipeline.models.base import CommitId, TreeId
from pipeline.models.evidence import CheckOutcome, CheckReport, CheckResult
from pipeline.plan.effects import Effect, RunChecks
from worlds import requests
from worlds.control import World, control_files

_AT_ONCE = 20  # patches per pull request of the control repo


def passed(effect: RunChecks, files: object) -> CheckReport:
    """A report that all checks passed."""
    results = tuple(
        CheckResult(name=name, outcome=CheckOutcome.PASSED, tool="checker 1.0", summary="passed")
        for name in effect.names
    )
    return CheckReport(commit=CommitId(effect.commit), tree=TreeId(effect.tree), results=results)


@dataclass
class Clock:
    """Processor time of this process each time facts were recorded."""

    at_s: list[float] = field(default_factory=list)

    def __call__(self, at: str, effect: Effect) -> None:
        """The engine's hook around effects."""
        if at == "after" and effect.kind == "append-facts":
            self.at_s.append(time.process_time())

    def each_ms(self, start: int, end: int) -> float:
        """Milliseconds per fact, from one number to another."""
        return 1000 * (self.at_s[end - 1] - self.at_s[start - 1]) / (end - start)


def main(arguments: list[str]) -> int:
    """Make the world, apply all patches in one run, and print the cost."""
    root, count = Path(arguments[0]), int(arguments[1])
    os.environ["PIPELINE_CACHE"] = str(root / "cache")
    world = World(root, control_files(1, 1))
    world.check_out()
    world.run()
    draft = f"{requests.tenant_name(0)}/{requests.draft_name(0)}"
    head = open_engine(root / "control").status(draft).head
    asked = [requests.patch_file(draft, number, head) for number in range(1, count + 1)]
    for start in range(0, count, _AT_ONCE):
        world.ask(asked[start : start + _AT_ONCE])
    clock = Clock()
    engine = open_engine(root / "control").using(
        run_checks=passed, scan_secrets=lambda files: (), faults=clock
    )
    report = engine.run()
    status, facts = engine.status(draft), engine.facts(draft)
    applied = {fact.cause.request for fact in facts if fact.body.type == "patch-applied"}
    if report.failures or len(applied) != count or status.facts != len(facts):
        raise SystemExit(f"{len(applied)} of {count} patches were applied: {report.failures}")
    tenth = max(1, count // 10)
    told = {
        "facts": status.facts,
        "first_ms": clock.each_ms(1, 1 + tenth),
        "last_ms": clock.each_ms(count - tenth, count),
    }
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
