"""Drift in GitOps repositories: what was not promoted is reported and put back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.git.objects import MODE_FILE, RefUpdate
from tests.support.fact_history import ENGINEER_ID, RELEASE_MANAGERS, SECURITY_ID
from tests.support.finished_story import CONTROL, GITOPS
from tests.support.gitops_attacker import (
    ATTACKS,
    DEV,
    PROD,
    Attack,
    Files,
    a_folder_with_prod_s_namespace,
    an_override_beside_an_overlay,
    commit_of,
    force,
    policy,
    tree_at_main,
)
from tests.support.samples import DRAFT
from tests.support.story import SOURCE, Story, everything, story_at
from tests.support.sweep import Crash, Mode, counted_ref_moves, fault_at


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_drift_is_put_back(world: Story, attack: Attack) -> None:
    sealed = tree_at_main(world)
    foreign = force(world, attack)
    assert tree_at_main(world) != sealed
    report = world.engine.run(tenants=["acme"])
    assert report.failures == ()
    assert ATTACKS[attack] in {i.path for i in report.restored}
    assert tree_at_main(world) == sealed
    assert all(not found for found in report.incidents.values())
    git = world.forge.open_repository(GITOPS)
    main = git.read_commit(str(git.resolve("refs/heads/main")))
    assert main.parents[0] == foreign, "the foreign commit stays in history"
    assert ("Restores", foreign) in main.trailers
    assert ("Restores", foreign) in git.read_commit(main.parents[1]).trailers
    before = everything(world.root)
    assert world.engine.run(tenants=["acme"]).effects == 0
    assert everything(world.root) == before


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_drift_is_only_reported_if_policy_says_so(world: Story, attack: Attack) -> None:
    policy(world, "report")
    world.go()
    force(world, attack)
    before = everything(world.root)
    for _ in range(2):
        report = world.engine.run(tenants=["acme"])
        assert report.failures == () and report.effects == 0
        assert ATTACKS[attack] in {i.path for i in report.incidents["acme"]}
    assert everything(world.root) == before


def test_files_outside_of_environments_stay(world: Story) -> None:
    def both(files: Files) -> None:
        an_override_beside_an_overlay(files)
        files["docs/notes.md"] = (MODE_FILE, b"Notes\n")

    force(world, both)
    world.engine.run(tenants=["acme"])
    files = world.forge.open_repository(GITOPS).read_files("refs/heads/main")
    assert files["docs/notes.md"] == (MODE_FILE, b"Notes\n")
    assert f"{PROD}/.argocd-source.yaml" not in files


def test_a_branch_that_was_reset_is_brought_forward(world: Story) -> None:
    sealed = tree_at_main(world)
    git = world.forge.open_repository(GITOPS)
    main = str(git.resolve("refs/heads/main"))
    git.update_refs([RefUpdate("refs/heads/main", main, git.read_commit(main).parents[0])])
    assert tree_at_main(world) != sealed
    report = world.engine.run(tenants=["acme"])
    assert {i.code for i in report.restored} == {"gitops-overlay-missing"}
    assert tree_at_main(world) == sealed


def test_an_older_overlay_counts_as_foreign(
    tmp_path: Path,
) -> None:
    world = story_at("in dev", tmp_path / "world")
    world.write("0002", f"{SOURCE}/routing.py", "QUICK = 2\n")
    world.go()
    older = tree_at_main(world)
    world.ask(DRAFT, "dev", ENGINEER_ID)
    world.go()
    newer = tree_at_main(world)
    assert older != newer
    git = world.forge.open_repository(GITOPS)
    main = str(git.resolve("refs/heads/main"))
    git.update_refs([RefUpdate("refs/heads/main", main, git.read_commit(main).parents[0])])
    assert tree_at_main(world) == older
    report = world.engine.run(tenants=["acme"])
    assert {i.path.rpartition("/")[0] for i in report.restored} <= {DEV, f"{DEV}/base"}
    assert tree_at_main(world) == newer
    world.close()


def test_foreign_content_is_removed_before_the_first_promotion(tmp_path: Path) -> None:
    world = story_at("scaffolded", tmp_path / "world")
    policy(world, "restore")
    world.go()
    force(world, a_folder_with_prod_s_namespace)
    world.engine.run(tenants=["acme"])
    assert tree_at_main(world) == ""
    world.close()


def test_a_promotion_waits_until_drift_is_put_back(tmp_path: Path) -> None:
    world = story_at("in staging", tmp_path / "world")
    policy(world, "report")
    world.go()
    world.ask(DRAFT, "prod", RELEASE_MANAGERS[0], SECURITY_ID)
    force(world, a_folder_with_prod_s_namespace)
    report = world.engine.run(tenants=["acme"])
    (waiting,) = report.waiting["acme"]
    assert [code for code, _ in waiting.reasons] == ["gitops-content-foreign"]
    assert world.engine.status(DRAFT).promotion("prod") is None
    policy(world, "restore")
    report = world.engine.run(tenants=["acme"])
    assert [i.path for i in report.restored] == ["environments/dev/quick-fix"]
    assert world.engine.status(DRAFT).promotion("prod") is not None
    world.close()


def test_an_overlay_whose_fact_is_due_is_not_foreign(tmp_path: Path) -> None:
    """The run broke off between merge and fact; then another draft's look sees the overlay."""
    world = story_at("in staging", tmp_path / "world")
    policy(world, "restore")
    world.go()
    world.ask(DRAFT, "prod", RELEASE_MANAGERS[0], SECURITY_ID)
    plan = world.engine.plan(tenants=["acme"])
    number = [e.kind for e in plan.effects].index("merge-pull") + 1
    hook, _ = fault_at(number, "after")
    world.use(faults=hook)
    with pytest.raises(Crash):
        world.engine.run(tenants=["acme"])
    merged = tree_at_main(world)
    fresh = Story.open(world.root)
    seen = fresh.engine.world().gitops.view(GITOPS)
    assert seen is not None and seen.findings == () and seen.unrecorded
    force(fresh, a_folder_with_prod_s_namespace)
    fresh.go()
    assert tree_at_main(fresh) == merged
    assert fresh.engine.status(DRAFT).promotion("prod") is not None
    world.close()
    fresh.close()


