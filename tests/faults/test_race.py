"""Many processes run the pipeline against one forge at once: each request lands exactly once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from pipeline.documents import render_document
from pipeline.layout import draft_path, patch_path, promotion_path
from tests.sweep_world import SweepWorld, start

TENANTS = {"acme": (1901, 1201), "contoso": (1902, 1301)}
DRAFTS_EACH = 3
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


def _names(tenant: str) -> list[str]:
    return [f"counter-{tenant}-{n}" for n in range(DRAFTS_EACH)]


def _race(root: Path, processes: int) -> None:
    """Start that many `pipeline run` at once and wait for all of them."""
    command = [sys.executable, "-m", "pipeline", "-C", "control", "run"]
    running = [
        subprocess.Popen(
            command,
            cwd=root,
            env={**os.environ, "PIPELINE_RUN_ID": "race"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(processes)
    ]
    for process in running:
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, output.decode()[-3000:]


def _ask(world: SweepWorld, path: str, content: bytes, tenant: str) -> None:
    bot, engineer = TENANTS[tenant]
    world.request(path, content, engineer, asker=bot)


def _check_all_landed_once(root: Path) -> None:
    world = SweepWorld.at(root)
    snapshot = world.engine.world().snapshot
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
        branches = Counter(p.head_branch for p in world.forge.read_pulls(path.stem))
        assert set(branches.values()) <= {1}, branches
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


def _tell(root: Path, processes: int) -> None:
    started = time.monotonic()
    start(root)
    world = SweepWorld.at(root)
    for tenant in TENANTS:
        for name in _names(tenant):
            content = _DRAFT.format(tenant=tenant, name=name).encode()
            _ask(world, draft_path(f"{tenant}/{name}"), content, tenant)
    world.close()
    _race(root, processes)
    print(f"{processes} processes scaffolded, {time.monotonic() - started:.0f} s")

    world = SweepWorld.at(root)
    for tenant in TENANTS:
        for name in _names(tenant):
            draft = f"{tenant}/{name}"
            patch = {
                "apiVersion": "pipeline.ameide.io/v1",
                "kind": "DraftPatch",
                "draft": draft,
                "base_commit": world.engine.status(draft).head,
                "summary": "Say what it counts",
                "changes": [{"op": "write", "path": "docs/counts.md", "content": f"# {name}\n"}],
            }
            _ask(world, patch_path(draft, "0001"), render_document(patch), tenant)
    first = f"{next(iter(TENANTS))}/{_names(next(iter(TENANTS)))[0]}"
    proposal = world.engine.propose_promotion(first, "dev", reason="Put this in test")
    value = proposal.promotion.model_dump(mode="json", by_alias=True, exclude_none=True)
    _ask(world, promotion_path(first, "dev"), render_document(value), first.split("/")[0])
    world.close()
    _race(root, processes)
    print(f"{processes} processes patched and promoted, {time.monotonic() - started:.0f} s")
    _check_all_landed_once(root)


@pytest.mark.race
def test_sixteen_processes_land_every_request_once(tmp_path: Path) -> None:
    _tell(tmp_path / "world", 16)


def test_three_processes_land_every_request_once(tmp_path: Path) -> None:
    _tell(tmp_path / "world", 3)
