"""A story on GitHub, step by step, and a kept copy of it for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.forges.port import PullRequest
from pipeline.git.objects import RefUpdate, Signature, commit_object, objects_of_files
from pipeline.requests.layout import promotion_path
from tests.support.fact_history import AGENT_ID, ENGINEER_ID
from tests.support.finished_story import CONTROL, promotion_of
from tests.support.github_sweep import github_world, keep, put_back, start
from tests.support.samples import DRAFT
from tests.support.story import Story
from tests.support.sweep import ask_for_drafts
from worlds.github_server import GitHubServer


def github_story(server: GitHubServer, root: Path) -> Story:
    """The story on GitHub, as a fresh process sees it."""
    return Story.of(github_world(server, root), server)


@dataclass(frozen=True)
class KeptStory:
    """A server and a kept world on it, of which each test gets a copy."""

    server: GitHubServer
    folder: Path

    @contextmanager
    def opened(self, root: Path) -> Iterator[Story]:
        """The story, restored below `root`, until the block ends."""
        put_back(self.server, self.folder, root)
        story = github_story(self.server, root)
        yield story
        story.close()


@contextmanager
def kept_story(root: Path, prepare: Callable[[Story], None]) -> Iterator[KeptStory]:
    """The story after `prepare`, told once below `root`; its server stops with the block."""
    with GitHubServer(root / "server") as server:
        live = root / "live"
        live.mkdir()
        start(server, live)
        story = github_story(server, live)
        prepare(story)
        story.close()
        keep(server, live, root / "kept")
        yield KeptStory(server, root / "kept")


def run_in_dev(story: Story) -> None:
    """acme's agent asks for the draft, then for dev, and gets both."""
    ask_for_drafts(story.world)
    codes_of_run(story)
    story.ask(DRAFT, "dev", ENGINEER_ID)
    codes_of_run(story)


def codes_of_run(story: Story) -> dict[str, set[str]]:
    """Request → codes that it waits for, after one run for acme without failures."""
    report = story.engine.run(tenants=["acme"])
    assert report.failures == (), report.failures
    return {w.request: {code for code, _ in w.reasons} for w in report.waiting["acme"]}


def propose_staging(story: Story) -> PullRequest:
    """The open pull request that asks for staging."""
    content = promotion_of(story.world, DRAFT, "staging")
    number = story.propose({promotion_path(DRAFT, "staging"): content}, AGENT_ID)
    return story.forge.read_pull(CONTROL, number)


def land(story: Story, pull: PullRequest) -> dict[str, set[str]]:
    """Have an engineer, who is no release manager, approve and merge it; then run once."""
    story.approve(CONTROL, pull.number, ENGINEER_ID)
    story.merge(CONTROL, pull.number, ENGINEER_ID)
    return codes_of_run(story)


def pushed(story: Story, pull: PullRequest, actor: int = AGENT_ID) -> PullRequest:
    """The pull request after one more commit that leaves its request unchanged."""
    git = story.forge.open_repository(CONTROL)
    objects = objects_of_files(git.read_files(pull.head))
    me = Signature("somebody", "somebody@example.com", 1_767_226_000)
    commit = commit_object(objects[-1].id, [pull.head], "Later\n", me, me)
    update = RefUpdate(f"refs/heads/{pull.head_branch}", pull.head, commit.id)
    story.forge.push(CONTROL, [*objects, commit], (update,), actor=actor)
    return story.forge.read_pull(CONTROL, pull.number)
