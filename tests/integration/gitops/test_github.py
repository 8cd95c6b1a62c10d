"""GitOps repositories on GitHub: who may move them, what is put back, what `doctor` reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import ForgeRefused, StalePlan
from pipeline.forges.port import PullRequest, PullState
from pipeline.git.objects import MODE_FILE, RefUpdate, Signature, commit_object, objects_of_files
from pipeline.git.repository import GitRepository
from pipeline.models.requests import Platform
from pipeline.requests.layout import PLATFORM_PATH
from tests.support.command_line import call
from tests.support.fact_history import ENGINEER_ID
from tests.support.finished_story import CONTROL, GITOPS
from tests.support.github_story import KeptStory, codes_of_run, kept_story, run_in_dev
from tests.support.samples import sample_platform
from tests.support.story import Story
from tests.support.sweep import PLATFORM_ENGINEER_ID
from worlds.github_setting import GithubSetting

SECOND_ENGINEER_ID, SECOND_PLATFORM_ENGINEER_ID = 1202, 1102
DEV = "environments/dev/order-router"
_ME = Signature("somebody", f"{ENGINEER_ID}+somebody@users.noreply.github.com", 1_767_226_000)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptStory]:
    """The world in which acme's draft runs in dev and drift is put back."""
    assert sample_platform().gitops_drift == "restore"
    with kept_story(tmp_path_factory.mktemp("gitops"), run_in_dev) as kept:
        yield kept


@pytest.fixture
def world(kept: KeptStory, tmp_path: Path) -> Iterator[Story]:
    with kept.opened(tmp_path / "world") as story:
        yield story


def main_of(world: Story) -> tuple[str, str]:
    """The commit of the GitOps repository's main on GitHub, and the tree of its overlays."""
    git = GitRepository(world.server.repository("ameide", GITOPS).path)
    main = str(git.resolve("refs/heads/main"))
    found = git.read_object(f"{main}:environments")
    git.close()
    assert found is not None
    return main, found.id


def pull_of(world: Story, path: str, user: int = ENGINEER_ID) -> PullRequest:
    """A person's pull request that adds one file."""
    git = world.forge.open_repository(GITOPS)
    main = main_of(world)[0]
    objects = objects_of_files({**git.read_files(main), path: (MODE_FILE, b"Something\n")})
    commit = commit_object(objects[-1].id, [main], "Tidy up\n", _ME, _ME)
    branch = f"tidy-{path.replace('/', '-').strip('.')}"
    update = RefUpdate(f"refs/heads/{branch}", None, commit.id)
    world.forge.push(GITOPS, [*objects, commit], (update,), actor=user)
    return world.forge.open_pull(
        GITOPS, head_branch=branch, base_branch="main", title="Tidy", body="", actor=user
    )


def force(world: Story, path: str) -> str:
    """The commit that somebody above all rulesets put on main."""
    repository = world.server.repository("ameide", GITOPS)
    git = GitRepository(repository.path)
    main = str(git.resolve("refs/heads/main"))
    objects = objects_of_files({**git.read_files(main), path: (MODE_FILE, b"Something\n")})
    commit = commit_object(objects[-1].id, [main], "Tidy up\n", _ME, _ME)
    git.write_objects([*objects, commit])
    git.update_refs([RefUpdate("refs/heads/main", main, commit.id)])
    git.close()
    return commit.id


def test_only_the_app_moves_main(world: Story) -> None:
    git = world.forge.open_repository(GITOPS)
    main = main_of(world)[0]
    objects = objects_of_files({**git.read_files(main), "x": (MODE_FILE, b"1\n")})
    commit = commit_object(objects[-1].id, [main], "Tidy up\n", _ME, _ME)
    for branch, old in (("main", main), ("promote/dev/x/0", None), ("restore/0", None)):
        update = RefUpdate(f"refs/heads/{branch}", old, commit.id)
        with pytest.raises(ForgeRefused):
            world.forge.push(GITOPS, [*objects, commit], (update,), actor=ENGINEER_ID)
    pull = pull_of(world, f"{DEV}/.argocd-source.yaml")
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    for person in (ENGINEER_ID, SECOND_ENGINEER_ID, PLATFORM_ENGINEER_ID):
        with pytest.raises((ForgeRefused, StalePlan)):
            world.merge(GITOPS, pull.number, person)
    assert codes_of_run(world) == {f"{GITOPS}#{pull.number}": {"gitops-environments-proposed"}}
    assert main_of(world)[0] == main


