"""Many drafts in one run: shared work, failures that stay with their draft, and when a run ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pipeline.apply import effects as apply
from pipeline.engine import loop as engine
from pipeline.errors import ForgeRefused
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.port import BranchRule, PullAsk, PullRequest, RepoSpec
from pipeline.git.objects import GitObject, RefUpdate
from pipeline.plan.effects import CommitFolder, TenantPlan
from tests.support.fact_history import ENGINEER_ID
from tests.support.finished_story import CODE
from tests.support.samples import DRAFT
from tests.support.story import Story, story_at
from tests.support.sweep import fingerprint

MORE = ("acme/a-first", "acme/invoice-matcher", "acme/price-list", "acme/z-last")


@pytest.fixture
def scaffolded(tmp_path: Path) -> Iterator[Story]:
    world = story_at("scaffolded", tmp_path / "world")
    yield world
    world.close()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What was asked of the forge of the repository of code: which call, and for how many."""
    seen: list[tuple[str, int]] = []
    push, open_pulls = LocalForge.push, LocalForge.open_pulls

    def noted_push(
        self: LocalForge, repo: str, objects: Sequence[GitObject], updates: tuple[RefUpdate, ...],
        *, actor: int,
    ) -> None:  # fmt: skip
        if repo == CODE:
            seen.append(("push", len(updates)))
        push(self, repo, objects, updates, actor=actor)

    def noted_open(
        self: LocalForge, repo: str, asked: Sequence[PullAsk], *, actor: int
    ) -> tuple[PullRequest, ...]:
        if repo == CODE:
            seen.append(("open", len(asked)))
        return open_pulls(self, repo, asked, actor=actor)

    monkeypatch.setattr(LocalForge, "push", noted_push)
    monkeypatch.setattr(LocalForge, "open_pulls", noted_open)
    return seen


def ask_for_more(world: Story) -> None:
    for draft in MORE:
        world.ask_for_draft(draft)


def branches(world: Story, draft: str) -> list[str]:
    view = world.forge.read_repo(CODE)
    assert view is not None
    return [name for name in view.branches if f"/{draft.split('/')[1]}/" in name]


def test_drafts_of_one_repository_are_pushed_and_opened_together(
    scaffolded: Story, calls: list[tuple[str, int]]
) -> None:
    ask_for_more(scaffolded)
    scaffolded.go()
    assert calls == [("push", len(MORE)), ("open", len(MORE))]
    pulls = {p.head_branch: p.number for p in scaffolded.forge.read_pulls(CODE)}
    numbers = [pulls[scaffolded.engine.status(draft).branch_name] for draft in MORE]
    assert numbers == sorted(numbers)


def test_a_push_holds_a_bounded_number_of_drafts(
    scaffolded: Story, calls: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "_AT_ONCE", 3)
    ask_for_more(scaffolded)
    scaffolded.go()
    assert calls == [("push", 3), ("push", 1), ("open", 3), ("open", 1)]


def test_the_size_of_a_batch_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []
    for count in (1, 25):
        monkeypatch.setattr(apply, "_AT_ONCE", count)
        world = story_at("scaffolded", tmp_path / f"world-{count}")
        ask_for_more(world)
        world.go()
        world.close()
        ends.append(fingerprint(world.root))
    assert ends[0] == ends[1]


def test_only_the_branch_that_may_not_be_pushed_fails(scaffolded: Story) -> None:
    view = scaffolded.forge.read_repo(CODE)
    assert view is not None and view.head is not None
    closed = BranchRule("draft/price-list/*", push=())
    spec = RepoSpec("Primitives", "main", (), view.head, (closed,))

    def close_one(line: str) -> None:
        if line.startswith("write "):
            scaffolded.forge.ensure_repo(CODE, spec)

    ask_for_more(scaffolded)
    report = scaffolded.engine.run(tenants=["acme"], progress=close_one)
    assert [(draft, code) for draft, code, _ in report.failures] == [
        ("acme/price-list", "forge-refused")
    ]
    assert branches(scaffolded, "acme/price-list") == []
    assert scaffolded.kinds("acme/price-list") == ["accepted", "provisioned"]
    for draft in set(MORE) - {"acme/price-list"}:
        assert scaffolded.kinds(draft)[-1] == "scaffolded"


def test_only_the_pull_request_that_is_refused_fails(
    scaffolded: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_pulls = LocalForge.open_pulls

    def refuse_one(
        self: LocalForge, repo: str, asked: Sequence[PullAsk], *, actor: int
    ) -> tuple[PullRequest, ...]:
        if any("/price-list/" in ask.head_branch for ask in asked):
            raise ForgeRefused("no pull requests of price-list")
        return open_pulls(self, repo, asked, actor=actor)

    ask_for_more(scaffolded)
    with monkeypatch.context() as patch:
        patch.setattr(LocalForge, "open_pulls", refuse_one)
        report = scaffolded.engine.run(tenants=["acme"])
    assert [draft for draft, _, _ in report.failures] == ["acme/price-list"]
    for draft in set(MORE) - {"acme/price-list"}:
        assert scaffolded.kinds(draft)[-1] == "scaffolded"
    scaffolded.go()
    assert scaffolded.kinds("acme/price-list")[-1] == "scaffolded"
    assert len(branches(scaffolded, "acme/price-list")) == 1


def test_effects_are_ordered_by_kind_and_shared_content_is_held_once(
    scaffolded: Story,
) -> None:
    ask_for_more(scaffolded)
    plans: list[TenantPlan] = []
    real = engine.apply_tenant_plan

    def keep(plan: TenantPlan, *rest: object) -> object:
        plans.append(plan)
        return real(plan, *rest)  # type: ignore[arg-type] # passed on as they came

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "apply_tenant_plan", keep)
        scaffolded.go()
    kinds = [[e.kind for e in plan.effects] for plan in plans]
    count = len(MORE)
    assert [*["commit-folder"] * count, *["open-pull"] * count, "append-facts"] in kinds
    commits = [e for plan in plans for e in plan.effects if isinstance(e, CommitFolder)]
    assert {e.draft for e in commits} == set(MORE)
    first, *others = commits
    common = set(first.blobs).intersection(*(other.blobs for other in others))
    assert common
    for id in common:
        assert all(other.blobs[id] is first.blobs[id] for other in others)


def test_work_that_becomes_due_during_a_run_is_done_in_it(
    scaffolded: Story,
) -> None:
    """A run ends when a look at all drafts finds nothing, not when its own are through."""
    ask_for_more(scaffolded)
    told: list[str] = []

    def close_meanwhile(line: str) -> None:
        if not told:
            scaffolded.forge.close_pull(CODE, 1, actor=ENGINEER_ID)
        told.append(line)

    scaffolded.engine.run(tenants=["acme"], progress=close_meanwhile)
    assert told
    assert scaffolded.kinds()[-1] == "rejected"
    assert scaffolded.engine.status(DRAFT).state == "REJECTED"
    assert scaffolded.engine.plan(tenants=["acme"]).is_empty
