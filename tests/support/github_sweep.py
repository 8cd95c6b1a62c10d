"""The sweep's story on GitHub, where a fault may hit any single call of the API or of git.

All points of a sweep share one server, so that addresses in facts are the same; its contents are
put back for each. Only a run's calls are counted and broken, not those by which people ask, approve
and merge.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from pipeline.control.repo import Control
from pipeline.engine.engine import Engine
from pipeline.engine.opening import builder_of, secret_hits
from pipeline.engine.tools import Tools
from pipeline.forges.github.client import GithubClient
from pipeline.forges.github.credentials import PlainToken
from pipeline.forges.github.forge import GithubForge
from pipeline.forges.http.connection import Connection
from pipeline.forges.http.repository import RemoteRepository
from pipeline.git.repository import GitRepository
from pipeline.models.evidence import Observation
from tests.support.convergence import image_indexes, unlike
from tests.support.finished_story import CONTROL, StoryWorld
from tests.support.samples import sample_platform, templates
from tests.support.sweep import (
    HYDRATOR,
    STEPS,
    TENANTS,
    Crash,
    checked_once,
    run_all,
    story_files,
)
from worlds.control_repo import still_clock
from worlds.github_server import Fault, GitHubServer, Seen
from worlds.github_server.state import Deployment, State
from worlds.github_setting import GithubSetting

FIRST_MERGE_S = 1_767_226_000


def github_world(server: GitHubServer, root: Path) -> StoryWorld:
    """The world below `root` with the real tools and `server` as its GitHub, in a fresh process."""
    forge = open_forge(server, root)
    control = Control(root / "control", GitRepository(root / "control"), forge, CONTROL)
    tools = Tools(
        make_builder=partial(builder_of, forge_root=root / "forge"),
        run_checks=checked_once,
        scan_secrets=secret_hits,
        templates=templates(),
        hydrator=HYDRATOR,
        run_id="run-1",
        clock=still_clock,
    )
    made = len(server.repository(forge.session.organisation, CONTROL).pulls)
    return StoryWorld(root, forge, Engine(control, tools), list(range(made)))


def open_forge(server: GitHubServer, root: Path) -> GithubForge:
    """The forge of the pipeline's App, with a client for each person; sleeping takes no time."""
    forge = GithubSetting(server, root, sample_platform()).open_forge()
    session = forge.session
    session.sleep = session.client.sleep = no_sleep
    session.others = {
        account.id: GithubClient(server.api_url, PlainToken(server.add_token(account.id)))
        for account in server.state.accounts.values()
        if account.type == "User"
    }
    return forge


def no_sleep(seconds: float) -> None:
    """No time passes."""


def start(server: GitHubServer, root: Path) -> None:
    """A world before the first step."""
    server.state.first_merge_s = FIRST_MERGE_S
    GithubSetting(server, root, sample_platform()).begin(story_files())


def fingerprint(server: GitHubServer, root: Path) -> dict[str, str]:
    """`repo ref` → tree id of every ref in every repository, and every image's digest."""
    found: dict[str, str] = {}
    for repository in server.state.repositories.values():
        git = GitRepository(repository.path)
        for ref, commit in repository.refs("refs/").items():
            found[f"{repository.name} {ref}"] = git.read_commit(commit).tree
        git.close()
        branches = [p.head_branch for p in repository.pulls.values()]
        assert len(branches) == len(set(branches)), f"{repository.name}: two for one of {branches}"
        names = [r.name for r in repository.rulesets.values()]
        assert len(names) == len(set(names)), f"{repository.name}: two rulesets for one of {names}"
        found[f"{repository.name} rulesets"] = ", ".join(sorted(names))
        found[f"{repository.name} deployments"] = ", ".join(
            sorted(map(_shown, repository.deployments.values()))
        )
    return found | image_indexes(root)


def _shown(deployment: Deployment) -> str:
    """A deployment's environment and key, and its states in order: none is there twice."""
    assert isinstance(deployment.payload, dict)
    states = " ".join(status.state for status in deployment.statuses)
    return f"{deployment.environment} {deployment.payload['key']}: {states}"


# -- breaking it off -----------------------------------------------------------------------


@dataclass(frozen=True)
class Checkpoint:
    """The world just before a step's run, and what the unbroken run made of it."""

    name: str
    before: Path
    observations: tuple[Observation, ...]
    after: dict[str, str]
    calls: tuple[Seen, ...]


@dataclass(frozen=True)
class Point:
    """What hits the n-th call of a step's run; without a fault the process stops there."""

    step: int
    number: int
    fault: Fault | None
    writes: bool


