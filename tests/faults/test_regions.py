"""A promotion into a region, broken off before, after and inside every effect, and run again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.plan.effects import Effect
from pipeline.plan.ports import no_faults
from pipeline.requests.layout import environment_path
from tests.support.fact_history import PLATFORM_ENGINEERS
from tests.support.finished_story import CONTROL, audit
from tests.support.regions import REGIONS, ask, begin_regions, bring, until_staging
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


def test_a_region_deleted_before_its_merge_is_recorded(asked: Path, tmp_path: Path) -> None:
    """What was merged runs, so it is recorded; its state is that of before."""
    root = tmp_path / "world"
    shutil.copytree(asked, root, symlinks=True)
    world = Story.open(root)

    def stop(when: str, effect: Effect) -> None:
        if when == "after" and effect.kind == "merge-pull":
            raise Crash("merged, and not recorded")

    world.use(faults=stop)
    with pytest.raises(Crash):
        world.engine.run(tenants=["acme"])
    world.use(faults=no_faults)
    gone: dict[str, bytes | None] = {environment_path(name): None for name in REGIONS}
    number = world.propose(gone, PLATFORM_ENGINEERS[1])
    world.approve(CONTROL, number, PLATFORM_ENGINEERS[0])
    world.merge(CONTROL, number, PLATFORM_ENGINEERS[0])
    world.go()
    assert world.kinds()[-2:] == ["promoted", "promotion-refused"]
    status = world.engine.status(DRAFT)
    assert status.promotion("prod-eu") is not None and status.promotion("prod-us") is None
    assert status.state == "PROMOTED_STAGING"
    assert audit(world.world).findings == ()
    world.close()
