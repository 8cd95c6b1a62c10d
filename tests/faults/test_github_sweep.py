"""The sweep over GitHub: a lost reply, a 5xx, a limit or the end of the process at every call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.github_sweep import Checkpoint, Point, differences, points_of, tell
from worlds.github_server import GitHubServer

SHORT_STRIDE = 97


def _sweep(
    server: GitHubServer,
    points: Sequence[Point],
    checkpoints: tuple[Checkpoint, ...],
    folder: Path,
) -> None:
    failed: list[str] = []
    started = time.monotonic()
    for count, point in enumerate(points, start=1):
        wrong = differences(server, point, checkpoints[point.step], folder / "point")
        seen = checkpoints[point.step].calls[point.number - 1]
        fault = point.fault or "process stopped"
        name = f"{checkpoints[point.step].name}: {fault} at {point.number} ({seen.template})"
        failed += [f"{name}: {line}" for line in wrong]
        if count % 10 == 0 or wrong:
            seconds = time.monotonic() - started
            print(f"  {count}/{len(points)} points, {seconds:.0f} s  {name}", flush=True)
    broken = {line.rsplit(":", 2)[0] for line in failed}
    print(f"{len(points)} points, {len(points) - len(broken)} converged")
    assert not failed, "\n".join(failed[:40])


@pytest.mark.sweep
def test_story_on_github_converges_from_every_call(tmp_path: Path) -> None:
    with GitHubServer(tmp_path / "begun") as server:
        checkpoints = tell(server, tmp_path)
        points = points_of(checkpoints)
        assert len(points) >= 300
        _sweep(server, points, checkpoints, tmp_path)


def test_story_on_github_converges_from_some_calls(tmp_path: Path) -> None:
    with GitHubServer(tmp_path / "begun") as server:
        checkpoints = tell(server, tmp_path, steps=2)
        points = points_of(checkpoints)
        assert len(points) >= 300
        _sweep(server, points[::SHORT_STRIDE], checkpoints, tmp_path)
