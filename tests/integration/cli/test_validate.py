"""`pipeline validate` on a real control checkout: what is judged, how it is told, how it ends."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.command_line import call, copy_world
from tests.support.story_by_commands import begin

REQUESTS = sum(1 for top in ("environments", "tenants") for _ in (ROOT / top).rglob("*.yaml"))
DRAFT = "tenants/acme/drafts/shipment-tracker/draft.yaml"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return begin(tmp_path_factory.mktemp("validate"))


@pytest.fixture
def control(fresh: Path, tmp_path: Path) -> Path:
    return copy_world(fresh, tmp_path)


def git(control: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=platform-engineer-1", "-c", "user.email=1101@users.invalid")
    subprocess.run(["git", "-C", str(control), *identity, *arguments], check=True)


def spoil(control: Path, path: str = DRAFT) -> int:
    """Make the origin of a draft one that there is not; the line where it stands."""
    file = control / path
    file.write_text(file.read_text().replace("code_origin: tenant", "code_origin: stranger"))
    lines = file.read_text().splitlines()
    return lines.index("code_origin: stranger") + 1


def test_samples_are_valid(fresh: Path) -> None:
    ran = call(fresh, "validate")
    assert (ran.exit_code, ran.out) == (0, f"✓ {REQUESTS} requests, no findings\n")
    document = call(fresh, "validate", "--format", "json").document
    assert (document["kind"], document["verdict"]) == ("ValidationReport", "valid")
    assert call(fresh, "validate", "--format", "github").out == ""


def test_the_work_tree_counts_only_when_asked(control: Path) -> None:
    line = spoil(control)
    assert call(control, "validate").exit_code == 0
    ran = call(control, "validate", "--worktree")
    assert ran.exit_code == 1
    assert f"--> {DRAFT}:{line}:14" in ran.out
    assert "code_origin: stranger" in ran.out, "the line itself is shown"
    assert ran.out.endswith(f"✗ {REQUESTS} requests, 1 error\n")


def test_a_commit_and_what_changed_since(control: Path) -> None:
    line = spoil(control)
    git(control, "commit", "-qam", "Spoil a draft")
    assert call(control, "validate").exit_code == 1
    assert call(control, "validate", "--commit", "HEAD~1").exit_code == 0
    since = call(control, "validate", "--since", "HEAD~1", "--format", "json")
    assert since.exit_code == 1
    document = since.document
    findings = document["findings"]
    assert isinstance(findings, list)
    assert [(f["file"], f["line"]) for f in findings] == [(DRAFT, line)]
    assert call(control, "validate", "--since", "HEAD").exit_code == 0


def test_findings_for_machines(control: Path) -> None:
    line = spoil(control)
    git(control, "commit", "-qam", "Spoil a draft")
    sarif = json.loads(call(control, "validate", "--format", "sarif").out)
    assert sarif["version"] == "2.1.0"
    assert len(sarif["runs"][0]["results"]) == 1
    ran = call(control, "validate", "--format", "github")
    assert ran.out.startswith(f"::error file={DRAFT},line={line},col=14,")


def test_paths(control: Path) -> None:
    spoil(control)
    git(control, "commit", "-qam", "Spoil a draft")
    assert call(control, "validate", "tenants/acme").exit_code == 1
    assert call(control, "validate", DRAFT).exit_code == 1
    assert call(control, "validate", str(control / DRAFT)).exit_code == 1
    assert call(control, "validate", "tenants/contoso").exit_code == 0
    assert call(control, "validate", "environments/prod/").exit_code == 0


@pytest.mark.parametrize(
    "path",
    [
        "tenants/nobody",
        "../../etc/passwd",
        "/etc/passwd",
        "tenants/../../..",
        "\x00",
        "--",
        "README",
    ],
)
def test_paths_that_name_no_request(fresh: Path, path: str) -> None:
    ran = call(fresh, "validate", "--", path)
    assert ran.exit_code == 2
    assert ran.err.startswith("error[usage]: ")


@pytest.mark.parametrize("revision", ["no-such", "--output=x", "HEAD:environments", "", "a b"])
def test_revisions_that_name_no_commit(fresh: Path, revision: str) -> None:
    for option in ("--commit", "--since"):
        ran = call(fresh, "validate", f"{option}={revision}")
        assert ran.exit_code == (0 if revision == "" else 4), ran
        assert revision == "" or "names no commit" in ran.err


def test_hostile_files_are_findings(control: Path) -> None:
    folder = control / "tenants/acme/drafts/shipment-tracker"
    (folder / "patches").mkdir()
    (folder / "patches/0001.yaml").write_bytes(b"\xff\xfe\x00")
    (folder / "surprise.yaml").write_text("kind: Surprise\n")
    ran = call(control, "validate", "--worktree")
    assert ran.exit_code == 1
    assert "error[path-unknown]" in ran.out and "error[yaml-" in ran.out


def test_a_control_repo_without_platform_file(control: Path) -> None:
    (control / "environments/platform.yaml").unlink()
    shutil.rmtree(control / "tenants")
    ran = call(control, "validate", "--worktree")
    assert ran.exit_code == 1
    assert "environments/platform.yaml" in ran.out
