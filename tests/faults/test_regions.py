"""A promotion into a region, broken off before, after and inside every effect, and run again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.regions import ask, begin_regions, bring, until_staging
from tests.support.samples import DRAFT
from tests.support.story import Story
from tests.support.sweep import Crash, Mode, counted_ref_moves, fault_at, fingerprint


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world in which both regions are asked for, and the canary runs the release."""
    root = tmp_path_factory.mktemp("regions") / "world"
    world = begin_regions(root)
    until_staging(world)
    bring(world, "canary")
    ask(world, "prod-eu")
    ask(world, "prod-us")
    world.close()
    return root


def run(root: Path, mode: Mode, number: int) -> tuple[int, int]:
    """How many effects and moves of refs a run makes that breaks off at one of them, if at any."""
    world = Story.open(root)
    hook, effects = fault_at(number if mode != "torn" else 0, mode)
    world.use(faults=hook)
    try:
        with counted_ref_moves(number if mode == "torn" else 0) as moves:
            world.engine.run(tenants=["acme"])
    except Crash:
        pass
    finally:
        world.close()
    return effects[0], moves[0]


def test_a_region_converges_from_every_point(asked: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(asked, whole, symlinks=True)
    effects, moves = run(whole, "before", 0)
    wanted = fingerprint(whole)
    modes: tuple[Mode, ...] = ("before", "after", "lost reply")
    points: list[tuple[Mode, int]] = [(m, n) for n in range(1, effects + 1) for m in modes]
    points += [("torn", n) for n in range(1, moves + 1)]
    assert len(points) > 20
    for mode, number in points:
        broken = tmp_path / "broken"
        shutil.copytree(asked, broken, symlinks=True)
        run(broken, mode, number)
        assert fingerprint(broken) != wanted or mode in ("after", "lost reply"), (mode, number)
        world = Story.open(broken)
        world.go()
        assert world.engine.plan(tenants=["acme"]).is_empty
        assert world.engine.status(DRAFT).state == "PROMOTED_PROD"
        world.close()
        assert fingerprint(broken) == wanted, (mode, number)
        shutil.rmtree(broken)
