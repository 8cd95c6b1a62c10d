"""Each case of the benchmark in its short form: it does the work that it names, never in what time.

A case ends with BenchFailure where it did other work, and nothing is judged of what it took.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cases import CASES, Place
from bench.measure import BenchFailure
from tests.conftest import ROOT


@pytest.mark.parametrize("name", CASES)
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


def test_other_work_than_a_case_names_is_no_measurement(tmp_path: Path) -> None:
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
