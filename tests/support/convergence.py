"""Whether a world ends as it should after a run was stopped: how sweeps compare and report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pipeline.plan.effects import Plan

AnyPoint = TypeVar("AnyPoint")
SHOWN = 40  # lines of what differs


def image_indexes(root: Path) -> dict[str, str]:
    """`image PATH` → index of every image in the stores below `root`."""
    return {
        f"image {layout.parent.relative_to(root)}": layout.read_text()
        for layout in sorted((root / "images").rglob("index.json"))
    }


def unlike(found: Mapping[str, str], wanted: Mapping[str, str], plan: Plan) -> list[str]:
    """Differences from the unbroken run; a `plan` with something left to do is one too."""
    wrong = [] if plan.is_empty else ["the plan is not empty afterwards"]
    for key in sorted({*found, *wanted}):
        if found.get(key) != wanted.get(key):
            wrong.append(f"{key}: {found.get(key)} instead of {wanted.get(key)}")
    return wrong


def require_convergence(
    points: Sequence[AnyPoint],
    differences: Callable[[AnyPoint], list[str]],
    name_of: Callable[[AnyPoint], str],
) -> None:
    """Interrupt at every point, print the progress, and fail with all differences."""
    failed: list[str] = []
    broken = 0
    started = time.monotonic()
    for count, point in enumerate(points, start=1):
        wrong = differences(point)
        broken += bool(wrong)
        failed += [f"{name_of(point)}: {line}" for line in wrong]
        if count % 10 == 0 or wrong:
            seconds = time.monotonic() - started
            print(f"  {count}/{len(points)} points, {seconds:.0f} s  {name_of(point)}", flush=True)
    print(f"{len(points)} points, {len(points) - broken} converged")
    assert not failed, "\n".join(failed[:SHOWN])
