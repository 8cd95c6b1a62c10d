"""Release groups as steps that can be broken off anywhere: one that moves, one that is refused.

Charts, checks and images are quick doubles; git and the forge are the real ones.
"""

from __future__ import annotations

from pathlib import Path

from pipeline import api
from pipeline.models.evidence import Observation
from pipeline.plan.ports import FaultHook
from pipeline.requests.layout import BLOCKED_PATH
from tests.support.finished_story import StoryWorld, doubles
from tests.support.group_story import APPROVERS, ask_for_group, group_story
from tests.support.story import Story
from tests.support.sweep import RATING, Swept, sweep_world


def go_to_staging(world: StoryWorld) -> tuple[Observation, ...]:
    """Both members are asked for in staging, after a first request that lacks approvals."""
    story = Story(world)
    ask_for_group(story, "staging", APPROVERS["staging"][0])
    ask_for_group(story, "staging", *APPROVERS["staging"], reason="They still belong together")
    return ()


def be_refused_in_prod(world: StoryWorld) -> tuple[Observation, ...]:
    """Both members are asked for in prod, and the image of one is blocked meanwhile."""
    story = Story(world)
    ask_for_group(story, "prod", *APPROVERS["prod"], name="last")
    running = world.engine.status(RATING).promotion("staging")
    assert running is not None
    digest = running.release.digest
    story.change_policy(
        BLOCKED_PATH, api.block_digest(world.engine, digest, reason="It leaks").content
    )
    return ()


def _start(root: Path) -> None:
    group_story(root, "dev").close()


def _open(root: Path, faults: FaultHook) -> StoryWorld:
    world = sweep_world(root, faults)
    world.use(**doubles())
    return world


GROUPED = Swept((go_to_staging, be_refused_in_prod), _start, _open)
