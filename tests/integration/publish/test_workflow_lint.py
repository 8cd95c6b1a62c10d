"""The workflows pass their linters, and further checks that no linter makes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yaml"))
_SHA = re.compile(r"[^@]+@[0-9a-f]{40}\Z")


def workflow(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
    return found


def steps() -> list[tuple[str, dict[str, Any]]]:
    found = [
        (f"{path.stem}/{job}", step)
        for path in WORKFLOWS
        for job, text in workflow(path)["jobs"].items()
        for step in text["steps"]
    ]
    action = yaml.load((ROOT / "action.yml").read_text(), Loader=yaml.BaseLoader)
    return found + [("action.yml", step) for step in action["runs"]["steps"]]


def test_actionlint_finds_nothing() -> None:
    done = subprocess.run(
        [ROOT / ".tools" / "bin" / "actionlint", "-no-color"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def zizmor(*paths: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("zizmor")
    return subprocess.run(
        [program, "--offline", "--no-progress", "--persona", "auditor", *paths],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_zizmor_finds_nothing_as_an_auditor() -> None:
    done = zizmor(FOLDER, ROOT / "action.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_an_expression_in_a_script(tmp_path: Path) -> None:
    text = (FOLDER / "validate.yaml").read_text()
    changed = text.replace('test "$RESULT" = success', "test ${{ github.head_ref }} = success")
    assert changed != text
    (tmp_path / "validate.yaml").write_text(changed)
    assert "template-injection" in zizmor(tmp_path / "validate.yaml").stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_permissions_are_per_job_and_every_job_has_a_time_limit(path: Path) -> None:
    text = workflow(path)
    assert text["permissions"] == {}
    assert "pull_request_target" not in text["on"]
    assert ("workflow_run" in text["on"]) == (path.stem == "comment")
    for job in text["jobs"].values():
        assert job["permissions"].get("contents", "read") == "read"
        assert 0 < int(job["timeout-minutes"]) <= 60


def test_only_the_app_s_token_writes_except_one_comment() -> None:
    written = {
        f"{path.stem}/{job}: {name}"
        for path in WORKFLOWS
        for job, text in workflow(path)["jobs"].items()
        for name, level in text["permissions"].items()
        if level == "write"
    }
    assert written == {
        "build/push: attestations",
        "build/push: id-token",
        "comment/comment: security-events",
    }
    assert "secrets." not in (FOLDER / "validate.yaml").read_text()


def use_of(step: Mapping[str, Any]) -> str:
    """The action that a step uses, without its commit."""
    return str(step["uses"]).split("@")[0]


def test_a_privileged_judge_runs_nothing_of_the_pull_request() -> None:
    jobs = workflow(FOLDER / "comment.yaml")["jobs"]
    taken = {name: [step for step in job["steps"] if "uses" in step] for name, job in jobs.items()}
    own = ["actions/checkout", "./"]
    assert {name: [use_of(step) for step in steps] for name, steps in taken.items()} == {
        "comment": [*own, "github/codeql-action/upload-sarif"],
        "queued": own,
    }
    refs = {steps[0]["with"]["ref"] for steps in taken.values()}
    assert refs == {"${{ github.event.repository.default_branch }}"}


def test_every_action_is_pinned_by_its_commit() -> None:
    used = {step["uses"] for _, step in steps() if "uses" in step}
    assert {use for use in used if not _SHA.match(use)} == {"./"}


def test_jobs_that_run_tenant_code_have_no_secrets() -> None:
    build = workflow(FOLDER / "build.yaml")["jobs"]
    performing = [job for job, text in build.items() if "perform" in str(text["steps"])]
    assert performing == ["perform"]
    assert "environment" not in build["perform"] and "secrets." not in str(build["perform"])
    assert "github.token" not in str(build["perform"])


def test_jobs_that_sign_provenance_run_no_tenant_code() -> None:
    push = workflow(FOLDER / "build.yaml")["jobs"]["push"]
    ran = " ".join(step["run"] for step in push["steps"] if "run" in step)
    assert {word for word in ("perform", "buildah", "run ") if f"pipeline {word}" in ran} == set()
    signing = [
        text
        for path in WORKFLOWS
        for text in workflow(path)["jobs"].values()
        if "id-token" in text["permissions"]
    ]
    assert signing == [push]


def test_root_only_loads_the_sandbox_s_profile() -> None:
    as_root = {line.strip() for _, step in steps() for line in _lines(step) if "sudo" in line}
    assert as_root == {
        "pipeline sandbox-profile | sudo apparmor_parser --replace",
        ".venv/bin/pipeline sandbox-profile | sudo apparmor_parser --replace",
    }


def _lines(step: Mapping[str, Any]) -> list[str]:
    return str(step.get("run", "")).splitlines()


def test_one_writer_per_tenant_and_no_run_is_dropped() -> None:
    groups = {}
    for path in WORKFLOWS:
        for job, text in workflow(path)["jobs"].items():
            if "pipeline run" in str(text["steps"]) and "strategy" in text:
                groups[f"{path.stem}/{job}"] = text["concurrency"]
    wanted = {
        "group": "tenant-${{ matrix.job.name }}",
        "cancel-in-progress": "false",
        "queue": "max",
    }
    assert set(groups) == {"scaffold/run", "promote/run", "build/record"}
    assert all(group == wanted for group in groups.values())


def test_the_gate_is_red_when_the_judge_was_skipped() -> None:
    gate = workflow(FOLDER / "validate.yaml")["jobs"]["gate"]
    assert gate["if"] == "always()" and gate["needs"] == ["validate"]
    assert gate["steps"][0]["run"] == 'test "$RESULT" = success'
