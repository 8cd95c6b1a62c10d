"""The second day as steps that can be broken off anywhere: going back, going on, taking out.

Charts, checks and images are quick doubles; git and the forge are the real ones.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.models.evidence import Observation
from pipeline.plan.ports import FaultHook
from pipeline.requests.layout import environment_path
from tests.support import second_day
from tests.support.fact_history import RELEASE_MANAGERS
from tests.support.finished_story import StoryWorld, doubles
from tests.support.samples import DRAFT
from tests.support.story import SOURCE, Story
from tests.support.sweep import Swept, sweep_world


def do_badly(world: StoryWorld) -> tuple[Observation, ...]:
    """prod's release is degraded, and policy goes back at once."""
    story = Story(world)
    story.change_policy(environment_path("prod"), second_day.prod_that_rolls_back(0))
    return (second_day.report(story, "prod", "Degraded"),)


def go_on(world: StoryWorld) -> tuple[Observation, ...]:
    """A person asks for the newer release again; a first request of theirs still waits."""
    story = Story(world)
    ahead = world.engine.propose_promotion(DRAFT, "prod", reason="The cause is gone").promotion
    second_day.bring_promotion(story, ahead, RELEASE_MANAGERS[0])
    again = ahead.model_copy(update={"reason": "The cause is gone, and seen to be"})
    second_day.bring_promotion(story, again, *second_day.PROD_APPROVERS)
    return ()


def go_back(world: StoryWorld) -> tuple[Observation, ...]:
    """People go back to the first release, while the agent's next patch comes."""
    story = Story(world)
    story.write("0003", f"{SOURCE}/routing.py", "QUICK = 3\n")
    second_day.roll_back(story)
    return ()


def take_out(world: StoryWorld) -> tuple[Observation, ...]:
    """The primitive is retired, and a promotion that waits is refused."""
    story = Story(world)
    ahead = world.engine.propose_promotion(DRAFT, "dev", reason="Next").promotion
    second_day.bring_promotion(story, ahead, second_day.OTHER_ENGINEER_ID)
    second_day.retire(story)
    return ()


def _start(root: Path) -> None:
    story = second_day.second_day(root)
    story.close()


def _open(root: Path, faults: FaultHook) -> StoryWorld:
    world = sweep_world(root, faults)
    world.use(**doubles())
    return world


SECOND_DAY = Swept((do_badly, go_on, go_back, take_out), _start, _open)
