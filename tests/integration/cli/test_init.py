"""A new control repo: valid and lint-clean at once, and GitHub enforces its rulesets."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from git import Repo

from pipeline.forges.control_rules import control_rules
from pipeline.forges.github.client import GithubClient
from pipeline.forges.github.credentials import AppInstallation
from pipeline.forges.github.forge import GithubForge
from pipeline.forges.github.session import GithubSession
from pipeline.forges.github.settings import check_rules
from pipeline.models.requests import Platform, Signers
from pipeline.requests.kinds import parse_request
from tests.conftest import ROOT
from tests.support.command_line import Ran, call
from tests.support.sigstore import make_sigstore
from worlds.github_server import GitHubServer
from worlds.github_setting import APP_ID, add_pipeline_app, app_key

COMMIT = "0123456789" * 4
ACTION = f"nova-org/primitive-pipeline@{COMMIT}"
ARGUMENTS = {
    "--platform": "nova",
    "--organisation": "nova-org",
    "--registry": "registry.example.com/nova",
    "--app": str(APP_ID),
    "--bot": "41:primitive-pipeline[bot]",
    "--person": (
        "7:somebody:platform-engineers,release-managers,security,one-engineers",
        "8:another:release-managers,security",
    ),
    "--tenant": "one",
    "--action": ACTION,
}


def init(folder: Path, **changed: str) -> Ran:
    arguments = {**ARGUMENTS, **{f"--{name}": value for name, value in changed.items()}}
    given = ((n, v) for n, of in arguments.items() for v in ([of] if isinstance(of, str) else of))
    return call(None, "init", str(folder), *(part for pair in given for part in pair))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    assert init(tmp_path / "control").exit_code == 0
    return tmp_path / "control"


def test_a_new_control_repo_has_everything_staged(tmp_path: Path) -> None:
    folder = tmp_path / "control"
    ran = init(folder)
    assert (
        "staged for the first commit; origin is https://github.com/nova-org/control.git" in ran.out
    )
    with Repo(folder) as repo:
        assert repo.active_branch.name == "main" and not repo.head.is_valid()
        assert repo.remotes["origin"].url == "https://github.com/nova-org/control.git"
        staged = {path for path, _ in repo.index.entries}
        assert repo.untracked_files == [] and not repo.index.diff(None)
    assert not (folder / ".git" / "hooks").exists(), "no template of this machine takes part"
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert staged == {path for path in files if not path.startswith(".git/")}


def test_an_existing_repository_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "control"
    Repo.init(folder, initial_branch="trunk").close()
    config = (folder / ".git" / "config").read_bytes()
    assert "staged" not in init(folder).out
    assert (folder / ".git" / "config").read_bytes() == config
    assert not (folder / ".git" / "index").exists()


def test_its_requests_are_valid(made: Path) -> None:
    ran = call(made, "validate", "--worktree")
    assert (ran.exit_code, ran.out) == (0, "✓ 7 requests, no findings\n")


def test_its_own_build_workflow_signs(made: Path) -> None:
    path = made / "environments/signers.yaml"
    read, _ = parse_request("environments/signers.yaml", path.read_bytes())
    assert read is not None and isinstance(read.model, Signers)
    [signer] = read.model.signers
    assert signer.builder_id == (
        "https://github.com/nova-org/control/.github/workflows/build.yaml@refs/heads/main"
    )


def test_roots_are_added_as_the_readme_says(made: Path) -> None:
    [command] = re.findall(
        r"`gh attestation trusted-root \| (.+)`", (made / "README.md").read_text()
    )
    path = made / "environments/signers.yaml"
    told = "".join(json.dumps(make_sigstore().trusted_root()) + "\n" for _ in range(2))
    subprocess.run(["sh", "-c", command], cwd=made, input=told, text=True, check=True)
    read, findings = parse_request("environments/signers.yaml", path.read_bytes())
    assert findings == () and read is not None and isinstance(read.model, Signers)
    assert len(read.model.trusted_roots) == 3


def test_its_workflows_are_ours_with_the_action_pinned_to_a_commit(made: Path) -> None:
    names = sorted(path.name for path in (made / ".github/workflows").iterdir())
    assert names == [
        *("build.yaml", "comment.yaml", "observe.yaml", "promote.yaml", "scaffold.yaml"),
        "validate.yaml",
    ]
    for path in (made / ".github/workflows").iterdir():
        own = (ROOT / ".github/workflows" / path.name).read_text()
        assert path.read_text() == own.replace("uses: ./\n", f"uses: {ACTION}\n") != own
    config = ROOT / ".github" / "actionlint.yaml"
    linted = subprocess.run(
        [ROOT / ".tools/bin/actionlint", "-no-color", "-config-file", config],
        cwd=made,
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout


def jobs_of(folder: Path) -> dict[str, dict[str, Any]]:
    """`workflow/job` → the job, of the workflows of a control repo."""
    return {
        f"{path.stem}/{name}": job
        for path in sorted((folder / ".github/workflows").iterdir())
        for name, job in yaml.load(path.read_text(), Loader=yaml.BaseLoader)["jobs"].items()
    }


def test_enterprise_server_gets_no_queues_and_nothing_that_waits_is_dropped(
    made: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "enterprise"
    assert init(folder, server="https://github.nova.example").exit_code == 0
    here, there = jobs_of(made), jobs_of(folder)
    queued = {name for name, job in here.items() if "queue" in job.get("concurrency", {})}
    assert queued == {
        *("build/push", "build/record", "observe/run", "promote/run", "scaffold/run"),
    }
    for name, job in here.items():
        if name in queued:
            del job["concurrency"]
        assert there[name] == job
    assert "none that waits is dropped" not in (folder / ".github/workflows/build.yaml").read_text()


def test_a_control_repo_belongs_to_its_server(tmp_path: Path) -> None:
    folder = tmp_path / "control"
    assert init(folder, server="https://nova.ghe.com").exit_code == 0
    with Repo(folder) as repo:
        assert repo.remotes["origin"].url == "https://nova.ghe.com/nova-org/control.git"
    read, findings = parse_request(
        "environments/signers.yaml", (folder / "environments/signers.yaml").read_bytes()
    )
    assert findings == () and read is not None and isinstance(read.model, Signers)
    assert read.model.signers[0].builder_id.startswith("https://nova.ghe.com/nova-org/control/")
    # GitHub runs this one, with all that github.com has.
    assert "queue" in jobs_of(folder)["observe/run"]["concurrency"]
    ran = init(tmp_path / "other", server="nova.ghe.com")
    assert ran.exit_code == 2 and "`nova.ghe.com` is no address of a server" in ran.err


def test_github_accepts_and_enforces_its_rulesets(made: Path, tmp_path: Path) -> None:
    platform = made / "environments/platform.yaml"
    read, _ = parse_request("environments/platform.yaml", platform.read_bytes())
    assert read is not None and isinstance(read.model, Platform)
    with GitHubServer(tmp_path / "server") as server:
        owner = server.add_organisation("nova-org")
        add_pipeline_app(server, "nova-org", 41)
        server.add_user(7, "somebody", organisation="nova-org")
        server.state.create_repository(owner, "control")
        asking = GithubClient(server.api_url, None)
        source = AppInstallation(APP_ID, app_key()[0], "nova-org", asking.ask_as_app)
        client = GithubClient(server.api_url, source)
        for path in sorted((made / ".github/rulesets").iterdir()):
            client.write("POST", "/repos/nova-org/control/rulesets", json.loads(path.read_text()))
        session = GithubSession("nova-org", server.url, client, tmp_path / "copies")
        forge = GithubForge(session)
        wanted = control_rules(read.model)
        found = list(check_rules(wanted, forge.read_rules("control")))
        assert [s.problem for s in found] == ["", ""]
        rulesets = server.repository("nova-org", "control").rulesets.values()
        kinds = {rule["type"] for ruleset in rulesets for rule in ruleset.rules}
        assert {"required_status_checks", "pull_request", "non_fast_forward"} <= kinds


def test_only_the_app_s_own_judgement_opens_the_gate(made: Path) -> None:
    ruleset = json.loads((made / ".github/rulesets/gate-main.json").read_text())
    [rule] = ruleset["rules"]
    assert rule["parameters"]["required_status_checks"] == [
        {"context": "gate"},
        {"context": "judged", "integration_id": APP_ID},
    ]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"action": "nova-org/primitive-pipeline@v1"}, "not an action at a commit"),
        ({"bot": "primitive-pipeline[bot]"}, "is not an account"),
        ({"person": "7:somebody"}, "is not an account"),
        ({"platform": "Not A Name"}, "make no platform"),
    ],
)
def test_wrong_answers_write_nothing(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    ran = init(tmp_path / "control", **changed)
    assert ran.exit_code == 2 and said in ran.err
    assert not (tmp_path / "control").exists()


def test_an_empty_team_is_reported(tmp_path: Path) -> None:
    ran = init(tmp_path / "control", person="7:somebody:platform-engineers")
    assert ran.exit_code == 1 and "release-managers" in ran.err + ran.out
    assert not (tmp_path / "control").exists()


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    ran = init(tmp_path)
    assert ran.exit_code == 2 and "is not empty" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
