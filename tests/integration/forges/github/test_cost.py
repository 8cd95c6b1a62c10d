"""The API calls of a run with nothing to do: they do not grow with the number of tenants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.engine.engine import Engine
from pipeline.errors import ForgeRefused
from pipeline.forges.github.forge import GithubForge
from tests.support.fact_history import ENGINEER_ID
from tests.support.finished_story import CODE, StoryWorld
from tests.support.github_sweep import FIRST_MERGE_S, github_world
from tests.support.samples import sample_platform, tenant_example
from tests.support.sweep import ask_for_drafts, story_files
from worlds.github_server import GitHubServer
from worlds.github_setting import GithubSetting

MANY = 60


class IdleGithub:
    """A GitHub with many tenants, three of which have drafts under way."""

    def __init__(self, server: GitHubServer, root: Path) -> None:
        self.server = server
        self.root = root
        server.state.first_merge_s = FIRST_MERGE_S
        tenants = [f"unit-{number:02}" for number in range(MANY)]
        more = {f"tenants/{t}/tenant.yaml": tenant_example(t).encode() for t in tenants}
        GithubSetting(server, root, sample_platform()).begin({**story_files(), **more})
        world = self.open()
        ask_for_drafts(world)
        world.close()

    def open(self) -> StoryWorld:
        """The world as a fresh process sees it."""
        return github_world(self.server, self.root)

    def run(self) -> tuple[int, int, Engine]:
        """One run by a fresh process with the cache: its calls, its effects, its engine."""
        world = self.open()
        engine = replace(world.engine, remembers=True)
        report = engine.run()
        assert report.findings == () and report.failures == ()
        world.close()
        assert isinstance(world.forge, GithubForge)
        return world.forge.session.client.cost.calls, report.effects, engine


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[IdleGithub, Path]]:
    root = tmp_path_factory.mktemp("idle")
    with pytest.MonkeyPatch.context() as patch, GitHubServer(root / "server") as server:
        patch.setenv("PIPELINE_CACHE", str(root / "cache"))
        world = IdleGithub(server, root / "world")
        _, effects, _ = world.run()
        assert effects
        # The tenant that keeps the platform's GitOps repository was looked at before it was made.
        calls, effects, _ = world.run()
        assert effects == 0 and calls <= 3 + 2 + 1
        yield world, root / "cache"


@pytest.fixture
def idle(made: tuple[IdleGithub, Path], monkeypatch: pytest.MonkeyPatch) -> IdleGithub:
    """A world with nothing due, and a cache that knows it; a test leaves it so."""
    monkeypatch.setenv("PIPELINE_CACHE", str(made[1]))
    return made[0]


def test_a_run_with_nothing_to_do_makes_three_calls(idle: IdleGithub) -> None:
    calls, effects, _ = idle.run()
    # The App's token takes two, and one query is for all repositories that matter.
    assert (calls, effects) == (3, 0)


def test_a_query_that_is_too_large_for_github_is_split(
    idle: IdleGithub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle.server, "most_aliases", 2)
    calls, effects, _ = idle.run()
    assert effects == 0 and calls > 3
    monkeypatch.setattr(idle.server, "most_aliases", 0)
    with pytest.raises(ForgeRefused, match="Resource limits"):
        idle.run()


def test_a_change_that_leads_to_no_work_costs_few_calls(idle: IdleGithub) -> None:
    world = idle.open()
    world.approve(CODE, 1, ENGINEER_ID)
    world.close()
    calls, effects, _ = idle.run()
    # Its pull requests are asked for, and once more whether what was looked at still holds.
    assert effects == 0 and calls <= 5 + 1
    assert idle.run()[:2] == (3, 0)


def test_without_a_cache_a_run_makes_one_call_per_tenant_with_open_drafts(
    idle: IdleGithub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path / "another"))
    calls, effects, _ = idle.run()
    repositories = MANY + 4  # the platform's too
    queries = -(-repositories // 100)
    overlays = 3  # GitOps repositories: what people propose in each
    assert effects == 0 and calls <= 5 + queries + 3 + overlays
