"""The cost of a run in the sandbox: the start itself, and each tool on small input.

Prints one JSON object: what was run → milliseconds of each run.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from pipeline.checks.python import run_ruff
from pipeline.sandbox.limits import Limits
from pipeline.sandbox.run import run_confined
from pipeline.tools.gitleaks import run_secret_scan
from pipeline.tools.helm import run_helm_template

_CHART = {
    "Chart.yaml": b"apiVersion: v2\nname: x\nversion: 1.0.0\n",
    "templates/a.yaml": b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
}


def start() -> None:
    """A program that does nothing, with one file."""
    files = {"a/b.txt": (0o100644, b"x")}
    ended = run_confined(["/bin/true"], files=files, env={}, limits=Limits())
    if (ended.exit_code, ended.limit_hit) != (0, None):
        raise SystemExit(f"it ended with {ended}")


def helm() -> None:
    """A chart of one object, rendered twice in one sandbox."""
    run_helm_template(_CHART, release="x", values={}, kubernetes_version="1.34.0")


def gitleaks() -> None:
    """A scan of one file."""
    run_secret_scan({"a.py": b"x = 1\n"})


def ruff() -> None:
    """Lint of one file."""
    run_ruff({"a.py": (0o100644, b"x = 1\n")}, scan=False)


MEASURED: tuple[Callable[[], None], ...] = (start, ruff, gitleaks, helm)


def main(times: int) -> None:
    """Run each, with one unreported run first."""
    told = {}
    for run in MEASURED:
        runs_ms = []
        for _ in range(times + 1):
            begun = time.perf_counter()
            run()
            runs_ms.append((time.perf_counter() - begun) * 1000)
        told[run.__name__] = runs_ms[1:]
    print(json.dumps(told))


if __name__ == "__main__":
    main(int(sys.argv[1]))
