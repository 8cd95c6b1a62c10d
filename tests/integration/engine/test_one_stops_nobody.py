"""A draft, repository or tenant that cannot be read is reported and stops no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import ForgeRefused
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.port import RepoView
from pipeline.git.repository import GitRepository
from pipeline.models.evidence import CheckReport
from pipeline.plan.effects import RunChecks
from pipeline.plan.view import DraftView, Scope, Step
from pipeline.requests.identity import draft_example
from pipeline.requests.layout import draft_path
from pipeline.stages import order as stage
from tests.support.command_line import call
from tests.support.finished_story import (
    CODE,
    CONTROL,
    GITOPS,
    all_checks_pass,
    move,
    write_commit,
)
from tests.support.samples import DRAFT, tenant_example
from tests.support.story import Story, story_at
from tests.support.sweep import PLATFORM_ENGINEER_ID

OTHER = "acme/invoice-matcher"
NEWCO = "newco/price-list"
APPROVER_ID = 1102  # another of the platform's engineers


def code_gone(world: Story) -> None:
    shutil.rmtree(world.forge.path(CODE))


def gitops_gone(world: Story) -> None:
    shutil.rmtree(world.forge.path(GITOPS))


def code_is_a_link(world: Story) -> None:
    path = world.forge.path(CODE)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def code_is_damaged(world: Story) -> None:
    world.forge.close()
    for folder in ("objects/pack", "objects/info"):
        shutil.rmtree(world.forge.path(CODE) / folder)
    for loose in sorted((world.forge.path(CODE) / "objects").rglob("*")):
        if loose.is_file():
            loose.chmod(0o644)
            loose.write_bytes(b"damaged")


def state_is_damaged(world: Story) -> None:
    git = world.forge.open_repository(CONTROL)
    head = git.resolve("refs/heads/state/acme")
    assert head is not None
    path = f"drafts/{DRAFT.split('/')[1]}/status.yaml"
    files = {**git.read_files(head), path: (0o100644, b"state: [damaged\n")}
    move(git, "state/acme", write_commit(git, files, head, "Damage\n"))


def forge_refuses(world: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    read = LocalForge.read_repo

    def refusing(forge: LocalForge, repo: str) -> RepoView | None:
        if repo in (CODE, GITOPS):
            raise ForgeRefused(f"`{repo}` may not be read")
        return read(forge, repo)

    monkeypatch.setattr(LocalForge, "read_repo", refusing)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Story]:
    """acme's draft is to be patched and runs in dev; a tenant that is planned later has begun."""
    found = story_at("in dev", tmp_path / "world")
    found.write("0002", "docs/two.md", "2\n")
    path, content = "tenants/newco/tenant.yaml", tenant_example("newco").encode()
    found.request(path, content, APPROVER_ID, asker=PLATFORM_ENGINEER_ID)
    ask_for(found, NEWCO)
    yield found
    found.close()


def ask_for(world: Story, draft: str) -> None:
    """Bring a request of a person for a draft of any tenant."""
    tenant, primitive = draft.split("/")
    content = draft_example(id=draft, primitive=primitive)
    content = content.replace("acme-engineers", "platform-engineers").replace("acme", tenant)
    world.request(draft_path(draft), content.encode(), APPROVER_ID, asker=PLATFORM_ENGINEER_ID)


@pytest.mark.parametrize(
    "breaking", [code_gone, gitops_gone, code_is_a_link, code_is_damaged, state_is_damaged]
)
def test_a_broken_tenant_stops_no_other(world: Story, breaking: Callable[[Story], None]) -> None:
    breaking(world)
    report = world.engine.run()
    assert world.engine.status(NEWCO).branch_name
    if breaking is not gitops_gone:  # which nothing of the patch rests on
        assert {subject.split("/")[0] for subject, _, _ in report.failures} == {"acme"}


def test_a_forge_that_refuses_one_tenant_s_repositories_stops_no_other(
    world: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge_refuses(world, monkeypatch)
    report = world.engine.run()
    assert world.engine.status(NEWCO).branch_name
    assert {code for _, code, _ in report.failures} == {"forge-refused"}
    plan = world.engine.plan()
    assert {t.tenant for t in plan.tenants if t.failures} == {"acme"}
    assert {t.tenant for t in world.engine.plan_due().tenants if t.failures} == {"acme"}


def test_a_damaged_status_is_never_taken_for_a_new_draft(world: Story) -> None:
    state_is_damaged(world)
    before = world.forge.open_repository(CONTROL).resolve("refs/heads/state/acme")
    world.ask_for_draft(OTHER)
    report = world.engine.run()
    assert [(s, c) for s, c, _ in report.failures] == [(DRAFT, "could-not-check")]
    git = world.forge.open_repository(CONTROL)
    after = git.resolve("refs/heads/state/acme")
    assert before is not None and after is not None and after != before
    facts = f"drafts/{DRAFT.split('/')[1]}/facts"
    assert git.list_files(after, facts) == git.list_files(before, facts)
    assert world.engine.status(OTHER).branch_name


def test_an_error_in_planning_a_draft_fails_that_draft_alone(
    world: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_draft = stage.plan_draft

    def mistaken(view: DraftView, scope: Scope) -> Step:
        if view.id == DRAFT:
            raise KeyError("a mistake")
        return plan_draft(view, scope)

    monkeypatch.setattr(stage, "plan_draft", mistaken)
    world.ask_for_draft(OTHER)
    [(subject, code, message)] = world.engine.run().failures
    assert (subject, code) == (DRAFT, "internal-error") and "KeyError: 'a mistake'" in message
    assert world.engine.status(OTHER).branch_name and world.engine.status(NEWCO).branch_name


def test_an_unforeseen_error_of_a_tool_fails_its_draft_alone(world: Story) -> None:
    def too_long(effect: RunChecks, files: object) -> CheckReport:
        if effect.draft == DRAFT:
            raise OSError(36, "File name too long")
        return all_checks_pass(effect, {})

    world.use(run_checks=too_long)
    [(subject, code, message)] = world.engine.run().failures
    assert (subject, code) == (DRAFT, "internal-error") and "File name too long" in message
    assert world.engine.status(NEWCO).branch_name


def test_commands_report_what_could_not_be_read(
    world: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge_refuses(world, monkeypatch)
    control = GitRepository.clone(str(world.forge.path(CONTROL)), world.root / "clone").path
    planned = call(control, "plan")
    assert planned.exit_code == 4 and "failed acme/" in planned.out
    assert "newco" in planned.out, "the others are planned"
    due = call(control, "due")
    assert due.exit_code == 4 and "forge-refused" in due.err
    jobs = call(control, "due", "--matrix", "tenants")
    assert jobs.exit_code == 0, "the jobs of the others start; the one of acme fails"
    assert '"acme"' in jobs.out and '"newco"' in jobs.out
    alone = call(control, "due", "--matrix", "tenants", "--tenant", "acme")
    assert alone.exit_code == 4, "there is no other job that would be kept from starting"
    shown = call(control, "run", "--dry-run")
    assert shown.exit_code == 4
