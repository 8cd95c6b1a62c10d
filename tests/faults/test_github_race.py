"""Sixteen runs at once on one GitHub, some for one tenant, some for all: no request is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from pipeline.requests.layout import draft_path
from tests.conftest import ROOT
from tests.support.fact_history import PLATFORM_ENGINEERS
from tests.support.finished_story import CONTROL
from tests.support.github_sweep import FIRST_MERGE_S, github_world
from tests.support.samples import sample_platform, tenant_example
from tests.support.sweep import story_files
from worlds.github_server import GitHubServer
from worlds.github_setting import GithubSetting

TENANTS = tuple(f"unit-{number:02}" for number in range(16))
_DRAFT = """apiVersion: pipeline.ameide.io/v1
kind: PrimitiveImplementationDraft
id: {0}/counter
tenant_id: {0}
primitive_type: domain
primitive_id: counter
template_id: domain@1.0.0
code_origin: tenant
target_repo: tenant-{0}-controllers
parameters: {{description: Counts things, owner: platform-engineers, entities: [thing]}}
"""


def _run_all_at_once(setting: GithubSetting, root: Path) -> None:
    """One process for each tenant, and two for all."""
    commands = [("--tenant", tenant) for tenant in TENANTS] + [(), ()]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "pipeline", "-C", "control", "run", *arguments],
            cwd=root,
            env={
                **os.environ,
                **setting.credential(None)[1],
                # Each its own: on GitHub's runners no two share a disk.
                "PIPELINE_CACHE": str(root / f"cache-{number}"),
                "PYTHONPATH": str(ROOT),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for number, arguments in enumerate(commands)
    ]
    said = [process.communicate(timeout=600)[0].decode() for process in running]
    failed = [
        output for process, output in zip(running, said, strict=True) if process.returncode != 0
    ]
    assert not failed, failed[0][-3000:]


def test_sixteen_runs_of_different_tenants_land_every_request_once(tmp_path: Path) -> None:
    root = tmp_path / "world"
    requests = {f"tenants/{t}/tenant.yaml": tenant_example(t).encode() for t in TENANTS}
    policy = {p: c for p, c in story_files().items() if "/drafts/" not in p}
    with GitHubServer(tmp_path / "server") as server:
        server.state.first_merge_s = FIRST_MERGE_S
        setting = GithubSetting(server, root, sample_platform()).begin({**policy, **requests})
        world = github_world(server, root)
        for tenant in TENANTS:
            path = draft_path(f"{tenant}/counter")
            content = _DRAFT.format(tenant).encode()
            world.request(path, content, PLATFORM_ENGINEERS[1], asker=PLATFORM_ENGINEERS[0])
        world.close()

        _run_all_at_once(setting, root)

        world = github_world(server, root)
        assert world.engine.plan().is_empty
        for tenant in TENANTS:
            draft = f"{tenant}/counter"
            types = Counter(fact.body.type for fact in world.engine.facts(draft))
            assert types == {"accepted": 1, "provisioned": 1, "scaffolded": 1}
            repository = server.repository("ameide", f"tenant-{tenant}-controllers")
            [pull] = repository.pulls.values()
            assert set(repository.refs()) == {"refs/heads/main", f"refs/heads/{pull.head_branch}"}
            names = [ruleset.name for ruleset in repository.rulesets.values()]
            assert len(names) == len(set(names)) > 0
        names = [repository.name for repository in server.state.repositories.values()]
        assert len(names) == len(set(names)) == 2 * len(TENANTS) + 1
        assert CONTROL in names
        world.close()
