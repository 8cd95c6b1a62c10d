"""`pipeline validate` on a real control checkout: findings, output formats, exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.command_line import call

REQUESTS = sum(1 for top in ("environments", "tenants") for _ in (ROOT / top).rglob("*.yaml"))
DRAFT = "tenants/acme/drafts/shipment-tracker/draft.yaml"


def git(control: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=platform-engineer-1", "-c", "user.email=1101@users.invalid")
    subprocess.run(["git", "-C", str(control), *identity, *arguments], check=True)


def spoil(control: Path, path: str = DRAFT) -> int:
    """Make the origin of a draft one that there is not; the line where it stands."""
    file = control / path
    file.write_text(file.read_text().replace("code_origin: tenant", "code_origin: stranger"))
    lines = file.read_text().splitlines()
    return lines.index("code_origin: stranger") + 1


def test_samples_are_valid(fresh_world: Path) -> None:
    ran = call(fresh_world, "validate")
    assert (ran.exit_code, ran.out) == (0, f"✓ {REQUESTS} requests, no findings\n")
    document = call(fresh_world, "validate", "--format", "json").document
    assert (document["kind"], document["verdict"]) == ("ValidationReport", "valid")
    assert call(fresh_world, "validate", "--format", "github").out == ""


def test_the_work_tree_counts_only_when_asked(fresh: Path) -> None:
    line = spoil(fresh)
    assert call(fresh, "validate").exit_code == 0
    ran = call(fresh, "validate", "--worktree")
    assert ran.exit_code == 1
    assert f"--> {DRAFT}:{line}:14" in ran.out
    assert "code_origin: stranger" in ran.out, "the line itself is shown"
    assert ran.out.endswith(f"✗ {REQUESTS} requests, 1 error\n")


def test_a_commit_and_what_changed_since(fresh: Path) -> None:
    line = spoil(fresh)
    git(fresh, "commit", "-qam", "Spoil a draft")
    assert call(fresh, "validate").exit_code == 1
    assert call(fresh, "validate", "--commit", "HEAD~1").exit_code == 0
    since = call(fresh, "validate", "--since", "HEAD~1", "--format", "json")
    assert since.exit_code == 1
    document = since.document
    findings = document["findings"]
    assert isinstance(findings, list)
    assert [(f["file"], f["line"]) for f in findings] == [(DRAFT, line)]
    assert call(fresh, "validate", "--since", "HEAD").exit_code == 0


def test_findings_for_machines(fresh: Path) -> None:
    line = spoil(fresh)
    git(fresh, "commit", "-qam", "Spoil a draft")
    sarif = json.loads(call(fresh, "validate", "--format", "sarif").out)
    assert sarif["version"] == "2.1.0"
    assert len(sarif["runs"][0]["results"]) == 1
    ran = call(fresh, "validate", "--format", "github")
    assert ran.out.startswith(f"::error file={DRAFT},line={line},col=14,")


def test_paths(fresh: Path) -> None:
    spoil(fresh)
    git(fresh, "commit", "-qam", "Spoil a draft")
    assert call(fresh, "validate", "tenants/acme").exit_code == 1
    assert call(fresh, "validate", DRAFT).exit_code == 1
    assert call(fresh, "validate", str(fresh / DRAFT)).exit_code == 1
    assert call(fresh, "validate", "tenants/contoso").exit_code == 0
    assert call(fresh, "validate", "environments/prod/").exit_code == 0


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
def test_paths_that_name_no_request(fresh_world: Path, path: str) -> None:
    ran = call(fresh_world, "validate", "--", path)
    assert ran.exit_code == 2
    assert ran.err.startswith("error[usage]: ")


@pytest.mark.parametrize("revision", ["no-such", "--output=x", "HEAD:environments", "", "a b"])
def test_revisions_that_name_no_commit(fresh_world: Path, revision: str) -> None:
    for option in ("--commit", "--since"):
        ran = call(fresh_world, "validate", f"{option}={revision}")
        assert ran.exit_code == (0 if revision == "" else 4), ran
        assert revision == "" or "names no commit" in ran.err


def test_hostile_files_are_findings(fresh: Path) -> None:
    folder = fresh / "tenants/acme/drafts/shipment-tracker"
    (folder / "patches").mkdir()
    (folder / "patches/0001.yaml").write_bytes(b"\xff\xfe\x00")
    (folder / "surprise.yaml").write_text("kind: Surprise\n")
    ran = call(fresh, "validate", "--worktree")
    assert ran.exit_code == 1
    assert "error[path-unknown]" in ran.out and "error[yaml-" in ran.out


def test_a_control_repo_without_platform_file(fresh: Path) -> None:
    (fresh / "environments/platform.yaml").unlink()
    shutil.rmtree(fresh / "tenants")
    ran = call(fresh, "validate", "--worktree")
    assert ran.exit_code == 1
    assert "environments/platform.yaml" in ran.out