def test_nothing_is_put_back_while_a_draft_s_facts_are_unreadable(world: Story) -> None:
    """Its overlay would be taken for foreign; so what is known to be foreign is told alone."""
    git = world.forge.open_repository(CONTROL)
    head = str(git.resolve("refs/heads/state/acme"))
    path = f"drafts/{DRAFT.split('/')[1]}/status.yaml"
    damaged = commit_of(
        git, head, lambda files: files.update({path: (MODE_FILE, b"state: [damaged\n")})
    )
    git.update_refs([RefUpdate("refs/heads/state/acme", head, damaged)])
    force(world, a_folder_with_prod_s_namespace)
    before = tree_at_main(world)
    report = world.engine.run(tenants=["acme"])
    assert (DRAFT, "could-not-check") in {(s, c) for s, c, _ in report.failures}
    assert [i.path for i in report.incidents["acme"]] == ["environments/dev/quick-fix"]
    assert report.effects == 0 and tree_at_main(world) == before


def test_a_crash_anywhere_in_putting_back_converges(world: Story, tmp_path: Path) -> None:
    """Broken off before, after and inside of every effect, and run again: the same trees."""
    force(world, an_override_beside_an_overlay)
    kinds = [e.kind for e in world.engine.plan(tenants=["acme"]).effects]
    assert kinds == ["restore-overlays", "open-pull", "merge-pull"]
    world.close()

    def copied(name: str) -> Story:
        shutil.copytree(world.root, tmp_path / name, symlinks=True)
        return Story.open(tmp_path / name)

    whole = copied("unbroken")
    with counted_ref_moves() as moves:
        whole.go()
    whole.close()
    wanted = everything(tmp_path / "unbroken")
    points: list[tuple[Mode, int]] = [("torn", n + 1) for n in range(moves[0])]
    modes: tuple[Mode, ...] = ("before", "after", "lost reply")
    points += [(mode, n + 1) for mode in modes for n in range(len(kinds))]
    assert len(points) >= 12
    for mode, number in points:
        broken = copied(f"{mode}-{number}")
        hook, _ = fault_at(0 if mode == "torn" else number, mode)
        broken.use(faults=hook)
        with counted_ref_moves(number if mode == "torn" else 0):
            if mode == "lost reply":
                broken.go()
            else:
                with pytest.raises(Crash):
                    broken.engine.run(tenants=["acme"])
        broken.close()
        again = Story.open(tmp_path / f"{mode}-{number}")
        again.go()
        assert everything(tmp_path / f"{mode}-{number}") == wanted, f"{mode} {number}"
        assert again.engine.plan(tenants=["acme"]).is_empty
        again.close()


def test_a_foreign_commit_after_a_crash_in_the_restore_is_put_back_too(world: Story) -> None:
    sealed = tree_at_main(world)
    force(world, an_override_beside_an_overlay)
    hook, _ = fault_at(2, "after")
    world.use(faults=hook)
    with pytest.raises(Crash):
        world.engine.run(tenants=["acme"])
    fresh = Story.open(world.root)
    force(fresh, a_folder_with_prod_s_namespace)
    fresh.go()
    assert tree_at_main(fresh) == sealed
    fresh.close()