@contextmanager
def own_memory(root: Path) -> Iterator[None]:
    """Within the block runs remember below `root`, where it is kept and put back with the world.

    A run that remembers what another one saw asks for less, and its n-th call is another.
    """
    with mock.patch.dict(os.environ, PIPELINE_CACHE=str(root / "cache")):
        yield


def tell(server: GitHubServer, root: Path, steps: int = len(STEPS)) -> tuple[Checkpoint, ...]:
    """The unbroken story, with the world kept as it was before each step's run."""
    live = root / "live"
    live.mkdir(parents=True)
    with own_memory(live):
        return _tell(server, root, live, steps)


def _tell(server: GitHubServer, root: Path, live: Path, steps: int) -> tuple[Checkpoint, ...]:
    start(server, live)
    checkpoints = []
    for index, act in enumerate(STEPS[:steps]):
        world = github_world(server, live)
        observations = act(world)
        world.close()
        before = root / f"before-{index}"
        keep(server, live, before)
        world = github_world(server, live)
        begin = len(server.log)
        run_all(world, observations)
        calls = tuple(server.log[begin:])
        plan = world.engine.plan(tenants=TENANTS)
        assert plan.is_empty and not any(t.waiting for t in plan.tenants), plan
        world.close()
        after = fingerprint(server, live)
        checkpoints.append(Checkpoint(act.__name__, before, observations, after, calls))
    return tuple(checkpoints)


def keep(server: GitHubServer, live: Path, folder: Path) -> None:
    """Keep the world below `live`, and what the server holds, in `folder`."""
    shutil.copytree(live, folder / "world", symlinks=True, ignore=shutil.ignore_patterns("github"))
    server.state.save(folder / "server")


def put_back(server: GitHubServer, kept: Path, root: Path) -> None:
    """Restore the kept world, and what the server held, below `root`."""
    shutil.copytree(kept / "world", root, symlinks=True)
    server.state = State.load(kept / "server", root / "github")
    server.refresh_limit()  # hundreds of points are hours of calls, all within minutes


def points_of(checkpoints: tuple[Checkpoint, ...]) -> list[Point]:
    """Every call of every run, with each fault that can make a difference."""
    points = []
    for step, checkpoint in enumerate(checkpoints):
        for number, seen in enumerate(checkpoint.calls, start=1):
            faults: tuple[Fault | None, ...] = (Fault.DROP_REPLY, Fault.ERROR_BEFORE)
            if seen.writes:
                faults = (*faults, Fault.ERROR_AFTER, Fault.SECONDARY_LIMIT, Fault.STALE, None)
            points += [Point(step, number, fault, seen.writes) for fault in faults]
    return points


@contextmanager
def fault_at(server: GitHubServer, point: Point) -> Iterator[list[bool]]:
    """Within the block, the point's fault hits the n-th call; whether it did."""
    struck = [False]
    begin = len(server.log)

    def hook(seen: Seen) -> Fault | None:
        if seen.number - begin != point.number:
            return None
        struck[0] = True
        return point.fault or Fault.DROP_REPLY

    server.faults.hook = hook
    try:
        yield struck
    finally:
        server.faults.hook = lambda seen: None


@contextmanager
def stopped_by(point: Point, struck: list[bool]) -> Iterator[None]:
    """Within the block, a point without a fault stops the process after its call."""

    def stopping(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            try:
                return real(*arguments, **named)
            finally:
                if struck[0] and point.fault is None:
                    raise Crash(f"stopped at call {point.number}")

        return call

    with (
        mock.patch.object(GithubClient, "request", stopping(GithubClient.request)),
        mock.patch.object(Connection, "send", stopping(Connection.send)),
        mock.patch.object(RemoteRepository, "run_fetch", stopping(RemoteRepository.run_fetch)),
    ):
        yield


def differences(
    server: GitHubServer, point: Point, checkpoint: Checkpoint, folder: Path
) -> list[str]:
    """Differences from the unbroken run, after the fault and one more run."""
    put_back(server, checkpoint.before, folder)
    try:
        with own_memory(folder):
            return _differences(server, point, checkpoint, folder)
    finally:
        shutil.rmtree(folder)


def _differences(
    server: GitHubServer, point: Point, checkpoint: Checkpoint, folder: Path
) -> list[str]:
    world = github_world(server, folder)
    with fault_at(server, point) as struck, stopped_by(point, struck), suppress(Crash):
        world.engine.run(tenants=TENANTS, observations=checkpoint.observations)
    world.close()
    if not struck[0]:
        return [f"nothing broke at {point}"]
    world = github_world(server, folder)
    run_all(world, checkpoint.observations)
    again = world.engine.plan(tenants=TENANTS)
    world.close()
    found = fingerprint(server, folder)
    return unlike(found, checkpoint.after, again)
