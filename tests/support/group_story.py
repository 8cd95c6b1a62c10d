"""Two tenants whose primitives are released together: acme's router and contoso's rating."""

from __future__ import annotations

import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from pipeline import api
from pipeline.engine.loop import RunReport
from pipeline.forges.port import PullState
from pipeline.models.windows import Lane
from pipeline.requests.layout import group_path
from tests.support.fact_history import (
    ENGINEER_ID,
    PLATFORM_ENGINEERS,
    RELEASE_MANAGERS,
    SECURITY_ID,
)
from tests.support.finished_story import audit
from tests.support.samples import DRAFT, sample_files
from tests.support.story import Story
from tests.support.sweep import CONTOSO_ENGINEER_ID, RATING
from worlds.control_repo import create_control

PLATFORM = "environments/platform.yaml"
TENANTS = ("acme", "contoso")
MEMBERS = (DRAFT, RATING)
NAME = "spring"
PATH = group_path(NAME)
OWNERS = (ENGINEER_ID, CONTOSO_ENGINEER_ID)
APPROVERS: dict[str, tuple[int, ...]] = {
    "dev": OWNERS,
    "staging": (RELEASE_MANAGERS[0], SECURITY_ID),  # contoso's draft is of tier HIGH
    "prod": (RELEASE_MANAGERS[0], SECURITY_ID),
}


def go(story: Story) -> RunReport:
    """Run once for both tenants; no tool may fail."""
    report = story.engine.run(tenants=TENANTS)
    assert report.failures == (), report.failures
    return report


def ask_for_group(
    story: Story,
    environment: str,
    *approvers: int,
    name: str = NAME,
    lane: Lane = "normal",
    reason: str = "They belong together",
    asker: int = PLATFORM_ENGINEERS[0],
) -> int:
    """Bring the request for both members, by somebody who may ask for both."""
    found = api.request_group(story.engine, name, environment, MEMBERS, reason=reason, lane=lane)
    return story.request(found.path, found.content, *approvers, asker=asker)


def take_over(story: Story, draft: str, owner: int) -> None:
    """One of the code's owners approves and merges the draft's pull request."""
    link = story.engine.status(draft).pull_request
    assert link is not None
    if story.forge.read_pull(link.repo, link.number).state is PullState.OPEN:
        story.approve(link.repo, link.number, owner)
        story.merge(link.repo, link.number, owner)


def assert_proved(story: Story, *known: str) -> None:
    """Nothing is due, and the audit of both tenants finds nothing but these codes."""
    assert story.engine.plan(tenants=TENANTS).is_empty
    found = audit(story.world, "tenant-contoso-controllers", "tenant-contoso-gitops")
    assert {finding.code for finding in found.findings} == set(known), found.findings


def runs_in(story: Story, environment: str) -> list[str]:
    """The members that run something in an environment."""
    return [d for d in MEMBERS if story.engine.status(d).promotion(environment)]


def waiting(story: Story) -> dict[str, list[str]]:
    """What each member waits for now, by code, when nothing else is due."""
    plan = story.engine.plan(tenants=TENANTS)
    assert plan.is_empty, plan
    found: dict[str, list[str]] = {}
    for tenant in plan.tenants:
        for wait in tenant.waiting:
            found.setdefault(wait.draft, []).extend(code for code, _ in wait.reasons)
    return found


def group_files() -> dict[str, bytes]:
    """Policy and tenants, and contoso's draft."""
    return {
        path: content
        for path, content in sample_files().items()
        if "/drafts/" not in path or path.startswith("tenants/contoso/drafts/supplier-rating/")
    }


@lru_cache
def _told(environment: str) -> tuple[Path, tempfile.TemporaryDirectory[str]]:
    folder = tempfile.TemporaryDirectory(prefix="pipeline-tests-group-")
    root = Path(folder.name) / "world"
    if not environment:
        root.mkdir()
        create_control(root, group_files())
        story = Story.open(root)
        story.ask_for_draft()
    else:
        shutil.copytree(_told("")[0], root, symlinks=True)
        story = Story.open(root)
        # A group's file of its own: to change one, all who may change its old members must approve.
        ask_for_group(story, "dev", *OWNERS, name="first")
        go(story)
        for draft, owner in zip(MEMBERS, OWNERS, strict=True):
            take_over(story, draft, owner)
    go(story)
    story.close()
    return root, folder


def group_story(root: Path, environment: str = "") -> Story:
    """A copy of the world in which both members are scaffolded, or run in this environment."""
    shutil.copytree(_told(environment)[0], root, symlinks=True)
    return Story.open(root)
