"""A draft that fails, or changes during a run, does not hold up the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.engine import loop as engine
from pipeline.errors import CouldNotCheck, StalePlan, UsageFault
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.port import RepoSpec, RepoView
from pipeline.git.objects import Signature, commit_object, objects_of_files
from pipeline.models.evidence import CheckReport
from pipeline.plan.effects import Effect, RunChecks
from pipeline.requests.identity import draft_example
from pipeline.requests.layout import draft_path, promotion_path, tenant_path
from tests.support.fact_history import ENGINEER_ID
from tests.support.finished_story import CODE, CONTROL, all_checks_pass, audit
from tests.support.samples import DRAFT, sample_files
from tests.support.story import Story, story_at
from tests.support.sweep import Crash, fault_at

OTHER = "acme/invoice-matcher"


def test_an_invalid_draft_is_skipped_and_others_go_on(scaffolded: Story) -> None:
    scaffolded.ask_for_draft(OTHER, draft_example(id=OTHER, primitive="some-other-name"))
    scaffolded.ask_for_draft("acme/price-list")
    report = scaffolded.engine.run(tenants=["acme"])
    assert {f.location.file for f in report.findings} == {draft_path(OTHER)}
    assert [s.id for s in scaffolded.engine.statuses()] == [DRAFT, "acme/price-list"]
    assert scaffolded.engine.plan(tenants=["acme"]).is_empty
    with pytest.raises(UsageFault, match="nothing has happened"):
        scaffolded.engine.status(OTHER)


def test_many_drafts_in_several_plans_end_the_same(
    scaffolded: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MAX_DRAFTS_AT_ONCE", 1)
    more = ("acme/a-first", OTHER, "acme/price-list", "acme/z-last")
    for draft in more:
        scaffolded.ask_for_draft(draft)
    scaffolded.go()
    assert {s.id for s in scaffolded.engine.statuses()} == {DRAFT, *more}
    assert all(s.branch_name for s in scaffolded.engine.statuses())
    # Those that only wait keep none behind them from going on, and all are told.
    for environment in ("dev", "staging"):
        for draft in ("acme/a-first", OTHER):
            scaffolded.ask(draft, environment, ENGINEER_ID)
        scaffolded.go()
    scaffolded.ask("acme/z-last", "dev", ENGINEER_ID)
    report = scaffolded.engine.run(tenants=["acme"])
    assert {waiting.draft for waiting in report.waiting["acme"]} == {"acme/a-first", OTHER}
    assert scaffolded.kinds("acme/z-last")[-1] == "promoted"
    again = scaffolded.engine.run(tenants=["acme"])
    assert (again.effects, again.waiting) == (0, report.waiting)


def test_others_go_on_when_a_tool_fails_for_one_draft(scaffolded: Story) -> None:
    def checks(effect: RunChecks, files: dict[str, tuple[int, bytes]]) -> CheckReport:
        if effect.draft == DRAFT:
            raise CouldNotCheck("the sandbox does not start")
        return all_checks_pass(effect, files)

    scaffolded.ask_for_draft(OTHER)
    scaffolded.go()
    scaffolded.use(run_checks=checks)
    for draft in (DRAFT, OTHER):
        scaffolded.ask(draft, "dev", ENGINEER_ID)
    before = scaffolded.kinds()
    report = scaffolded.engine.run(tenants=["acme"])
    assert report.failures == ((DRAFT, "could-not-check", "the sandbox does not start"),)
    assert scaffolded.kinds() == before  # not known is not recorded as anything
    assert scaffolded.kinds(OTHER)[-1] == "promoted"

    scaffolded.use(run_checks=all_checks_pass)
    scaffolded.go()
    assert scaffolded.kinds()[-1] == "promoted"


def test_a_repository_made_by_hand_stops_every_draft_that_needs_it(root: Path) -> None:
    world = Story.begin(root)
    signature = Signature("somebody", "somebody@example.com", 0)
    objects = objects_of_files({"README.md": (0o100644, b"Mine\n")})
    commit = commit_object(objects[-1].id, [], "Mine\n", signature, signature)
    spec = RepoSpec("Mine", "main", (*objects, commit), commit.id, ())
    world.forge.ensure_repo(CODE, spec)
    for draft in (DRAFT, OTHER):
        world.ask_for_draft(draft)
    report = world.engine.run(tenants=["acme"])
    assert {draft for draft, _, _ in report.failures} == {DRAFT, OTHER}
    assert {code for _, code, _ in report.failures} == {"forge-refused"}
    # Nothing says that a repository was provided that the pipeline did not make.
    assert all("provisioned" not in world.kinds(s.id) for s in world.engine.statuses())
    view = world.forge.read_repo(CODE)
    assert view is not None and view.branches == {"main": commit.id}
    world.close()


def test_two_drafts_of_a_tenant_share_their_repositories(root: Path) -> None:
    world = Story.begin(root)
    for draft in (DRAFT, OTHER):
        world.ask_for_draft(draft)
    first = world.engine.plan(tenants=["acme"])
    assert [e.kind for e in first.effects] == ["ensure-repo", "ensure-repo", "append-facts"]
    world.go()
    assert world.kinds() == world.kinds(OTHER) == ["accepted", "provisioned", "scaffolded"]
    assert len(world.forge.read_pulls(CODE)) == 2
    world.close()


# -- while others write --------------------------------------------------------------------


def test_a_run_on_an_old_main_does_not_undo_a_newer_run(
    scaffolded: Story, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading main and reading the state branch, a newer revision comes and lands."""
    real, calls = LocalForge.read_repo, [0]

    def read_repo(self: LocalForge, repo: str) -> RepoView | None:
        view = real(self, repo)
        calls[0] += self is slow.forge
        if self is slow.forge and calls[0] == 2:  # the first look is for the list of tenants
            assert view is not None
            content = draft_example(description="Words of the second revision").encode()
            scaffolded.request(draft_path(DRAFT), content, ENGINEER_ID)
            other = Story.open(root)
            other.go()
            other.close()
            now = real(self, repo)
            assert now is not None
            # As refs are listed: main is read first, state branches a moment later.
            branches = {**now.branches, "main": view.branches["main"]}
            return replace(view, branches=branches)
        return view

    slow = Story.open(root)
    monkeypatch.setattr(LocalForge, "read_repo", read_repo)
    slow.go()
    slow.close()
    assert scaffolded.kinds() == ["accepted", "provisioned", "scaffolded", "accepted"]


