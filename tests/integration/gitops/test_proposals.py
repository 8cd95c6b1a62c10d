"""Pull requests to GitOps repositories: what people may have merged, and who merges it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pipeline.errors import ForgeRefused
from pipeline.forges.port import PullState
from pipeline.git.objects import MODE_FILE, MODE_SUBMODULE, MODE_SYMLINK, RefUpdate
from pipeline.git.repository import GitRepository
from pipeline.plan.effects import Incident
from tests.support.command_line import call
from tests.support.fact_history import AGENT_ID, ENGINEER_ID
from tests.support.finished_story import CONTROL, GITOPS
from tests.support.gitops_attacker import (
    ATTACKS,
    PIPELINE_ID,
    PROD,
    SECOND_ENGINEER_ID,
    Attack,
    Files,
    an_override_beside_an_overlay,
    commit_of,
    opened,
    tree_at_main,
)
from tests.support.story import Story
from tests.support.sweep import CONTOSO_ENGINEER_ID, PLATFORM_ENGINEER_ID


def a_better_readme(files: Files) -> None:
    files["README.md"] = (MODE_FILE, b"# What runs\n")


def waits_for(world: Story) -> dict[str, list[str]]:
    """What waits after a run, and the codes of why."""
    report = world.engine.run(tenants=["acme"])
    assert report.failures == ()
    return {w.request: [code for code, _ in w.reasons] for w in report.waiting["acme"]}


@pytest.mark.parametrize("branch", ["main", "promote/dev/order-router/0123456789ab", "restore/x"])
def test_only_the_pipeline_moves_main(world: Story, branch: str) -> None:
    git = world.forge.open_repository(GITOPS)
    main = str(git.resolve("refs/heads/main"))
    commit = commit_of(git, main, a_better_readme)
    old = main if branch == "main" else None
    with pytest.raises(ForgeRefused, match="may not push"):
        world.forge.push(
            GITOPS, [], (RefUpdate(f"refs/heads/{branch}", old, commit),), actor=ENGINEER_ID
        )
    pull = opened(world, an_override_beside_an_overlay)
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    for person in (ENGINEER_ID, SECOND_ENGINEER_ID, PLATFORM_ENGINEER_ID, AGENT_ID):
        with pytest.raises(ForgeRefused, match="may not merge"):
            world.merge(GITOPS, pull.number, person)


def test_the_pipeline_merges_owners_proposals_outside_environments(world: Story) -> None:
    pull = opened(world, a_better_readme)
    name = f"{GITOPS}#{pull.number}"
    assert waits_for(world) == {name: ["approval-missing"]}
    for other in (CONTOSO_ENGINEER_ID, PLATFORM_ENGINEER_ID, AGENT_ID):
        world.approve(GITOPS, pull.number, other)
    assert waits_for(world) == {name: ["approval-missing"]}
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    assert waits_for(world) == {}
    merged = world.forge.read_pull(GITOPS, pull.number)
    assert merged.state is PullState.MERGED and merged.merged_by == PIPELINE_ID
    git = world.forge.open_repository(GITOPS)
    main = git.read_commit(str(git.resolve("refs/heads/main")))
    assert ("Proposal", name) in main.trailers
    assert world.engine.plan(tenants=["acme"]).is_empty


def test_an_approval_of_an_older_revision_does_not_count(world: Story) -> None:
    pull = opened(world, a_better_readme)
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    opened(world, an_override_beside_an_overlay, old=pull.head)
    assert waits_for(world) == {f"{GITOPS}#{pull.number}": ["gitops-environments-proposed"]}
    newer = world.forge.read_pull(GITOPS, pull.number)
    opened(world, everything_but_the_override, old=newer.head)
    assert waits_for(world) == {f"{GITOPS}#{pull.number}": ["approval-missing"]}


def everything_but_the_override(files: Files) -> None:
    del files[f"{PROD}/.argocd-source.yaml"]


def test_an_approval_by_a_commit_s_author_does_not_count(world: Story) -> None:
    pull = opened(world, a_better_readme)
    opened(
        world,
        lambda files: files.update({"docs/more.md": (MODE_FILE, b"More\n")}),
        user=SECOND_ENGINEER_ID,
        old=pull.head,
    )
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    assert waits_for(world) == {f"{GITOPS}#{pull.number}": ["approval-missing"]}


def test_a_proposal_by_another_tenant_is_not_merged(world: Story) -> None:
    pull = opened(world, a_better_readme, user=CONTOSO_ENGINEER_ID)
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    assert waits_for(world) == {f"{GITOPS}#{pull.number}": ["author-out-of-scope"]}


def git_attributes(files: Files) -> None:
    files[".gitattributes"] = (MODE_FILE, b"environments/** filter=x\n")


def a_link_outside(files: Files) -> None:
    files["docs"] = (MODE_SYMLINK, b"environments")


def a_submodule_outside(files: Files) -> None:
    files["theirs"] = (MODE_SUBMODULE, b"1" * 40)


def environments_in_capitals(files: Files) -> None:
    files["Environments/prod/x.yaml"] = (MODE_FILE, b"{}\n")


def too_many(files: Files) -> None:
    files.update({f"docs/{n}.md": (MODE_FILE, b"\n") for n in range(101)})


def nothing(files: Files) -> None:
    """One that anybody could have merged, since nothing in it has an owner."""


UNFIT: Mapping[Attack, str] = {
    nothing: "gitops-proposal-unfit",
    **dict.fromkeys(ATTACKS, "gitops-environments-proposed"),
    environments_in_capitals: "gitops-environments-proposed",
    git_attributes: "gitops-proposal-unfit",
    a_link_outside: "gitops-proposal-unfit",
    a_submodule_outside: "gitops-proposal-unfit",
    too_many: "gitops-proposal-unfit",
}


@pytest.mark.parametrize("attack", UNFIT, ids=lambda attack: attack.__name__)
def test_overlays_and_special_files_are_never_merged(world: Story, attack: Attack) -> None:
    main = world.forge.open_repository(GITOPS).resolve("refs/heads/main")
    pull = opened(world, attack)
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    codes = waits_for(world)[f"{GITOPS}#{pull.number}"]
    assert set(codes) == {UNFIT[attack]}
    assert world.forge.open_repository(GITOPS).resolve("refs/heads/main") == main


def test_a_proposal_that_conflicts_waits(world: Story) -> None:
    pull = opened(world, a_better_readme, branch="one")
    other = opened(
        world, lambda files: files.update({"README.md": (MODE_FILE, b"# Other\n")}), branch="two"
    )
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    world.approve(GITOPS, other.number, SECOND_ENGINEER_ID)
    assert waits_for(world) == {f"{GITOPS}#{other.number}": ["gitops-proposal-unfit"]}


def test_a_person_s_merge_of_a_branch_named_like_a_promotion_is_foreign(world: Story) -> None:
    """With loosened rules anybody may push `promote/…`; the pipeline did not merge that one."""
    sealed = tree_at_main(world)
    world.forge.ensure_rules(GITOPS, ())
    pull = opened(
        world, an_override_beside_an_overlay, branch="promote/prod/order-router/0123456789ab"
    )
    world.merge(GITOPS, pull.number, ENGINEER_ID)
    report = world.engine.run(tenants=["acme"])
    assert [i.code for i in report.restored] == ["gitops-content-foreign"]
    assert tree_at_main(world) == sealed


def test_a_merge_past_the_rules_is_put_back(world: Story) -> None:
    """Rules that an owner of the forge loosened: what comes in by them is seen and put back."""
    sealed = tree_at_main(world)
    pull = opened(world, an_override_beside_an_overlay)
    world.forge.ensure_rules(GITOPS, ())
    world.merge(GITOPS, pull.number, ENGINEER_ID)
    assert tree_at_main(world) != sealed
    control = GitRepository.clone(str(world.forge.path(CONTROL)), world.root / "clone").path
    looked = call(control, "doctor")
    assert f"rules {GITOPS}" in looked.out and "no ruleset of the pipeline" in looked.out
    report = world.engine.run(tenants=["acme"])
    assert report.restored == [
        Incident(
            repo=GITOPS,
            path=f"{PROD}/.argocd-source.yaml",
            code="gitops-content-foreign",
            message="a file beside what was promoted",
        )
    ]
    assert tree_at_main(world) == sealed
