"""What still runs or is missing although main forbids it by now: blocked digests, deleted files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.documents import render_document
from pipeline.render.plan import RunSpan, render_run_report, run_report_document
from pipeline.requests.layout import BLOCKED_PATH, draft_path, tenant_path
from tests.support.command_line import call
from tests.support.fact_history import ENGINEER_ID
from tests.support.finished_story import CODE, CONTROL, audit
from tests.support.samples import DRAFT, findings_of
from tests.support.story import Story, story_at

PLATFORM_ENGINEER = 1101


def at(stage: str, tmp_path: Path) -> Story:
    world = story_at(stage, tmp_path / "world")
    origin = ["remote", "set-url", "origin", str(world.forge.path(CONTROL))]
    subprocess.run(["git", "-C", str(world.engine.control.directory), *origin], check=True)
    return world


def bring(world: Story, changes: dict[str, bytes | None]) -> int:
    """Merge a pull request of a platform engineer that changes these files of main."""
    number = world.propose(changes, PLATFORM_ENGINEER)
    world.approve(CONTROL, number, ENGINEER_ID)
    world.merge(CONTROL, number, ENGINEER_ID)
    return number


def block(digest: str) -> dict[str, bytes | None]:
    value = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "BlockedDigests",
        "digests": [{"digest": digest, "reason": "It leaks orders"}],
    }
    return {BLOCKED_PATH: render_document(value)}


def test_blocking_a_running_digest_is_valid_and_then_reported(tmp_path: Path) -> None:
    world = at("in staging", tmp_path)
    digest = world.engine.status(DRAFT).promotions[0].release.digest
    directory = world.engine.control.directory
    assert call(directory, "status").exit_code == 0
    changes = block(digest)
    content = changes[BLOCKED_PATH]
    assert content is not None and findings_of(BLOCKED_PATH, content) == ()
    number = world.propose(changes, PLATFORM_ENGINEER)
    assert world.engine.judge.pull(number).findings == ()
    world.approve(CONTROL, number, ENGINEER_ID)
    world.merge(CONTROL, number, ENGINEER_ID)
    told = f"dev, staging runs {digest} of `{DRAFT}`, which is blocked: It leaks orders"
    for arguments in (("status",), ("status", DRAFT)):
        ran = call(directory, *arguments)
        assert ran.exit_code == 1 and "error[blocked-digest-runs]" in ran.out
        assert told in " ".join(ran.out.split())
        said = f"promote a release built from other source, from `pipeline promote request {DRAFT}"
        assert said in " ".join(ran.out.split())
    document = call(directory, "status", "--format", "json").document
    found = document["findings"]
    assert isinstance(found, list) and [f["code"] for f in found] == ["blocked-digest-runs"]
    assert "audit-digest-blocked" in {f.code for f in audit(world).findings}


def test_a_blocked_digest_that_runs_nowhere_has_no_finding(tmp_path: Path) -> None:
    world = at("in dev", tmp_path)
    bring(world, block("sha256:" + "9" * 64))
    assert call(world.engine.control.directory, "status").exit_code == 0
    assert audit(world).findings == ()


@pytest.mark.parametrize(
    ("stage", "what"), [("in dev", "runs in dev"), ("patched", "has its branch and pull request")]
)
def test_a_deleted_draft_is_reported(stage: str, what: str, tmp_path: Path) -> None:
    world = at(stage, tmp_path)
    git = world.engine.control.open_repository()
    folder = f"tenants/{DRAFT.replace('/', '/drafts/')}"
    below = git.list_files(world.engine.control.head(), folder)
    changes: dict[str, bytes | None] = dict.fromkeys(f"{folder}/{path}" for path in below)
    number = world.propose(changes, PLATFORM_ENGINEER)
    judged = world.engine.judge.pull(number)
    assert not judged.passed
    assert [(f.code, f.location.file) for f in judged.findings] == [
        ("draft-file-deleted", draft_path(DRAFT))
    ]
    world.approve(CONTROL, number, ENGINEER_ID)
    world.merge(CONTROL, number, ENGINEER_ID)
    for _ in range(2):  # a second look is not a quieter
        report = world.engine.run(tenants=["acme"])
        assert [f.code for f in report.standing["acme"]] == ["draft-file-deleted"]
    document = run_report_document(
        [],
        [],
        [],
        span=RunSpan(report.began_s, report.ended_s, 1),
        invalid_requests=0,
        problems=report.standing["acme"],
    )
    text = render_run_report(document)
    assert f"draft-file-deleted {draft_path(DRAFT)}: `{DRAFT}` {what}" in text
    assert "help: restore the file (`git revert`)" in text
    directory = world.engine.control.directory
    for _ in range(2):  # nor is one that remembers which tenants have nothing to do
        assert "draft-file-deleted" in call(directory, "run", "--tenant", "acme").out
    ran = call(directory, "status", DRAFT)
    assert ran.exit_code == 1 and "error[draft-file-deleted]" in ran.out
    assert "draft-file-deleted" in {f.code for f in audit(world).findings}
    subprocess.run(["git", "-C", str(directory), "pull", "-q"], check=True)
    ran = call(directory, "validate")
    assert ran.exit_code == 1 and "error[draft-file-deleted]" in ran.out


def test_a_rejected_draft_may_lose_its_file(tmp_path: Path) -> None:
    world = at("scaffolded", tmp_path)
    world.forge.close_pull(CODE, 1, actor=ENGINEER_ID)
    world.go()
    number = world.propose({draft_path(DRAFT): None}, PLATFORM_ENGINEER)
    assert world.engine.judge.pull(number).findings == ()
    world.approve(CONTROL, number, ENGINEER_ID)
    world.merge(CONTROL, number, ENGINEER_ID)
    assert world.engine.run(tenants=["acme"]).standing["acme"] == ()
    assert call(world.engine.control.directory, "status", DRAFT).exit_code == 0


def test_a_deleted_tenant_is_reported(tmp_path: Path) -> None:
    world = at("in dev", tmp_path)
    git = world.engine.control.open_repository()
    below = git.list_files(world.engine.control.head(), "tenants/acme")
    changes: dict[str, bytes | None] = dict.fromkeys(f"tenants/acme/{path}" for path in below)
    judged = world.engine.judge.pull(world.propose(changes, PLATFORM_ENGINEER))
    codes = {f.code: f.location.file for f in judged.findings}
    assert codes["tenant-file-deleted"] == tenant_path("acme") and "draft-file-deleted" in codes
    bring(world, changes)
    for _ in range(2):
        report = world.engine.run()
        found = [f.code for f in report.standing["acme"]]
        assert sorted(found) == ["draft-file-deleted", "tenant-file-deleted"]
    ran = call(world.engine.control.directory, "status")
    assert ran.exit_code == 1 and "error[tenant-file-deleted]" in ran.out
