"""What people see of promotions on GitHub: a mirror of facts, which stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.loop import RunReport
from pipeline.forges.github.deployments import read_deployments
from pipeline.forges.github.forge import GithubForge
from pipeline.forges.port import DeploymentState
from pipeline.plan.view import Scope, Stage
from tests.support.deliveries import healthy_in
from tests.support.fact_history import ENGINEER_ID
from tests.support.finished_story import CODE, GITOPS
from tests.support.github_story import KeptStory, github_story, kept_story, run_in_dev
from tests.support.samples import DRAFT, sample_platform
from tests.support.story import SOURCE, Story
from worlds.github_server import Fault, GitHubServer, Seen
from worlds.github_server.state import Deployment
from worlds.github_setting import APP_ID

WRITES = "/repos/{owner}/{repo}/deployments"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptStory]:
    """The world in which acme's draft runs in dev."""
    with kept_story(tmp_path_factory.mktemp("deployments"), run_in_dev) as story:
        yield story


@pytest.fixture
def world(kept: KeptStory, tmp_path: Path) -> Iterator[Story]:
    with kept.opened(tmp_path / "world") as story:
        yield story
    kept.server.faults.hook = lambda seen: None


def shown(server: GitHubServer) -> list[Deployment]:
    """The deployments of acme's code, oldest first."""
    return list(server.repository("ameide", CODE).deployments.values())


def states(server: GitHubServer) -> list[list[str]]:
    """The states of each deployment, oldest first."""
    return [[status.state for status in one.statuses] for one in shown(server)]


def run(world: Story, **more: Any) -> RunReport:
    """A run for acme in which nothing fails."""
    report = world.engine.run(tenants=["acme"], **more)
    assert report.failures == (), report.failures
    return report


def again(world: Story) -> Story:
    """The same world as a fresh process sees it, which knows nothing of before."""
    assert world.server is not None
    return github_story(world.server, world.root)


def bring_newer(world: Story) -> None:
    """Have another source of the draft asked for in dev."""
    world.write("0001", f"{SOURCE}/routing.py", "QUICK = 1\n")
    world.go()
    world.ask(DRAFT, "dev", ENGINEER_ID)


def break_writes(server: GitHubServer, fault: Fault) -> Callable[[], int]:
    """Have no deployment be written from now on; how often it was tried."""
    begun = len(server.log)

    def hook(seen: Seen) -> Fault | None:
        return fault if seen.template.startswith(WRITES) else None

    server.faults.hook = hook
    return lambda: sum(seen.template.startswith(WRITES) for seen in server.log[begun:])


def test_a_promotion_is_shown_at_its_source_commit(world: Story, kept: KeptStory) -> None:
    promotion = world.engine.status(DRAFT).promotion("dev")
    assert promotion is not None
    [one] = shown(kept.server)
    assert (one.environment, one.commit) == ("dev", promotion.release.source_commit)
    assert one.creator.id == sample_platform().pipeline_account.id
    assert one.description == f"{DRAFT} {promotion.release.digest[:19]}"
    assert one.payload == {
        "key": f"{DRAFT}#{promotion.fact}",
        "draft": DRAFT,
        "fact": str(promotion.fact),
        "digest": promotion.release.digest,
        "gitops_commit": f"{GITOPS}@{promotion.gitops_commit}",
    }
    assert not one.is_production and not one.is_transient
    [status] = one.statuses
    assert (status.state, status.log_url) == ("in_progress", promotion.pull_request.url)


def test_its_state_follows_what_is_observed(world: Story, kept: KeptStory) -> None:
    status = world.engine.status(DRAFT)
    healthy = healthy_in(status, "dev")
    for seen in (healthy, healthy, replace_health(healthy, "Degraded"), healthy):
        run(world, observations=(seen,))
    assert states(kept.server) == [["in_progress", "success", "failure", "success"]]
    run(again(world))
    assert states(kept.server) == [["in_progress", "success", "failure", "success"]]


def replace_health(seen: Any, health: str) -> Any:
    return seen.model_copy(update={"health": health})


def test_the_release_before_is_inactive_once_another_was_promoted(
    world: Story, kept: KeptStory
) -> None:
    run(world, observations=(healthy_in(world.engine.status(DRAFT), "dev"),))
    bring_newer(world)
    run(world)
    assert states(kept.server) == [["in_progress", "success", "inactive"], ["in_progress"]]
    run(world, observations=(healthy_in(world.engine.status(DRAFT), "dev"),))
    assert states(kept.server)[1] == ["in_progress", "success"]


