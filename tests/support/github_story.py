"""A story on a GitHub, step by step, for tests of what somebody there may try."""

from __future__ import annotations

from pathlib import Path

from pipeline.forges.port import PullRequest
from pipeline.git.objects import RefUpdate, Signature, commit_object, objects_of_files
from pipeline.requests.layout import promotion_path
from tests.support.fact_history import AGENT_ID, ENGINEER_ID
from tests.support.finished_story import CONTROL, promotion_of
from tests.support.github_sweep import github_world
from tests.support.samples import DRAFT
from tests.support.story import Story
from worlds.github_server import GitHubServer


def github_story(server: GitHubServer, root: Path) -> Story:
    """The story on a GitHub, as a fresh process sees it."""
    return Story.of(github_world(server, root), server)


def codes_of_run(story: Story) -> dict[str, set[str]]:
    """One run for acme in which no tool fails; the codes that each request waits for."""
    report = story.engine.run(tenants=["acme"])
    assert report.failures == (), report.failures
    return {w.request: {code for code, _ in w.reasons} for w in report.waiting["acme"]}


def propose_staging(story: Story) -> PullRequest:
    """The open pull request that asks for staging."""
    content = promotion_of(story.world, DRAFT, "staging")
    number = story.propose({promotion_path(DRAFT, "staging"): content}, AGENT_ID)
    return story.forge.read_pull(CONTROL, number)


def land(story: Story, pull: PullRequest) -> dict[str, set[str]]:
    """An engineer, who is not a release manager, approves and merges it; then one run."""
    story.approve(CONTROL, pull.number, ENGINEER_ID)
    story.merge(CONTROL, pull.number, ENGINEER_ID)
    return codes_of_run(story)


def pushed(story: Story, pull: PullRequest, actor: int = AGENT_ID) -> PullRequest:
    """The pull request after one more commit that changes nothing of what it asks for."""
    git = story.forge.open_repository(CONTROL)
    objects = objects_of_files(git.read_files(pull.head))
    me = Signature("somebody", "somebody@example.com", 1_767_226_000)
    commit = commit_object(objects[-1].id, [pull.head], "Later\n", me, me)
    update = RefUpdate(f"refs/heads/{pull.head_branch}", pull.head, commit.id)
    story.forge.push(CONTROL, [*objects, commit], (update,), actor=actor)
    return story.forge.read_pull(CONTROL, pull.number)
