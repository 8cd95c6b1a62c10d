"""Between a crash and the next run people go on: they merge, close and change policy.

The crash sweep repeats a run in an unchanged world; here the world changes first. The trees may
differ from those of an unbroken run, yet each request still lands once, with one branch and one
pull request, and an audit finds nothing.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.forges.port import PullState
from pipeline.models.status import DraftState
from pipeline.requests.layout import environment_path, tenant_path
from tests.support.fact_history import ENGINEER_ID, RELEASE_MANAGERS
from tests.support.finished_story import CODE, GITOPS, audit
from tests.support.samples import DRAFT, sample_files
from tests.support.story import SOURCE, Story, story_at
from tests.support.sweep import Crash, counted_ref_moves, fault_at

OTHER = "acme/invoice-matcher"

ASKS: dict[str, tuple[str, Callable[[Story], object]]] = {
    "draft": ("begun", lambda world: world.ask_for_draft()),
    "patch": ("scaffolded", lambda world: world.write("0001", f"{SOURCE}/one.py", "X = 1\n")),
    "dev": ("patched", lambda world: world.ask(DRAFT, "dev", ENGINEER_ID)),
    "follow-up": ("in staging", lambda world: world.write("0002", "docs/a.md", "A\n")),
}


def people_merge(world: Story) -> None:
    """Every open pull request of code is approved and merged."""
    for pull in world.forge.read_pulls(CODE) if world.forge.read_repo(CODE) else ():
        if pull.state is PullState.OPEN:
            world.take_over(pull.number)


def people_change_policy(world: Story) -> None:
    """Cost centre and settings change, so that code and overlays would be rendered otherwise."""
    for path, old, new in (
        (tenant_path("acme"), b"CC-1042", b"CC-2001"),
        (environment_path("dev"), b"LOG_LEVEL: debug", b"LOG_LEVEL: trace"),
    ):
        content = sample_files()[path]
        assert old in content
        world.change_policy(path, content.replace(old, new))


def people_ask_for_more(world: Story) -> None:
    """Another draft comes, and its code is merged before the broken-off run is taken up."""
    world.ask_for_draft(OTHER)
    world.go()
    number = world.engine.status(OTHER).pull_request.number
    world.take_over(number)


MEANWHILE = [people_merge, people_change_policy, people_ask_for_more]


def wrong_after(world: Story) -> list[str]:
    """What is not as it must be once everything has settled, in words."""
    wrong = [] if world.engine.plan(tenants=["acme"]).is_empty else ["something is left to do"]
    for repo in (CODE, GITOPS):
        pulls = world.forge.read_pulls(repo)
        view = world.forge.read_repo(repo)
        assert view is not None
        branches = {b for b in view.branches if b != view.default_branch}
        if sorted(p.head_branch for p in pulls) != sorted(branches):
            wrong.append(f"{repo}: branches {sorted(branches)}, pulls {len(pulls)}")
        purposes = Counter(
            dict(world.forge.open_repository(repo).read_commit(p.head).trailers)["Request"]
            for p in pulls
        )
        wrong += [f"{repo}: {n} pull requests for {p}" for p, n in purposes.items() if n > 1]
    # Checks and builds are of a tree, and there may be several; all else is once for a request.
    facts = Counter(
        (fact.cause.request, fact.cause.blob, fact.body.type)
        for fact in world.engine.facts(DRAFT)
        if fact.body.type not in {"checks-recorded", "built"}
    )
    wrong += [f"{key} {n} times" for key, n in facts.items() if n > 1]
    wrong += [f"{f.location.file}: {f.message}" for f in audit(world).findings]
    refused = [p for p in world.engine.status(DRAFT).patches if p.outcome == "refused"]
    return wrong + [f"patch {p.patch} refused: {p.reasons}" for p in refused]


SHORT_STRIDE = 11


@pytest.mark.sweep
@pytest.mark.parametrize("name", ASKS)
def test_each_request_lands_once_when_people_go_on_after_any_crash(
    name: str, tmp_path: Path
) -> None:
    _sweep(name, tmp_path, 1)


@pytest.mark.parametrize("name", ASKS)
def test_each_request_lands_once_when_people_go_on_after_some_crashes(
    name: str, tmp_path: Path
) -> None:
    _sweep(name, tmp_path, SHORT_STRIDE)


def _sweep(name: str, tmp_path: Path, stride: int) -> None:
    stage, ask = ASKS[name]
    asked = story_at(stage, tmp_path / "asked")
    ask(asked)
    asked.close()
    shutil.copytree(tmp_path / "asked", tmp_path / "whole", symlinks=True)
    world = Story.open(tmp_path / "whole")
    hook, effects = fault_at(0, "after")
    world.use(faults=hook)
    with counted_ref_moves() as moves:
        world.go()
    world.close()
    points = [("after", n) for n in range(1, effects[0] + 1)]
    points += [("torn", n) for n in range(1, moves[0] + 1)]
    assert len(points) >= 5
    crashes = [(*point, meanwhile) for point in points for meanwhile in MEANWHILE][::stride]
    failed = []
    for mode, number, meanwhile in crashes:
        folder = tmp_path / f"{mode}-{number}-{meanwhile.__name__}"
        shutil.copytree(tmp_path / "asked", folder, symlinks=True)
        broken = Story.open(folder)
        hook, _ = fault_at(number if mode == "after" else 0, "after")
        broken.use(faults=hook)
        with pytest.raises(Crash), counted_ref_moves(number if mode == "torn" else 0):
            broken.go()
        broken.close()
        world = Story.open(folder)
        meanwhile(world)
        world.go()
        failed += [f"{mode} {number}, {meanwhile.__name__}: {w}" for w in wrong_after(world)]
        world.close()
        shutil.rmtree(folder)
    print(f"{name}: {len(crashes)} crashes, {len({f.split(':')[0] for f in failed})} went wrong")
    assert not failed, "\n".join(failed)


def test_a_draft_closed_after_a_crash_is_rejected(tmp_path: Path) -> None:
    """The patch reached the branch, then people closed the pull request: no fact is lost."""
    world = story_at("scaffolded", tmp_path / "world")
    world.write("0001", f"{SOURCE}/one.py", "X = 1\n")
    hook, _ = fault_at(1, "after")
    world.use(faults=hook)
    with pytest.raises(Crash):
        world.engine.run(tenants=["acme"])
    world.close()
    world = Story.open(tmp_path / "world")
    world.forge.close_pull(CODE, 1, actor=ENGINEER_ID)
    world.go()
    assert world.engine.status(DRAFT).state is DraftState.REJECTED
    assert audit(world).findings == ()
    world.close()


def test_a_merged_promotion_gets_its_fact_even_if_policy_changed(tmp_path: Path) -> None:
    """What stands in the GitOps repository is recorded as it stands, pinned requests included."""
    world = story_at("in dev", tmp_path / "world")
    world.take_over()
    world.ask(DRAFT, "staging", RELEASE_MANAGERS[0])
    hook, _ = fault_at(3, "after")  # branch, pull request, merge; no fact
    world.use(faults=hook)
    with pytest.raises(Crash):
        world.engine.run(tenants=["acme"])
    world.close()
    world = Story.open(tmp_path / "world")
    path = environment_path("staging")
    changed = sample_files()[path].replace(b"LOG_LEVEL: info", b"LOG_LEVEL: debug")
    assert changed != sample_files()[path]
    world.change_policy(path, changed)
    world.go()
    promotion = world.engine.status(DRAFT).promotion("staging")
    assert promotion is not None
    assert promotion.gitops_commit == world.forge.read_pull(GITOPS, 2).merge_commit
    assert promotion.approved_by == (RELEASE_MANAGERS[0],)
    assert audit(world).findings == ()
    assert len(world.forge.read_pulls(GITOPS)) == 2
    world.close()
