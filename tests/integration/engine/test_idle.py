"""The memory of idle tenants: it skips only those known to be idle, and forgets in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.control.repo import SnapshotReading
from pipeline.documents import render_document
from pipeline.engine import idle as settled
from pipeline.engine import reader
from pipeline.engine.engine import Engine
from pipeline.engine.opening import restrict
from pipeline.git.objects import RefUpdate
from pipeline.machine.cache import cache_dir
from pipeline.models.base import moment_of
from pipeline.requests.identity import draft_example
from pipeline.requests.layout import PLATFORM_PATH, environment_path, group_path
from pipeline.world.drafts import Drafts
from tests.support.deliveries import observation
from tests.support.fact_history import ENGINEER_ID, RELEASE_MANAGERS, SECURITY_ID
from tests.support.finished_story import CODE, CONTROL, GITOPS, move, write_commit
from tests.support.samples import DRAFT, tenant_example
from tests.support.story import SOURCE, Story, everything, story_at
from worlds.control_repo import CLOCK_S


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """The tenants that planning looked at, in order; the cache is this test's own."""
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path / "cache"))
    seen: list[str] = []
    look_at = Drafts.look_at

    def noted(drafts: Drafts, tenant: str, *rest: object, **options: object) -> object:
        seen.append(tenant)
        return look_at(drafts, tenant, *rest, **options)  # type: ignore[arg-type] # as they came

    monkeypatch.setattr(Drafts, "look_at", noted)
    yield seen


def remembering(world: Story) -> Engine:
    """The world's engine as a fresh process has it, with a memory."""
    fresh = Story.open(world.root)
    return replace(fresh.engine, remembers=True)


def looked_at(world: Story, look: list[str]) -> set[str]:
    """The tenants that one more run looks at."""
    look.clear()
    engine = remembering(world)
    engine.run()
    engine.control.forge.open_repository(CONTROL).close()
    return set(look)


@pytest.fixture
def idle(tmp_path: Path, look: list[str]) -> Iterator[Story]:
    """A world in which every tenant is known to have nothing to do."""
    world = story_at("patched", tmp_path / "world")
    world.ask_for_draft("acme/invoice-matcher")
    assert "acme" in looked_at(world, look)
    assert looked_at(world, look) == set()
    yield world
    world.close()


def a_new_draft(world: Story) -> None:
    world.ask_for_draft("acme/late-arrival")


def a_new_group(world: Story) -> None:
    """It lies in no tenant's folder."""
    members = "".join(
        f"- {{draft: {draft}, release: {{source_commit: {world.newest()}}}}}\n"
        for draft in (DRAFT, "acme/invoice-matcher")
    )
    text = f"""apiVersion: pipeline.ameide.io/v1
kind: ReleaseGroup
environment: dev
reason: They belong together
members:
{members}"""
    world.request(group_path("spring"), text.encode(), ENGINEER_ID)


def a_new_patch(world: Story) -> None:
    world.write("0002", f"{SOURCE}/routing.py", "QUICK = 2\n")


def a_moved_branch(world: Story) -> None:
    git = world.forge.open_repository(CODE)
    main = git.resolve("refs/heads/main")
    assert main is not None
    git.update_refs([RefUpdate("refs/heads/of-somebody", None, main)])


def a_review(world: Story) -> None:
    world.approve(CODE, 1, ENGINEER_ID)


def a_closed_pull_request(world: Story) -> None:
    world.forge.close_pull(CODE, 1, actor=ENGINEER_ID)


def a_moved_gitops_branch(world: Story) -> None:
    git = world.forge.open_repository(GITOPS)
    main = git.resolve("refs/heads/main")
    assert main is not None
    git.update_refs([RefUpdate("refs/heads/of-somebody", None, main)])


def a_foreign_overlay(world: Story) -> None:
    git = world.forge.open_repository(GITOPS)
    main = git.resolve("refs/heads/main")
    assert main is not None
    files = {**git.read_files(main), "environments/dev/x/a.yaml": (0o100644, b"{}\n")}
    move(git, "main", write_commit(git, files, main, "Tidy up\n"))


def a_state_branch_set_back(world: Story) -> None:
    git = world.forge.open_repository(CONTROL)
    head = git.resolve("refs/heads/state/acme")
    assert head is not None
    before = git.read_commit(head).parents[0]
    git.update_refs([RefUpdate("refs/heads/state/acme", head, before)])


def test_a_new_release_group_is_looked_at(idle: Story, look: list[str]) -> None:
    """Its members may be of any tenant, so all are."""
    a_new_group(idle)
    assert looked_at(idle, look) == {"acme", "contoso", "fabrikam", "platform"}
    assert idle.kinds()[-1] == "promotion-refused"  # the other member has no such source
    assert looked_at(idle, look) == set()


@pytest.mark.parametrize(
    "change",
    [
        a_new_draft,
        a_new_patch,
        a_moved_branch,
        a_moved_gitops_branch,
        a_foreign_overlay,
        a_review,
        a_closed_pull_request,
        a_state_branch_set_back,
    ],
)
def test_any_change_of_a_tenant_is_looked_at(
    idle: Story, look: list[str], change: Callable[[Story], None]
) -> None:
    change(idle)
    assert looked_at(idle, look) == {"acme"}
    assert looked_at(idle, look) == set()


