"""Each benchmark case in its short form does the work that it names; its time is not judged.

A case that did other work raises BenchFailure.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cases import CASES, Place
from bench.compare import compared, render_compared, rows_of
from bench.measure import BenchFailure
from tests.conftest import ROOT


# `test_kept_world.py` tells the demo, which takes two minutes.
@pytest.mark.parametrize("name", [name for name in CASES if name != "demo"])
def test_a_case_does_the_work_that_it_names(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--short", name],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = done.stdout.splitlines()[1:]
    assert rows and all(f" {name} " in f"{row} " for row in rows)
    assert not any(mark in done.stdout for mark in "✓✗"), "a short form judges nothing"
    assert not list(tmp_path.iterdir()), "a case leaves something behind"


def test_a_case_that_did_other_work_fails(tmp_path: Path) -> None:
    place = Place(tmp_path, 1, short=True)
    place.expect("✓ 8 requests", r"✓ 8 requests")
    with pytest.raises(BenchFailure, match="other work"):
        place.expect("✓ 10,008 requests", r"✓ 8 requests")


def test_benchmarks_and_worlds_import_no_test() -> None:
    for folder in ("bench", "worlds"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "import tests" not in text and "from tests" not in text, path
            assert folder == "bench" or "from bench" not in text, path


def _bench(*rows: tuple[str, float, float]) -> dict[str, object]:
    return {
        "rows": [
            {"case": "idle", "what": what, "unit": "s", "value": None, "median_s": s, "cpu_s": cpu}
            for what, s, cpu in rows
        ]
    }


def test_slower_means_more_processor_time_too_by_medians() -> None:
    before = [
        rows_of(_bench(("a", wall_s, 0.5), ("b", 1.0, 0.5), ("gone", 1.0, 1.0)))
        for wall_s in (1.0, 9.0, 1.0)
    ]
    after = [rows_of(_bench(("a", 2.0, 0.5), ("b", 1.2, 0.6), ("new", 1.0, 1.0)))] * 3
    a, b = compared(before, after)
    assert (a.what, a.before[0], a.after[0], a.is_slower) == ("a", 1.0, 2.0, False)
    assert (b.what, b.is_slower, round(b.ratio, 3)) == ("b", True, 1.2)
    assert "✗ idle      b" in render_compared([a, b])


def test_a_rate_is_slower_when_it_is_lower() -> None:
    rows = [{"case": "gate", "what": "decisions", "unit": "/s", "value": v} for v in (100.0, 90.0)]
    [row] = compared([rows_of({"rows": rows[:1]})], [rows_of({"rows": rows[1:]})])
    assert row.is_slower and round(row.ratio, 3) == 1.111