@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.DROP_REPLY, Fault.ERROR_AFTER])
def test_what_cannot_be_shown_stops_no_promotion_and_is_shown_by_the_next_run(
    world: Story, kept: KeptStory, fault: Fault
) -> None:
    bring_newer(world)
    tried = break_writes(kept.server, fault)
    report = run(world)
    promotion = world.engine.status(DRAFT).promotion("dev")
    assert promotion is not None and promotion.fact == max(
        run.fact for run in world.engine.status(DRAFT).runs
    )
    if fault is Fault.ERROR_BEFORE:
        assert {warning.code for warning in report.warnings} == {"github-unanswered"}
        assert 0 < tried() <= 5, "one was tried as often as any write, the others left"
        assert states(kept.server) == [["in_progress"]]
    else:
        # It was done though GitHub did not say so.
        assert report.warnings == ()
    kept.server.faults.hook = lambda seen: None
    assert run(again(world)).warnings == ()
    assert states(kept.server) == [["in_progress", "inactive"], ["in_progress"]]


def test_without_the_right_it_is_said_once_and_nothing_else_waits(
    world: Story, kept: KeptStory
) -> None:
    bring_newer(world)
    kept.server.state.apps[APP_ID].permissions = {
        name: level
        for name, level in kept.server.state.apps[APP_ID].permissions.items()
        if name != "deployments"
    }
    world = again(world)
    report = run(world)
    [warning] = report.warnings
    assert (warning.subject, warning.code) == (CODE, "forge-refused")
    assert "does not allow it" in warning.message
    assert states(kept.server) == [["in_progress"]]
    assert "promoted" in world.kinds()[-1:]


def costs(world: Story, monkeypatch: pytest.MonkeyPatch) -> tuple[int, RunReport]:
    """The calls of a fresh process that remembers what others found, and what it reported."""
    monkeypatch.setenv("PIPELINE_CACHE", str(world.root / "remembered"))
    fresh = again(world)
    report = replace(fresh.engine, remembers=True).run()
    assert report.failures == () and isinstance(fresh.forge, GithubForge)
    fresh.close()
    return fresh.forge.session.client.cost.calls, report


def test_an_idle_run_asks_nothing_about_deployments(
    world: Story, kept: KeptStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        costs(world, monkeypatch)
    assert costs(world, monkeypatch)[0] == 3
    # A tenant that changed for nothing takes one query more, for all its deployments.
    world.approve(CODE, 1, ENGINEER_ID)
    calls, report = costs(world, monkeypatch)
    assert report.effects == 0 and calls <= 5 + 1 + 1
    assert costs(world, monkeypatch)[0] == 3


def test_what_was_not_shown_is_tried_again_and_only_that_costs(
    world: Story, kept: KeptStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_newer(world)
    break_writes(kept.server, Fault.ERROR_BEFORE)
    for _ in range(2):
        assert costs(world, monkeypatch)[1].warnings != ()
    kept.server.faults.hook = lambda seen: None
    assert costs(world, monkeypatch)[1].warnings == ()
    assert states(kept.server) == [["in_progress", "inactive"], ["in_progress"]]
    assert costs(world, monkeypatch)[0] == 3


def test_a_missing_right_costs_an_idle_run_nothing(
    world: Story, kept: KeptStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.server.state.apps[APP_ID].permissions.pop("deployments")
    assert len(costs(world, monkeypatch)[1].warnings) == 1
    assert costs(world, monkeypatch)[1].warnings == ()
    assert costs(world, monkeypatch)[0] == 3


def test_what_was_made_twice_is_put_right(world: Story, kept: KeptStory) -> None:
    [one] = shown(kept.server)
    forge = world.forge
    assert isinstance(forge, GithubForge)
    fields = {
        "ref": one.commit,
        "environment": "dev",
        "payload": one.payload,
        "auto_merge": False,
        "required_contexts": [],
    }
    forge.session.client.write("POST", f"/repos/ameide/{CODE}/deployments", fields)
    [read] = read_deployments(forge.session, CODE, (one.commit,))
    assert read.state is None
    run(again(world))
    assert states(kept.server) == [["in_progress"], ["inactive"]]
    [read] = read_deployments(forge.session, CODE, (one.commit,))
    assert read.state is DeploymentState.IN_PROGRESS


def test_a_saved_plan_is_not_stale_for_what_it_would_show(world: Story, kept: KeptStory) -> None:
    kept.server.repository("ameide", CODE).deployments.clear()
    first = again(world)
    plan = first.engine.plan(tenants=["acme"])
    assert [effect.kind for effect in plan.effects] == ["show-deployment"]
    run(again(world))
    [receipt] = again(world).engine.apply(plan)
    assert receipt.count == 1 and states(kept.server) == [["in_progress"]]


def test_a_run_that_only_observes_shows_what_was_observed(world: Story, kept: KeptStory) -> None:
    kept.server.repository("ameide", CODE).deployments.clear()
    observing = Scope(frozenset({Stage.OBSERVE}))
    begun = len(kept.server.log)
    engine = replace(again(world).engine, scope=observing)
    assert engine.run(tenants=["acme"]).effects == 0
    assert shown(kept.server) == []
    seen = healthy_in(world.engine.status(DRAFT), "dev")
    engine.run(tenants=["acme"], observations=(seen,))
    assert states(kept.server) == [["success"]]
    assert not [s for s in kept.server.log[begun:] if s.writes and "pulls" in s.template]