def test_a_change_of_policy_or_of_tenants_concerns_every_tenant(
    idle: Story, look: list[str]
) -> None:
    everybody = set(idle.engine.snapshot().tenant_ids)
    git = idle.forge.open_repository(CONTROL)
    dev = git.read_object(f"refs/heads/main:{environment_path('dev')}")
    assert dev is not None
    idle.change_policy(environment_path("dev"), dev.content + b"# Looked over.\n")
    assert looked_at(idle, look) == everybody
    assert looked_at(idle, look) == set()
    idle.change_policy("tenants/newco/tenant.yaml", tenant_example("newco").encode())
    assert looked_at(idle, look) == {*everybody, "newco"}


def test_another_version_of_the_tool_looks_at_every_tenant(
    idle: Story, look: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settled, "tool_identity", lambda: "another version")
    assert "acme" in looked_at(idle, look)


def test_a_promotion_that_waits_for_approval_is_never_remembered(
    tmp_path: Path, look: list[str]
) -> None:
    world = story_at("in staging", tmp_path / "world")
    number = world.ask(DRAFT, "prod", RELEASE_MANAGERS[0])
    for _ in range(3):
        assert "acme" in looked_at(world, look)
    world.approve(CONTROL, number, SECURITY_ID)
    remembering(world).run()
    assert world.engine.status(DRAFT).promotion("prod") is not None
    world.close()


def test_an_open_proposal_and_foreign_content_are_never_remembered(
    idle: Story, look: list[str]
) -> None:
    a_moved_gitops_branch(idle)
    pull = idle.forge.open_pull(
        GITOPS,
        head_branch="of-somebody",
        base_branch="main",
        title="Tidy",
        body="",
        actor=ENGINEER_ID,
    )
    for _ in range(3):
        assert looked_at(idle, look) == {"acme"}
    idle.forge.close_pull(GITOPS, pull.number, actor=ENGINEER_ID)
    assert looked_at(idle, look) == {"acme"}
    assert looked_at(idle, look) == set()
    platform = idle.engine.snapshot().platform
    assert platform is not None
    report = platform.model_copy(update={"gitops_drift": "report"})
    content = render_document(report.model_dump(mode="json", by_alias=True, exclude_none=True))
    idle.request(PLATFORM_PATH, content, 1102, asker=1101)
    looked_at(idle, look)
    assert looked_at(idle, look) == set()
    a_foreign_overlay(idle)
    for _ in range(3):
        assert looked_at(idle, look) == {"acme"}


def test_a_run_that_may_not_promote_settles_nothing_for_one_that_may(
    idle: Story, look: list[str]
) -> None:
    a_foreign_overlay(idle)
    look.clear()
    restrict(remembering(idle), ["scaffold"], None).run()
    assert look == ["acme", "contoso", "fabrikam", "platform"], "it knows nothing yet"
    assert "environments" in {
        e.name for e in idle.forge.open_repository(GITOPS).read_tree("refs/heads/main") or ()
    }
    assert looked_at(idle, look) == {"acme"}


def test_a_finding_is_never_remembered(idle: Story, look: list[str]) -> None:
    wrong = draft_example(id="acme/wrong", primitive="wrong").replace("order, route", "")
    idle.request("tenants/acme/drafts/wrong/draft.yaml", wrong.encode(), ENGINEER_ID)
    for _ in range(2):
        report = remembering(idle).run()
        assert {f.location.file for f in report.findings} == {
            "tenants/acme/drafts/wrong/draft.yaml"
        }


def test_a_run_without_a_cache_does_the_same(idle: Story, look: list[str]) -> None:
    before = everything(idle.root)
    for entry in sorted(cache_dir().rglob("*")):
        if entry.is_file():
            entry.write_bytes(b"damaged")
    assert "acme" in looked_at(idle, look)
    assert looked_at(idle, look) == set()
    assert everything(idle.root) == before


def test_only_tenants_that_are_not_settled_are_read(
    idle: Story, look: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_new_draft(idle)
    engine = remembering(idle)
    real, seen = reader.read_snapshot, set()

    def noted(*rest: Any, **options: Any) -> SnapshotReading:
        read = real(*rest, **options)
        seen.update(r.path.split("/")[1] for r in read.reads if r.path.startswith("tenants/"))
        return read

    with monkeypatch.context() as patch:
        patch.setattr(reader, "read_snapshot", noted)
        engine.run()
    assert seen == {"acme"}
    assert engine.status("acme/late-arrival").branch_name


def test_what_time_alone_may_change_is_looked_at_again_then(
    idle: Story, look: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    until = moment_of(CLOCK_S + 60)
    note = settled.Memory.note_nothing_due

    def noted(memory: settled.Memory, before: settled.Before, asked: Any, _: object) -> None:
        note(memory, before, asked, until)

    with monkeypatch.context() as patch:
        patch.setattr(settled.Memory, "note_nothing_due", noted)
        a_review(idle)
        assert looked_at(idle, look) == {"acme"}
    expected: set[str] = set()
    for now_s in (CLOCK_S + 59, CLOCK_S + 60):
        look.clear()
        remembering(idle).using(clock=partial(int, now_s)).run()
        assert set(look) == expected
        expected = {"acme"}
    assert looked_at(idle, look) == set(), "remembered without an end again"


def test_observations_are_always_looked_at(idle: Story, look: list[str]) -> None:
    look.clear()
    remembering(idle).run(observations=(), tenants=["acme"])
    assert look == []
    observed = Story.open(idle.root).engine.status(DRAFT)
    assert observed.promotions == ()
    remembering(idle).run(observations=(observation("dev"),), tenants=["acme"])
    assert look[:1] == ["acme"]
