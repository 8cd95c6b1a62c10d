"""`pipeline policy test` and `pipeline policy diff`: output, documents and exit codes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from git import Actor, Repo

from pipeline.requests.layout import environment_path
from tests.conftest import ROOT
from tests.support.command_line import Ran, call
from tests.support.finished_story import CONTROL
from tests.support.samples import sample_files
from tests.support.story import story_at

PROD = environment_path("prod")


@pytest.fixture
def control(tmp_path: Path) -> Path:
    """A checkout with the policy of the samples, and the cases of this repository."""
    top = tmp_path / "control"
    for path, content in sample_files().items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(content)
    shutil.copytree(ROOT / "policy-tests", top / "policy-tests")
    Repo.init(top).close()
    return top


def outcome_of(top: Path, *options: str) -> Ran:
    return call(top, "policy", "test", *options)


def test_cases_pass_and_the_document_has_its_schema(control: Path) -> None:
    found = outcome_of(control)
    assert found.exit_code == 0 and found.out.endswith(" as expected\n")
    document = outcome_of(control, "policy-tests", "--format", "json").document
    assert document["kind"] == "PolicyTestReport" and document["failed"] == 0


def test_a_change_of_policy_fails_the_case_that_guards_it(control: Path) -> None:
    path = control / PROD
    strict = path.read_text()
    assert "count: 2, teams: [release-managers, security]" in strict
    path.write_text(strict.replace("count: 2", "count: 2, each_team: false"))
    found = outcome_of(control)
    assert found.exit_code == 1
    assert "    - waits\n    + allowed\n    - approval-missing\n" in found.out
    assert found.out.endswith(", 1 not\n")


def test_a_malformed_case_is_shown_with_its_place(control: Path) -> None:
    path = control / "policy-tests" / "production.yaml"
    path.write_text(path.read_text().replace("release-manager-2", "release-manger-2"))
    found = outcome_of(control)
    assert found.exit_code == 1
    assert "production.yaml:23:49" in found.out and "did you mean `release-manager-2`?" in found.out
    document = outcome_of(control, "--format", "json").document
    findings = document["findings"]
    assert isinstance(findings, list)
    assert [f["code"] for f in findings] == ["policy-case-unknown"]


def test_no_case_is_no_pass(control: Path) -> None:
    shutil.rmtree(control / "policy-tests")
    assert outcome_of(control).exit_code == 2
    (control / "policy-tests").mkdir()
    assert outcome_of(control).exit_code == 2


def test_policy_that_is_not_valid_is_not_tested(control: Path) -> None:
    (control / PROD).write_text("kind: Environment\n")
    found = outcome_of(control)
    assert found.exit_code == 1 and PROD in found.err


def test_two_commits_of_policy_are_compared(tmp_path: Path) -> None:
    world = story_at("in staging", tmp_path / "world")
    top = world.root / "control"
    forge = world.forge.path(CONTROL)
    world.close()
    with Repo(top) as repo:
        repo.remotes.origin.set_url(str(forge))
        repo.git.fetch("-q", "origin")
        repo.git.checkout("-q", "-B", "stricter", "origin/main")
        path = top / environment_path("staging")
        path.write_text(path.read_text().replace("count: 1", "count: 2"))
        repo.index.add([environment_path("staging")])
        author = Actor("somebody", "1101+somebody@users.noreply.pipeline.invalid")
        repo.index.commit("Ask for one more", author=author, committer=author)
    told = call(top, "policy", "diff", "origin/main")
    assert told.exit_code == 0
    assert told.out.startswith("… 1 of 2 recorded decisions would be decided otherwise\n")
    assert "allowed → waits" in told.out
    document = call(top, "policy", "diff", "origin/main", "HEAD", "--format", "json").document
    assert (document["decisions"], document["replayed"]) == (2, 1)
    page = call(top, "policy", "diff", "origin/main", "--format", "markdown").out
    assert "| allowed | waits |" in page
    assert call(top, "policy", "diff", "nowhere").exit_code == 4