def test_the_app_merges_what_owners_propose(world: Story) -> None:
    pull = pull_of(world, "docs/notes.md")
    assert codes_of_run(world) == {f"{GITOPS}#{pull.number}": {"approval-missing"}}
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    # GitHub says who is of a team, beside platform.yaml.
    members = world.server.state.teams["ameide", "acme-engineers"].members
    members.discard(SECOND_ENGINEER_ID)
    assert codes_of_run(world) == {f"{GITOPS}#{pull.number}": {"approval-missing"}}
    members.add(SECOND_ENGINEER_ID)
    assert codes_of_run(world) == {}
    merged = world.forge.read_pull(GITOPS, pull.number)
    assert merged.state is PullState.MERGED
    assert merged.merged_by == sample_platform().pipeline_account.id


def test_a_push_past_the_rules_is_put_back(world: Story) -> None:
    main, sealed = main_of(world)
    foreign = force(world, f"{DEV}/.argocd-source.yaml")
    report = world.engine.run(tenants=["acme"])
    assert report.failures == ()
    assert [i.path for i in report.restored] == [f"{DEV}/.argocd-source.yaml"]
    now, tree = main_of(world)
    assert tree == sealed and now not in (main, foreign)
    git = world.forge.open_repository(GITOPS)
    assert ("Restores", foreign) in git.read_commit(now).trailers
    assert world.engine.plan(tenants=["acme"]).is_empty


def test_doctor_reports_loosened_rules_and_a_policy_change_restores_them(
    world: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = GithubSetting(world.server, world.root, sample_platform())
    for name, value in setting.credential(None)[1].items():
        monkeypatch.setenv(name, value)

    def loose() -> list[str]:
        ran = call(world.root / "control", "doctor", "--github", "--format", "json")
        items = ran.document["items"]
        assert isinstance(items, list)
        return [i["name"] for i in items if i["state"] == "missing" and "rules" in i["name"]]

    assert loose() == []
    rulesets = world.server.repository("ameide", GITOPS).rulesets
    [moves] = [r for r in rulesets.values() if r.name.endswith("moves main")]
    person = {"actor_id": ENGINEER_ID, "actor_type": "User", "bypass_mode": "pull_request"}
    moves.bypass_actors.append(person)
    assert loose() == [f"rules {GITOPS}"]
    # A change of policy has the rules brought in line; nothing else looks at them.
    git = world.forge.open_repository(CONTROL)
    there = git.read_object(f"refs/heads/main:{PLATFORM_PATH}")
    assert there is not None
    engineer = b"id: 1202, login: acme-engineer-2, kind: person, teams: [acme-engineers]"
    assert engineer in there.content
    left = there.content.replace(b"  - {" + engineer + b"}\n", b"")
    world.request(PLATFORM_PATH, left, SECOND_PLATFORM_ENGINEER_ID, asker=PLATFORM_ENGINEER_ID)
    report = world.engine.run(tenants=["acme"])
    assert report.failures == ()
    assert loose() == []
    rules = {rule.pattern: rule for rule in world.forge.read_rules(GITOPS)}
    assert rules["main"].merge == (sample_platform().pipeline_account.id,)
    assert world.engine.plan(tenants=["acme"]).is_empty


def test_no_ruleset_allows_a_rebase(world: Story) -> None:
    for repository in world.server.state.repositories.values():
        for ruleset in repository.rulesets.values():
            for rule in ruleset.rules:
                if rule["type"] == "pull_request":
                    asked = rule["parameters"]
                    assert asked["allowed_merge_methods"] == ["merge", "squash"]
                    assert asked["dismiss_stale_reviews_on_push"]


def test_the_sample_has_two_owners_of_acme() -> None:
    platform: Platform = sample_platform()
    assert {ENGINEER_ID, SECOND_ENGINEER_ID} <= platform.members(("acme-engineers",))
