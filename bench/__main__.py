"""`python -m bench [NAME]...`: measures, prints a table, and stores the numbers as JSON.

`python -m bench compare COMMIT [NAME]...` compares with another commit, in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.cases import BY_DEFAULT, CASES, Place, Row
from bench.measure import ROOT, BenchFailure
from pipeline import __version__

RESULTS = ROOT / "bench" / "results"


def render_row(row: Row) -> str:
    """One line of the table."""
    mark = {True: "✓", False: "✗", None: " "}[row.passed]
    if row.timing is None:
        numbers = f"{row.value:9.2f} {row.unit:<2}{'':27}"
    else:
        t = row.timing
        numbers = f"{t.best_s:9.3f} s {t.median_s:9.3f} s {t.cpu_s:7.3f} s {t.peak_mb:5.0f} MB"
    return f"{mark} {row.case:<9} {row.what:<38}{numbers}  {row.limit}".rstrip()


def document(rows: Sequence[Row]) -> dict[str, object]:
    """The numbers as one JSON document; seconds and MB (2**20 bytes)."""
    return {
        "kind": "Benchmark",
        "version": __version__,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "rows": [
            {
                "case": row.case,
                "what": row.what,
                "limit": row.limit,
                "passed": row.passed,
                "value": row.value,
                "unit": row.unit,
                "best_s": row.timing.best_s if row.timing else None,
                "median_s": row.timing.median_s if row.timing else None,
                "cpu_s": row.timing.cpu_s if row.timing else None,
                "peak_mb": row.timing.peak_mb if row.timing else None,
                "runs_s": [s.seconds for s in row.timing.samples] if row.timing else [],
            }
            for row in rows
        ],
    }


def main_compare(arguments: Sequence[str]) -> int:
    """The exit code: 0 if no row is slower than at the other commit by more than is allowed, 1 if
    one is, 4 if something could not be measured.
    """
    from bench.compare import compare, document_of, render_compared

    parser = argparse.ArgumentParser(prog="python -m bench compare")
    parser.add_argument("commit", metavar="COMMIT", help="what to measure beside this checkout")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases that both have")
    parser.add_argument("--turns", type=int, default=3, help="of each side (default 3)")
    parser.add_argument("--times", type=int, default=3, help="runs a process in each turn")
    parser.add_argument("--short", action="store_true", help="over small worlds")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    o = parser.parse_args(arguments)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        options = ["--times", str(o.times), *(["--short"] if o.short else [])]
        found = compare(o.commit, o.names, turns=o.turns, options=options)
    except BenchFailure as failure:
        print(f"✗ could not be measured: {failure}", file=sys.stderr)
        return 4
    text = json.dumps(document_of(o.commit, found), indent=2) + "\n"
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "compared.json").write_text(text, encoding="utf-8")
    print(text if o.json else render_compared(found), end="")
    return 1 if any(row.is_slower for row in found) else 0


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 if every limit was kept, 1 if not, 4 if something could not be measured."""
    if arguments[:1] == ["compare"]:
        return main_compare(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--times", type=int, default=5, help="runs of each process (default 5)")
    parser.add_argument(
        "--short", action="store_true", help="each once over small worlds; no limit is judged"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in CASES:
            parser.error(f"there is no case `{name}`; cases are {', '.join(CASES)}")
    # Users' Python keeps byte code; in a shell that forbids it we would measure the compiler.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    out = sys.stderr if options.json else sys.stdout
    print(f"  {'case':<9} {'what':<38}{'best':>11}{'median':>12}{'cpu':>10}{'peak':>9}", file=out)
    rows: list[Row] = []
    failed = False
    for name in options.names or BY_DEFAULT:
        with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as folder:
            try:
                times = 1 if options.short else options.times
                for found in CASES[name](Place(Path(folder), times, options.short)):
                    row = replace(found, limit="", passed=None) if options.short else found
                    rows.append(row)
                    print(render_row(row), file=out, flush=True)
            except BenchFailure as failure:
                failed = True
                print(f"✗ {name:<9} could not be measured: {failure}", file=out, flush=True)
    text = json.dumps(document(rows), indent=2) + "\n"
    if not options.short:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "latest.json").write_text(text, encoding="utf-8")
    if options.json:
        print(text, end="")
    if failed:
        return 4
    return 1 if any(row.passed is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
