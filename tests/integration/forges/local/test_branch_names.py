"""Branch names that would block a protected branch, or be taken for it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import ForgeRefused
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.port import BranchRule, RepoSpec
from pipeline.git.objects import MODE_FILE, RefUpdate, Signature, commit_object, objects_of_files

PIPELINE, PERSON = 900, 1501
SOMEBODY = Signature("release-manager-1", "1501@users.noreply.pipeline.invalid", 1_767_225_600)
OBJECTS = objects_of_files({"README.md": (MODE_FILE, b"control\n")})
FIRST = commit_object(OBJECTS[-1].id, [], "Begin\n", SOMEBODY, SOMEBODY)
RULES = (BranchRule("main", push=(), approvals=1), BranchRule("state/*", push=(PIPELINE,)))
IN_THE_WAY = ["state", "main/x"]
MISLEADING = ["HEAD", "refs/heads/main", "refs/heads/state/acme", "refs/x"]
HARMLESS = ["stately", "feature/state", "feature/main", "head", "reference/x"]


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[LocalForge]:
    forge = LocalForge(tmp_path / "forge", "ameide")
    spec = RepoSpec("control", "main", (*OBJECTS, FIRST), FIRST.id, RULES)
    forge.ensure_repo("control", spec)
    yield forge
    forge.close()


def plain_push(forge: LocalForge, branch: str) -> subprocess.CompletedProcess[str]:
    path = str(forge.path("control"))
    return subprocess.run(
        ["git", "-C", path, "push", "-q", path, f"{FIRST.id}:refs/heads/{branch}"],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("branch", [*IN_THE_WAY, *MISLEADING])
def test_nobody_can_create_such_a_branch(forge: LocalForge, branch: str) -> None:
    refs = forge.open_repository("control").read_refs()
    pushed = plain_push(forge, branch)
    assert pushed.returncode != 0
    assert "is protected" in pushed.stderr or "exists; cannot create" in pushed.stderr
    with pytest.raises(ForgeRefused, match=branch):
        forge.push(
            "control", (), (RefUpdate(f"refs/heads/{branch}", None, FIRST.id),), actor=PERSON
        )
    assert forge.open_repository("control").read_refs() == refs


@pytest.mark.parametrize("branch", MISLEADING)
def test_not_even_the_pipeline_can_create_a_misleading_branch(
    forge: LocalForge, branch: str
) -> None:
    with pytest.raises(ForgeRefused, match="something else"):
        forge.push(
            "control", (), (RefUpdate(f"refs/heads/{branch}", None, FIRST.id),), actor=PIPELINE
        )


@pytest.mark.parametrize("branch", HARMLESS)
def test_people_can_create_other_branches(forge: LocalForge, branch: str) -> None:
    assert plain_push(forge, branch).returncode == 0
    update = RefUpdate("refs/heads/state/acme", None, FIRST.id)
    forge.push("control", (), (update,), actor=PIPELINE)
