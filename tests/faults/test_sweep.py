"""The crash sweep: the story is stopped before, after and inside every effect, and run again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.engine.opening import CRASH_EXIT_CODE
from tests.support.convergence import require_convergence
from tests.support.group_sweep import GROUPED
from tests.support.second_day_sweep import SECOND_DAY
from tests.support.sweep import (
    FIRST_DAY,
    STEPS,
    Checkpoint,
    Point,
    Swept,
    differences,
    fingerprint,
    points_of,
    start,
    sweep_world,
    tell,
)
from worlds.control_repo import CLOCK_S

SHORT_STRIDE = 13


def _sweep(
    points: Sequence[Point],
    checkpoints: tuple[Checkpoint, ...],
    folder: Path,
    swept: Swept = FIRST_DAY,
) -> None:
    require_convergence(
        points,
        lambda point: differences(point, checkpoints[point.step], folder / "point", swept),
        lambda point: f"{checkpoints[point.step].name}: {point.mode} {point.number}",
    )


@pytest.mark.sweep
def test_story_converges_from_every_point(tmp_path: Path) -> None:
    checkpoints = tell(tmp_path)
    points = points_of(checkpoints)
    assert len(points) >= 100
    _sweep(points, checkpoints, tmp_path)


def test_story_converges_from_some_points(tmp_path: Path) -> None:
    checkpoints = tell(tmp_path)
    points = points_of(checkpoints)
    assert len(points) >= 100
    _sweep(points[::SHORT_STRIDE], checkpoints, tmp_path)


@pytest.mark.sweep
def test_the_second_day_converges_from_every_point(tmp_path: Path) -> None:
    checkpoints = tell(tmp_path, SECOND_DAY)
    points = points_of(checkpoints)
    assert len(points) >= 80
    _sweep(points, checkpoints, tmp_path, SECOND_DAY)


def test_the_second_day_converges_from_some_points(tmp_path: Path) -> None:
    checkpoints = tell(tmp_path, SECOND_DAY)
    points = points_of(checkpoints)
    assert len(points) >= 80
    _sweep(points[::SHORT_STRIDE], checkpoints, tmp_path, SECOND_DAY)


@pytest.mark.sweep
def test_a_release_group_converges_from_every_point(tmp_path: Path) -> None:
    checkpoints = tell(tmp_path, GROUPED)
    points = points_of(checkpoints)
    assert len(points) >= 30
    _sweep(points, checkpoints, tmp_path, GROUPED)


def test_a_release_group_converges_from_some_points(tmp_path: Path) -> None:
    checkpoints = tell(tmp_path, GROUPED)
    points = points_of(checkpoints)
    assert len(points) >= 30
    _sweep(points[:: SHORT_STRIDE // 2], checkpoints, tmp_path, GROUPED)


def test_a_killed_process_leaves_nothing_to_repair(tmp_path: Path) -> None:
    """The same through `pipeline run` in a process of its own, ended at once by `os._exit`."""
    start(tmp_path / "world")
    world = sweep_world(tmp_path / "world")
    STEPS[0](world)
    world.close()
    command = [sys.executable, "-m", "pipeline", "-C", "control", "run", "--tenant", "acme"]
    environment = {
        **os.environ,
        "PIPELINE_RUN_ID": "run-1",
        "SOURCE_DATE_EPOCH": str(CLOCK_S),
    }
    for fault in ("before:2", "after:1", "after:2", "before:1"):
        ended = subprocess.run(
            command,
            cwd=tmp_path / "world",
            env={**environment, "PIPELINE_FAULT": fault},
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == CRASH_EXIT_CODE, ended.stderr.decode()
    done = subprocess.run(
        command,
        cwd=tmp_path / "world",
        env=environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()

    start(tmp_path / "unbroken")
    world = sweep_world(tmp_path / "unbroken")
    STEPS[0](world)
    world.engine.run(tenants=["acme"])
    world.close()
    assert fingerprint(tmp_path / "world") == fingerprint(tmp_path / "unbroken")
