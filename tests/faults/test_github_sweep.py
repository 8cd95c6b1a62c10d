"""The crash sweep on GitHub: a lost reply, a 5xx, a limit or a killed process at every call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.convergence import require_convergence
from tests.support.github_sweep import Checkpoint, Point, differences, points_of, tell
from worlds.github_server import GitHubServer

SHORT_STRIDE = 97


def _sweep(
    server: GitHubServer,
    points: Sequence[Point],
    checkpoints: tuple[Checkpoint, ...],
    folder: Path,
) -> None:
    def name_of(point: Point) -> str:
        checkpoint, fault = checkpoints[point.step], point.fault or "process stopped"
        seen = checkpoint.calls[point.number - 1]
        return f"{checkpoint.name}: {fault} at {point.number} ({seen.template})"

    require_convergence(
        points,
        lambda point: differences(server, point, checkpoints[point.step], folder / "point"),
        name_of,
    )


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
