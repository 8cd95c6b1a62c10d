"""The gate's decisions per second; `python -m bench.gate COUNT` prints JSON.

It judges an allowed promotion to prod, so every clause does all of its work. In CPU time, since the
gate waits for nothing.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pipeline.gate.authorise import authorise
from pipeline.gate.authority import judge
from pipeline.gate.matters import matters_of
from pipeline.images.signing import SigningKey
from pipeline.requests.layout import promotion_path
from worlds.evidence import DRAFT, allowed_promotion


def rate(do: Callable[[], object], count: int) -> float:
    """How often `do` runs per second of CPU time; the best of five."""
    best = 0.0
    for _ in range(5):
        begun = time.process_time()
        for _ in range(count):
            do()
        best = max(best, count / (time.process_time() - begun))
    return best


def main(arguments: list[str]) -> int:
    """Print decisions per second: of the gate alone, and with authority judged each time."""
    with tempfile.TemporaryDirectory() as folder:
        allowed = allowed_promotion(SigningKey.create(Path(folder) / "key"))
    evidence, policy = allowed.evidence, allowed.policy
    paths = [promotion_path(DRAFT, "prod")]

    def from_the_start() -> object:
        matters = matters_of(paths, policy, policy, now=policy, tier=evidence.tier)
        authority = judge(matters, allowed.revision, allowed.platform)
        return authorise(replace(evidence, authority=authority))

    count = int(arguments[0])
    decision = authorise(evidence)
    if not decision.allowed or from_the_start() != decision:
        raise SystemExit(f"the promotion is not allowed: {decision}")
    told = {
        "decisions": rate(lambda: authorise(evidence), count),
        "decisions, authority judged anew": rate(from_the_start, count),
    }
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
