"""The report of the checks names a check that nobody asked for."""

from __future__ import annotations

from tests.attacks.forging import rewrite_facts
from tests.attacks.worlds import AttackWorld


def forge(world: AttackWorld) -> None:
    """`code-scan` passed, says the fact; everything after it is chained anew."""

    def change(kind: str, body: dict[str, object]) -> None:
        if kind == "checks-recorded":
            report = body["report"]
            assert isinstance(report, dict)
            results = report["results"]
            results.append({**results[0], "name": "code-scan"})

    rewrite_facts(world, change)
