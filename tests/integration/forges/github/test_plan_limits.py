"""What GitHub's plans and rules keep from the pipeline, and that `doctor` names it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pipeline.errors import ForgeRefused
from pipeline.forges.port import Forge, Hosting
from pipeline.git.objects import RefUpdate
from pipeline.git.repository import GitRepository
from tests.conftest import ROOT
from tests.support.command_line import call
from tests.support.finished_story import CODE, CONTROL, GITOPS
from tests.support.forge_contract import commit_of
from tests.support.github_story import codes_of_run, github_story
from tests.support.github_sweep import start
from tests.support.samples import sample_platform
from tests.support.sweep import ask_for_drafts
from worlds.github_server import GitHubServer
from worlds.github_server.state import Json, Ruleset
from worlds.github_setting import APP_ID, PERMISSIONS, GithubSetting

ALWAYS: Json = {"actor_id": APP_ID, "actor_type": "Integration", "bypass_mode": "always"}
BY_PULL: Json = {**ALWAYS, "bypass_mode": "pull_request"}


class World:
    """A GitHub on which acme's repositories were made, and a checkout of the control repo."""

    def __init__(self, server: GitHubServer, root: Path) -> None:
        self.server, self.root = server, root
        start(server, root)
        world = github_story(server, root)
        ask_for_drafts(world)
        codes_of_run(world)
        world.close()
        self.setting = GithubSetting(server, root, sample_platform())

    def open(self) -> Forge:
        """The forge as the pipeline's App sees it."""
        return self.setting.open_forge()

    def sign(self, repo: str, *bypass: Json) -> Ruleset:
        """Have all branches of a repository take signed commits alone."""
        state, now = self.server.state, self.server.state.now()
        rules: list[Json] = [{"type": "required_signatures"}]
        number = state.number()
        made = Ruleset(number, "signed", "active", list(bypass), ["~ALL"], [], rules, now, now)
        self.server.repository("ameide", repo).rulesets[number] = made
        return made

    def doctor(self) -> dict[str, dict[str, Any]]:
        """Name → what `doctor --github` says of it; of several of one name the missing one."""
        with mock.patch.dict(os.environ, self.setting.credential(None)[1]):
            ran = call(self.root / "control", "doctor", "--github", "--format", "json")
        items = ran.document["items"]
        assert isinstance(items, list)
        return {item["name"]: item for item in items}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("limits")
    with GitHubServer(root / "server") as server:
        (root / "world").mkdir()
        yield World(server, root / "world")


@pytest.fixture
def world(made: World) -> Iterator[World]:
    """The world, which a test may change: rulesets, plan and visibility are put back."""
    state = made.server.state
    before = {key: dict(repository.rulesets) for key, repository in state.repositories.items()}
    yield made
    for key, rulesets in before.items():
        state.repositories[key].rulesets = rulesets
        state.repositories[key].private = True
    state.plans.clear()
    state.apps[APP_ID].permissions = dict(PERMISSIONS)


def put_on_main(server: GitHubServer, path: str, content: bytes) -> None:
    """Have main of the control repo hold a file, whoever may write there."""
    git = GitRepository(server.repository("ameide", CONTROL).path)
    head = git.read_refs(("refs/heads/main",))["refs/heads/main"]
    files = {name: held for name, (_, held) in git.read_files(head).items()} | {path: content}
    objects = commit_of(files, head)
    git.write_objects(objects)
    git.update_refs((RefUpdate("refs/heads/main", head, objects[-1].id),))
    git.close()


def try_to_push(forge: Forge, repo: str, branch: str) -> None:
    view = forge.read_repo(repo)
    assert view is not None and view.head is not None
    objects = commit_of({"a": b"a"}, view.head)
    update = RefUpdate(f"refs/heads/{branch}", None, objects[-1].id)
    forge.push(repo, objects, (update,), actor=sample_platform().pipeline_account.id)


def test_where_signatures_are_required_the_pipeline_cannot_merge(world: World) -> None:
    world.sign(GITOPS)
    forge = world.open()
    assert forge.read_signed_branches(GITOPS, ("main", "promote/x")) == {
        "main": False,
        "promote/x": False,
    }
    with pytest.raises(ForgeRefused):
        try_to_push(forge, GITOPS, "promote/x")
    forge.close()


@pytest.mark.parametrize(("bypass", "may"), [((ALWAYS,), True), ((BY_PULL,), False)])
def test_bypass_actors_of_the_push_rule_are_reported(
    world: World, bypass: tuple[Json, ...], may: bool
) -> None:
    world.sign(GITOPS, *bypass)
    forge, branch = world.open(), f"promote/{may}"
    assert forge.read_signed_branches(GITOPS, (branch,)) == {branch: may}
    if may:
        try_to_push(forge, GITOPS, branch)
    else:
        with pytest.raises(ForgeRefused):
            try_to_push(forge, GITOPS, branch)
    forge.close()


def test_doctor_names_the_repositories_that_ask_for_signatures(world: World) -> None:
    assert world.doctor()["signatures"]["state"] == "ok"
    world.sign(GITOPS, ALWAYS)
    assert f"signatures {GITOPS}" not in world.doctor()
    for repo in (CONTROL, CODE):
        world.sign(repo, ALWAYS)  # people merge there, and are held to the rule
    said = world.doctor()
    assert f"signatures {GITOPS}" not in said
    for repo in (CONTROL, CODE):
        item = said[f"signatures {repo}"]
        assert item["state"] == "missing" and "`main` takes signed commits" in item["detail"]
        assert "take this branch out of `Require signed commits`" in item["help"]


def test_the_plan_is_read_if_the_permission_is_granted(world: World) -> None:
    state = world.server.state
    forge = world.open()
    assert forge.read_hosting(CONTROL) == Hosting(world.server.url, is_public=False, plan="free")
    state.plans["ameide"] = "enterprise"
    state.repositories["ameide", CONTROL].private = False
    assert forge.read_hosting(CONTROL) == Hosting(
        world.server.url, is_public=True, plan="enterprise"
    )
    forge.close()
    state.apps[APP_ID].permissions.pop("organization_plan")
    forge = world.open()
    assert forge.read_hosting(CONTROL) == Hosting(world.server.url, is_public=True, plan="")
    forge.close()


def test_doctor_says_what_signs_builds_and_whether_workflows_are_taken(world: World) -> None:
    # The control repo of the story has no workflows: its builds are signed by a key.
    said = world.doctor()
    assert said["attestations"]["state"] == said["queues"]["state"] == "ok"
    assert "signs with a key" in said["attestations"]["detail"]
    # With those of this repository; the server of the tests is none that GitHub runs.
    path = ".github/workflows/build.yaml"
    put_on_main(world.server, path, (ROOT / path).read_bytes())
    said = world.doctor()
    assert said["attestations"]["state"] == said["queues"]["state"] == "missing"
    assert "Enterprise Server attests nothing" in said["attestations"]["detail"]
    assert "pipeline signing-key" in said["attestations"]["help"]
    assert f"Enterprise Server refuses {path}" in said["queues"]["detail"]
