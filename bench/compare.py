"""`python -m bench compare COMMIT [NAME]...`: compares this checkout's cases with another commit's.

The other commit is checked out in a worktree, and each side runs its own bench on its own code,
with this checkout's Python and tools. The sides take turns, so that other load on the machine
affects both alike; medians of common rows are compared. A time may be slower by 5 %; a row slower
only in wall time, not in processor time, is slow by chance.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import ROOT, BenchFailure

ALLOWED = 1.05
# Cases that time whole processes, and take minutes rather than an hour.
DEFAULT = ("startup", "validate", "scaffold", "status", "idle", "gate")
Rows = Mapping[tuple[str, str], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Compared:
    """One row on both sides: medians of wall time and of processor time, in seconds.

    Rows without a time have their value in place of both; `higher_is_better` for rates.
    """

    case: str
    what: str
    before: tuple[float, float]
    after: tuple[float, float]
    higher_is_better: bool = False

    @property
    def ratio(self) -> float:
        """How much slower it is now, by the better of both times; below 1 is faster."""
        wall, cpu = (a / b if b else 1.0 for a, b in zip(self.after, self.before, strict=True))
        return 1 / max(wall, cpu) if self.higher_is_better else min(wall, cpu)

    @property
    def is_slower(self) -> bool:
        """Whether it is slower by more than allowed."""
        return self.ratio > ALLOWED


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A worktree of this repository at another commit, with this checkout's tools."""
    with tempfile.TemporaryDirectory(prefix="pipeline-compare-") as folder:
        place = Path(folder) / "tree"
        _git("worktree", "add", "--detach", "--quiet", str(place), commit)
        try:
            (place / ".tools").symlink_to(ROOT / ".tools")
            yield place
        finally:
            _git("worktree", "remove", "--force", str(place))


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchFailure(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def environment_of(place: Path) -> dict[str, str]:
    """The environment in which this checkout's Python runs the code of another checkout.

    Raises BenchFailure if it would not.
    """
    environment = {**os.environ, "PYTHONPATH": str(place)}
    code = "import pipeline; print(pipeline.__file__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    if not done.stdout.startswith(f"{place}{os.sep}"):
        raise BenchFailure(f"{sys.executable} runs {done.stdout.strip()}, not what is in {place}")
    return environment


def rows_of(document: Mapping[str, object]) -> Rows:
    """(case, what was measured) → the row, from one bench's JSON."""
    rows = document["rows"]
    assert isinstance(rows, list)
    return {(row["case"], row["what"]): row for row in rows}


def compared(before: Sequence[Rows], after: Sequence[Rows]) -> list[Compared]:
    """The rows that both sides have in every turn, as medians over the turns."""
    common = [key for key in after[0] if all(key in rows for rows in (*before, *after))]
    found = []
    for case, what in common:
        sides = [_medians([rows[case, what] for rows in side]) for side in (before, after)]
        if sides[0] is None or sides[1] is None:
            continue
        is_rate = after[0][case, what].get("unit") == "/s"
        found.append(Compared(case, what, sides[0], sides[1], is_rate))
    return found


def _medians(rows: Sequence[Mapping[str, object]]) -> tuple[float, float] | None:
    """Medians of wall and processor time; None for rows that are neither times nor rates."""
    if all(isinstance(row.get("median_s"), float) for row in rows):
        wall = statistics.median(float(str(row["median_s"])) for row in rows)
        return wall, statistics.median(float(str(row["cpu_s"])) for row in rows)
    if all(row.get("unit") in ("s", "ms", "/s") and row.get("value") is not None for row in rows):
        value = statistics.median(float(str(row["value"])) for row in rows)
        return value, value
    return None


def render_compared(found: Sequence[Compared]) -> str:
    """The table: what was measured, before, now, and how much slower."""
    lines = [f"  {'case':<9} {'what':<44}{'before':>12}{'now':>12}{'slower':>9}"]
    for row in found:
        mark = "✗" if row.is_slower else "✓"
        numbers = f"{row.before[0]:12.3f}{row.after[0]:12.3f}{(row.ratio - 1) * 100:+8.1f}%"
        lines.append(f"{mark} {row.case:<9} {row.what:<44}{numbers}")
    return "".join(f"{line}\n" for line in lines)


def document_of(commit: str, found: Sequence[Compared]) -> dict[str, object]:
    """The same as JSON; times in seconds, or in the unit of the row."""
    return {
        "kind": "BenchmarkComparison",
        "before": commit,
        "allowed": ALLOWED,
        "rows": [
            {
                "case": row.case,
                "what": row.what,
                "before": row.before[0],
                "before_cpu": row.before[1],
                "now": row.after[0],
                "now_cpu": row.after[1],
                "ratio": row.ratio,
                "is_slower": row.is_slower,
            }
            for row in found
        ],
    }


def run_bench(environment: Mapping[str, str], place: Path, options: Sequence[str]) -> Rows:
    """The rows of one bench in its own checkout. Raises BenchFailure if it gives none."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--json", *options],
        cwd=place,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):  # 1: a limit was missed, which does not matter here
        raise BenchFailure(f"the bench of {place} failed\n{done.stderr[-2000:]}")
    return rows_of(json.loads(done.stdout))


def compare(
    commit: str, names: Sequence[str], *, turns: int, options: Sequence[str]
) -> list[Compared]:
    """The comparison of both sides, run in turns and case by case, with these options."""
    found: list[Compared] = []
    with checked_out(commit) as place:
        sides = [(tree, environment_of(tree)) for tree in (place, ROOT)]
        for name in names or DEFAULT:
            runs: tuple[list[Rows], list[Rows]] = ([], [])
            for turn in range(turns):
                for side in (0, 1) if turn % 2 == 0 else (1, 0):
                    tree, environment = sides[side]
                    runs[side].append(run_bench(environment, tree, [name, *options]))
            found += compared(*runs)
    return found
