"""The status shows a release as running only if the GitOps repository confirms it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.git.objects import MODE_FILE, RefUpdate
from pipeline.git.repository import GitRepository
from tests.support.command_line import call
from tests.support.deliveries import healthy_in
from tests.support.finished_story import CONTROL, GITOPS
from tests.support.gitops_attacker import (
    ATTACKS,
    OF_PROD,
    PROD,
    Attack,
    an_overlay_gone,
    an_override_beside_an_overlay,
    commit_of,
    force,
    policy,
)
from tests.support.samples import DRAFT
from tests.support.story import Story


@pytest.fixture
def observed(world: Story) -> tuple[Story, Path]:
    """A world whose delivery tool said Healthy, and a clone of its control repo."""
    seen = healthy_in(world.engine.status(DRAFT), "prod")
    world.engine.run(tenants=["acme"], observations=[seen])
    clone = GitRepository.clone(str(world.forge.path(CONTROL)), world.root / "clone")
    return world, clone.path


def test_health_is_shown_while_what_was_promoted_lies_there(observed: tuple[Story, Path]) -> None:
    _, control = observed
    for arguments in (("status",), ("status", DRAFT)):
        ran = call(control, *arguments)
        assert ran.exit_code == 0 and "foreign" not in ran.out
    assert "Healthy, Synced" in call(control, "status", DRAFT).out


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_no_health_is_shown_for_anything_else(observed: tuple[Story, Path], attack: Attack) -> None:
    world, control = observed
    force(world, attack)
    ran = call(control, "status")
    assert ran.exit_code == 1 and f"foreign  {GITOPS}:{ATTACKS[attack]}" in ran.out
    assert "explain gitops-" in ran.out
    document = call(control, "status", "--format", "json").document
    incidents = document["incidents"]
    assert isinstance(incidents, list)
    assert ATTACKS[attack] in {incident["path"] for incident in incidents}
    one = call(control, "status", DRAFT)
    touches_draft = attack in OF_PROD or attack is an_overlay_gone  # the latter in dev
    assert ("Healthy" in one.out) is (attack not in OF_PROD)
    assert one.exit_code == (1 if touches_draft else 0)
    assert call(control, "status", DRAFT, "--format", "json").exit_code == one.exit_code


def test_an_unreadable_repository_is_reported_and_the_rest_is_shown(
    observed: tuple[Story, Path],
) -> None:
    world, control = observed
    shutil.rmtree(world.forge.path(GITOPS))
    ran = call(control, "status")
    assert ran.exit_code == 4 and f"`{GITOPS}` is gone" in ran.out and "?" in ran.out
    one = call(control, "status", DRAFT)
    assert one.exit_code == 4 and "Healthy" not in one.out


def test_a_damaged_status_does_not_hide_others(observed: tuple[Story, Path]) -> None:
    world, control = observed
    world.ask_for_draft("acme/late-arrival")
    world.go()
    git = world.forge.open_repository(CONTROL)
    head = str(git.resolve("refs/heads/state/acme"))
    path = "drafts/late-arrival/status.yaml"
    damaged = commit_of(
        git, head, lambda files: files.update({path: (MODE_FILE, b"state: [damaged\n")})
    )
    git.update_refs([RefUpdate("refs/heads/state/acme", head, damaged)])
    ran = call(control, "status")
    assert ran.exit_code == 4 and "acme/late-arrival" in ran.out and DRAFT in ran.out
    assert "PROMOTED_PROD" in ran.out


def test_a_clone_without_its_forge_says_that_nothing_was_checked(
    observed: tuple[Story, Path],
) -> None:
    world, control = observed
    shutil.rmtree(world.root / "forge")
    ran = call(control, "status")
    assert ran.exit_code == 0 and "was not checked" in ran.out
    one = call(control, "status", DRAFT)
    assert "Healthy" not in one.out and "not checked" in one.out


def test_a_run_reports_foreign_content_and_what_it_put_back(observed: tuple[Story, Path]) -> None:
    world, control = observed
    force(world, an_override_beside_an_overlay)
    where = f"{GITOPS}:{PROD}/.argocd-source.yaml"
    assert f"foreign {where}" in call(control, "plan").out
    ran = call(control, "run", "--tenant", "acme")
    assert ran.exit_code == 0 and f"put back {where}" in ran.out
    policy(world, "report")
    force(world, an_override_beside_an_overlay)
    ran = call(control, "run", "--tenant", "acme", "--format", "json")
    assert ran.exit_code == 1
    [incident] = ran.document["incidents"]  # type: ignore[misc]  # a list, by its schema
    assert incident["path"] == f"{PROD}/.argocd-source.yaml" and not incident["put_back"]