def test_a_draft_that_never_settles_fails_alone(
    scaffolded: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plan is the same every time and is stale every time: that is told, not passed over."""
    scaffolded.write("0001", "docs/one.md", "1\n")
    scaffolded.ask_for_draft(OTHER)

    def moved(when: str, effect: Effect) -> None:
        if getattr(effect, "draft", "") == DRAFT:
            raise StalePlan("a ref moved")

    monkeypatch.setattr("pipeline.engine.loop.MAX_STALE", 3)
    scaffolded.use(faults=moved)
    report = scaffolded.engine.run(tenants=["acme"])
    assert report.failures == ((DRAFT, "stale-plan", "a ref moved"),)
    assert scaffolded.engine.status(OTHER).branch_name
    assert scaffolded.kinds()[3:] == []


def test_a_state_branch_that_keeps_moving_fails_its_tenant(
    scaffolded: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaffolded.write("0001", "docs/one.md", "1\n")

    def moved(when: str, effect: Effect) -> None:
        if effect.kind == "append-facts":
            raise StalePlan("a ref moved")

    monkeypatch.setattr("pipeline.engine.loop.MAX_STALE", 3)
    scaffolded.use(faults=moved)
    report = scaffolded.engine.run(tenants=["acme", "contoso"])
    assert set(report.failures) == {
        ("acme", "stale-plan", "a ref moved"),
    }


def test_a_plan_that_never_empties_is_reported_as_a_bug(
    scaffolded: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaffolded.write("0001", "docs/one.md", "1\n")
    scaffolded.write("0002", "docs/two.md", "2\n")
    monkeypatch.setattr("pipeline.engine.loop.MAX_ROUNDS", 2)
    [(tenant, code, message)] = scaffolded.engine.run(tenants=["acme"]).failures
    assert (tenant, code) == ("acme", "internal-error") and "more to do" in message
    assert scaffolded.kinds()[3:] == ["patch-applied", "patch-applied"]  # and no checks yet


def crash_at(world: Story, number: int) -> None:
    """Run for acme and stop after the n-th effect."""
    hook, _ = fault_at(number, "after")
    world.use(faults=hook)
    with pytest.raises(Crash):
        world.engine.run(tenants=["acme"])
    world.close()


def test_a_patch_pushed_before_a_crash_and_then_merged_is_applied_once(
    scaffolded: Story, root: Path
) -> None:
    scaffolded.write("0001", "docs/one.md", "1\n")
    crash_at(scaffolded, 1)  # the commit is on the branch, and no fact says so
    scaffolded.take_over()
    again = Story.open(root)
    again.go()
    status = again.engine.status(DRAFT)
    assert [(p.patch, p.outcome) for p in status.patches] == [("0001", "applied")]
    assert len(again.forge.read_pulls(CODE)) == 1
    assert status.head == again.forge.read_pull(CODE, 1).head
    assert again.engine.plan(tenants=["acme"]).is_empty
    again.close()


def test_a_follow_up_patch_keeps_its_branch_when_main_moves_after_a_crash(root: Path) -> None:
    world = story_at("in staging", root)
    world.ask_for_draft(OTHER)
    world.go()
    world.write("0002", "docs/two.md", "2\n")
    crash_at(world, 1)  # the follow-up's branch is there, and has no pull request yet
    world = Story.open(root)
    world.take_over(2)  # the other draft's code: main moves
    world.go()
    branches = world.forge.read_repo(CODE)
    assert branches is not None
    own = [b for b in branches.branches if b.startswith("draft/order-router/")]
    assert len(own) == 2 and len(world.forge.read_pulls(CODE)) == 3
    status = world.engine.status(DRAFT)
    assert status.patches[-1].outcome == "applied"
    git = world.forge.open_repository(CODE)
    tree = git.read_object(f"{status.head}:primitives/order-router")
    assert tree is not None and tree.id == status.head_tree
    assert audit(world).findings == ()
    world.close()


def test_a_scaffold_pushed_before_a_crash_survives_a_change_of_policy(root: Path) -> None:
    world = Story.begin(root)
    world.ask_for_draft()
    # Provision lands, and then the scaffold is pushed without its fact.
    hook, _ = fault_at(4, "after")
    world.use(faults=hook)
    with pytest.raises(Crash):
        world.engine.run(tenants=["acme"])
    assert world.kinds() == ["accepted", "provisioned"]
    path = tenant_path("acme")
    changed = sample_files()[path].replace(b"CC-1042", b"CC-2001")
    assert changed != sample_files()[path]
    world.request(path, changed, 1101, asker=1102)
    world.close()
    world = Story.open(root)
    world.go()
    view = world.forge.read_repo(CODE)
    assert view is not None
    assert len([b for b in view.branches if b.startswith("draft/")]) == 1
    assert world.kinds() == ["accepted", "provisioned", "scaffolded"]
    status = world.engine.status(DRAFT)
    tree = world.forge.open_repository(CODE).read_object(f"{status.head}:primitives/order-router")
    assert tree is not None and tree.id == status.head_tree
    assert audit(world).findings == ()
    world.close()


def test_a_promotion_withdrawn_from_main_is_not_carried_out(patched: Story) -> None:
    """What counts is main now, not what once stood there."""
    patched.ask(DRAFT, "dev", ENGINEER_ID)
    value = draft_example().encode()
    git = patched.forge.open_repository(CONTROL)
    main = git.resolve("refs/heads/main")
    assert main is not None
    assert promotion_path(DRAFT, "dev") in git.list_files(main)
    patched.request(promotion_path(DRAFT, "dev"), value, ENGINEER_ID)  # no promotion any more
    report = patched.engine.run(tenants=["acme"])
    assert [f.code for f in report.findings] == ["request-kind"]
    assert "promoted" not in patched.kinds()
