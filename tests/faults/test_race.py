"""Many pipelines run at once against one forge: each request lands exactly once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from pipeline.documents import render_document
from pipeline.plan.ports import no_faults
from pipeline.requests.layout import draft_path, patch_path, promotion_path
from tests.conftest import ROOT
from tests.support.finished_story import StoryWorld, audit
from tests.support.group_story import (
    APPROVERS,
    MEMBERS,
    ask_for_group,
    assert_proved,
    group_story,
    runs_in,
)
from tests.support.samples import DRAFT
from tests.support.second_day_sweep import SECOND_DAY
from tests.support.story import Story
from tests.support.sweep import start, sweep_world

# Who asks, and who approves and merges.
TENANTS = {"acme": (1901, 1201), "contoso": (1902, 1301), "fabrikam": (1101, 1401)}
_DRAFT = """apiVersion: pipeline.ameide.io/v1
kind: PrimitiveImplementationDraft
id: {tenant}/{name}
tenant_id: {tenant}
primitive_type: domain
primitive_id: {name}
template_id: domain@1.0.0
code_origin: agent
target_repo: tenant-{tenant}-controllers
parameters: {{description: Counts things, owner: {tenant}-engineers, entities: [thing]}}
"""


def _drafts(tenants: int, each: int) -> list[str]:
    return [f"{tenant}/counter-{n}" for tenant in list(TENANTS)[:tenants] for n in range(each)]


REAL = [sys.executable, "-m", "pipeline", "-C", "control", "run"]
# The same engine with quick doubles for checks and charts: more of them meet at each ref.
QUICK = [
    sys.executable,
    "-c",
    "import sys; from pathlib import Path; from tests.support.story import Story\n"
    "sys.exit(4 if Story.open(Path()).engine.run().failures else 0)",
]


def _race(root: Path, processes: int, command: list[str]) -> None:
    """Start that many runs at once and wait for all of them."""
    running = [
        subprocess.Popen(
            command,
            cwd=root,
            env={**os.environ, "PIPELINE_RUN_ID": "race", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(processes)
    ]
    for process in running:
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, output.decode()[-3000:]


def _ask(world: StoryWorld, path: str, content: bytes, tenant: str) -> None:
    bot, engineer = TENANTS[tenant]
    world.request(path, content, engineer, asker=bot)


def _check_all_landed_once(root: Path, drafts: list[str], promoted: int) -> None:
    world = sweep_world(root)
    statuses = {s.id: s for s in world.engine.statuses()}
    assert set(drafts) <= set(statuses)
    for draft in drafts:
        assert [(p.patch, p.outcome) for p in statuses[draft].patches] == [("0001", "applied")]
    assert sum(len(statuses[draft].promotions) for draft in drafts) == promoted
    snapshot = world.engine.snapshot()
    facts = 0
    for status in world.engine.statuses():
        chain = world.engine.facts(status.id)
        facts += len(chain)
        caused = Counter(f.cause.request for f in chain if f.body.type == "patch-applied")
        assert set(caused.values()) <= {1}, caused
        types = Counter(f.body.type for f in chain)
        for once in ("accepted", "provisioned", "scaffolded", "built", "promoted"):
            assert types[once] <= 1, (status.id, types)
        for path, loaded in snapshot.requests.items():
            if loaded.meaning.primitive and loaded.meaning.draft == status.id:
                assert status.requests.get(path) == loaded.blob, f"{path} did not land"
    for path in sorted(world.forge.root.glob("*/*.git")):
        pulls, view = world.forge.read_pulls(path.stem), world.forge.read_repo(path.stem)
        branches = Counter(p.head_branch for p in pulls)
        assert set(branches.values()) <= {1}, branches
        assert view is not None
        if path.stem != "control":  # no branch of a lost race, and none without a pull request
            assert set(view.branches) == {view.default_branch, *branches}
            git = world.forge.open_repository(path.stem)
            purposes = Counter(dict(git.read_commit(p.head).trailers)["Request"] for p in pulls)
            assert set(purposes.values()) <= {1}, purposes
    assert world.engine.plan().is_empty
    world.close()
    verified = subprocess.run(
        [sys.executable, "-m", "pipeline", "-C", "control", "audit", "verify"],
        cwd=root,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout.decode() + verified.stderr.decode()
    print(f"{facts} facts, each once")


def _tell(
    root: Path, processes: int, command: list[str], drafts: list[str], *, promoted: int
) -> None:
    """Drafts, then a patch of each and some promotions to dev, all pending when a race starts."""
    started = time.monotonic()
    start(root)
    world = sweep_world(root)
    for draft in drafts:
        tenant, name = draft.split("/")
        content = _DRAFT.format(tenant=tenant, name=name).encode()
        _ask(world, draft_path(draft), content, tenant)
    world.close()
    _race(root, processes, command)
    print(f"{processes} processes scaffolded, {time.monotonic() - started:.0f} s")

    world = sweep_world(root)
    for draft in drafts:
        tenant, name = draft.split("/")
        patch = {
            "apiVersion": "pipeline.ameide.io/v1",
            "kind": "DraftPatch",
            "draft": draft,
            "base_commit": world.engine.status(draft).head,
            "summary": "Say what it counts",
            "changes": [{"op": "write", "path": "docs/counts.md", "content": f"# {name}\n"}],
        }
        _ask(world, patch_path(draft, "0001"), render_document(patch), tenant)
    # One a tenant, of the scaffold: its checks and its image are made in the race too.
    for draft in drafts[:: len(drafts) // promoted][:promoted]:
        proposal = world.engine.propose_promotion(draft, "dev", reason="Put this in test")
        value = proposal.promotion.model_dump(mode="json", by_alias=True, exclude_none=True)
        _ask(world, promotion_path(draft, "dev"), render_document(value), draft.split("/")[0])
    world.close()
    _race(root, processes, command)
    print(f"{processes} processes patched and promoted, {time.monotonic() - started:.0f} s")
    _check_all_landed_once(root, drafts, promoted)


def _tell_of_three_tenants(root: Path, processes: int, command: list[str]) -> None:
    drafts = _drafts(tenants=3, each=2)
    promoted = 3
    assert 2 * len(drafts) + promoted >= 12
    _tell(root, processes, command, drafts, promoted=promoted)


@pytest.mark.race
def test_sixteen_processes_land_every_request_once(tmp_path: Path) -> None:
    _tell_of_three_tenants(tmp_path / "world", 16, REAL)


@pytest.mark.race
def test_sixteen_quick_processes_land_every_request_once(tmp_path: Path) -> None:
    _tell_of_three_tenants(tmp_path / "world", 16, QUICK)


def test_six_quick_processes_land_every_request_once(tmp_path: Path) -> None:
    _tell_of_three_tenants(tmp_path / "world", 6, QUICK)


def test_each_request_of_the_second_day_is_carried_out_once(tmp_path: Path) -> None:
    """Runs that meet at a replaced request, a rollback and a retirement record each once."""
    root = tmp_path / "world"
    SECOND_DAY.start(root)
    for act in SECOND_DAY.steps[1:]:
        world = SECOND_DAY.open(root, no_faults)
        act(world)
        world.close()
        _race(root, 4, QUICK)
    world = SECOND_DAY.open(root, no_faults)
    kinds = Counter(fact.body.type for fact in world.engine.facts(DRAFT))
    assert (kinds["promotion-superseded"], kinds["retired"], kinds["rejected"]) == (1, 3, 1)
    assert world.engine.plan(tenants=["acme"]).is_empty
    assert audit(world).findings == ()
    world.close()


@pytest.mark.parametrize("newer", ["single", "group"])
def test_a_group_and_a_single_promotion_race_and_the_newer_one_lands(
    tmp_path: Path, newer: str
) -> None:
    root = tmp_path / "world"
    story = group_story(root, "dev")
    approved = APPROVERS["staging"]
    if newer == "single":
        ask_for_group(story, "staging", *approved)
        story.ask(DRAFT, "staging", *approved)
    else:
        story.ask(DRAFT, "staging", *approved)
        ask_for_group(story, "staging", *approved)
    story.close()
    _race(root, 4, QUICK)
    story = Story.open(root)
    assert runs_in(story, "staging") == ([DRAFT] if newer == "single" else list(MEMBERS))
    for draft in MEMBERS:
        kinds = Counter(
            fact.body.type
            for fact in story.engine.facts(draft)
            if getattr(fact.body, "environment", "") == "staging"
        )
        assert set(kinds.values()) == {1}, (draft, kinds)
    assert_proved(story)
    story.close()
