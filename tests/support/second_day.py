"""A world in which prod ran two releases, the first of them healthy, and lanes are offered."""

from __future__ import annotations

import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from pipeline import api
from pipeline.documents import render_document
from pipeline.models.base import moment_of
from pipeline.models.evidence import Observation
from pipeline.models.requests import EnvironmentName, Promotion
from pipeline.requests.layout import environment_path, promotion_path, retirement_path
from tests.support.deliveries import seen_of
from tests.support.fact_history import ENGINEER_ID, RELEASE_MANAGERS, SECURITY_ID
from tests.support.samples import DRAFT, sample_files
from tests.support.story import SOURCE, Story, story_at
from worlds.control_repo import CLOCK_S

PLATFORM = "environments/platform.yaml"
OTHER_ENGINEER_ID = 1202  # acme's, who approves what the first one asks for
PROD_APPROVERS = (RELEASE_MANAGERS[0], SECURITY_ID)
APPROVERS: dict[str, tuple[int, ...]] = {
    "dev": (ENGINEER_ID,),
    "staging": RELEASE_MANAGERS[:1],
    "prod": PROD_APPROVERS,
}
HOUR_S = 3600


def with_lanes() -> bytes:
    """The platform's file with lane `rollback`, for which release managers vouch."""
    return sample_files()[PLATFORM] + b"lanes: {rollback: [release-managers]}\n"


def prod_that_rolls_back(minutes: int = 10) -> bytes:
    """prod's policy with an automatic rollback."""
    told = f"rollback_on: {{health: degraded, minutes: {minutes}}}\n"
    return sample_files()[environment_path("prod")] + told.encode()


def see(story: Story, environment: EnvironmentName, health: str, at_s: int = CLOCK_S) -> None:
    """One run to which a delivery tool reports how the release in an environment does."""
    told = report(story, environment, health, at_s)
    ran = story.engine.run(tenants=["acme"], observations=(told,))
    assert ran.failures == (), ran.failures


def report(
    story: Story, environment: EnvironmentName, health: str, at_s: int = CLOCK_S
) -> Observation:
    """What a delivery tool says of the release in an environment."""
    record = story.engine.status(DRAFT).promotion(environment)
    assert record is not None
    return seen_of(DRAFT, record, health=health, observed_at=moment_of(at_s))


def release_again(story: Story) -> None:
    """A second release, which goes to prod as the first did."""
    story.write("0002", f"{SOURCE}/routing.py", "QUICK = 2\n")
    story.go()
    story.ask(DRAFT, "dev", ENGINEER_ID)
    story.go()
    pull = story.engine.status(DRAFT).pull_request
    assert pull is not None
    story.take_over(pull.number)
    for environment in ("staging", "prod"):
        story.ask(DRAFT, environment, *APPROVERS[environment])
        story.go()


def bring_promotion(
    story: Story, promotion: Promotion, *approvers: int, asker: int = ENGINEER_ID
) -> int:
    """Bring a promotion request as it was proposed, after all that happened until then."""
    content = render_document(promotion.model_dump(mode="json", by_alias=True, exclude_none=True))
    path = promotion_path(DRAFT, promotion.environment)
    return story.request(path, content, *approvers, asker=asker, at_s=CLOCK_S + 1)


def roll_back(story: Story, to: str = "", asker: int = ENGINEER_ID) -> None:
    """Ask for an earlier release in prod, approved by all who must."""
    proposal = story.engine.proposer.propose_rollback(DRAFT, "prod", to=to, reason="It is slow")
    bring_promotion(story, proposal.promotion, *PROD_APPROVERS, asker=asker)


def retire(story: Story, asker: int = ENGINEER_ID, *approvers: int) -> None:
    """Ask to retire the draft, approved by one of its owners."""
    request = api.retire_draft(story.engine, DRAFT, reason="The new router took over")
    assert request.path == retirement_path(DRAFT)
    story.request(request.path, request.content, *(approvers or (OTHER_ENGINEER_ID,)), asker=asker)


@lru_cache
def _told() -> tuple[Path, tempfile.TemporaryDirectory[str]]:
    folder = tempfile.TemporaryDirectory(prefix="pipeline-tests-second-day-")
    root = Path(folder.name) / "world"
    story = story_at("in prod", root)
    story.change_policy(PLATFORM, with_lanes())
    see(story, "prod", "Healthy")
    release_again(story)
    story.close()
    return root, folder


def second_day(root: Path) -> Story:
    """A copy of the world after the second release."""
    shutil.copytree(_told()[0], root, symlinks=True)
    return Story.open(root)
