"""A control repo with its workflows on the local GitHub, and runs of them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.documents import render_document
from pipeline.models.base import API_VERSION
from pipeline.models.requests import Signers
from pipeline.models.signers import Signer, WorkflowIdentity
from pipeline.requests.layout import SIGNERS_PATH
from tests.conftest import ROOT
from tests.support.finished_story import StoryWorld
from tests.support.github_sweep import FIRST_MERGE_S, github_world
from tests.support.registry import serve_registry
from tests.support.samples import sample_files, sample_platform
from tests.support.sigstore import sigstore
from tests.support.workflows import Runner, Withheld, WorkflowRun
from worlds.github_server import GitHubServer
from worlds.github_server.state import State
from worlds.github_setting import APP_ID, GithubSetting, app_key

# What of this repository a control repo needs to run the workflows.
WORKFLOWS = ("action.yml", ".github")
# In place of `tools/setup.py`, which would take minutes; see tests/support/workflows/README.md.
SET_UP_BEFORE = """import os
for name in (".venv", ".tools"):
    os.symlink(os.path.join({root!r}, name), os.path.join(os.environ["GITHUB_ACTION_PATH"], name))
"""
SOURCE = "src/domain_order_router"


def control_files(registry: str, server: str) -> dict[str, bytes]:
    """The samples without drafts, with an existing registry and the files of the workflows."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard", "--"]
    tracked = subprocess.run([*listed, *WORKFLOWS], check=True, capture_output=True, text=True)
    files = {path: (ROOT / path).read_bytes() for path in tracked.stdout.split("\0") if path}
    files["tools/setup.py"] = SET_UP_BEFORE.format(root=str(ROOT)).encode()
    files |= {path: text for path, text in sample_files().items() if "/drafts/" not in path}
    platform = "environments/platform.yaml"
    written = files[platform].replace(b"registry.example.com", registry.encode())
    files[platform] = written.replace(b"store: layout", b"store: registry")
    assert files[platform].count(b"store: registry") == 1
    # Images are vouched for by the build workflow alone: no key is trusted.
    workflow = WorkflowIdentity(repository="ameide/control", server=server)
    signers = Signers(
        api_version=API_VERSION,
        kind="Signers",
        signers=(Signer(name="build-workflow", workflow=workflow),),
        trusted_roots=(sigstore().trusted_root(),),
    )
    told = signers.model_dump(mode="json", by_alias=True, exclude_none=True)
    files[SIGNERS_PATH] = render_document(told)
    return files


@dataclass
class Actions:
    """A control repo on the local GitHub, and its workflows."""

    server: GitHubServer
    root: Path
    runner: Runner

    def open(self) -> StoryWorld:
        """The world as people see it."""
        return github_world(self.server, self.root)

    def run(self, workflow: str, event: str = "push", **payload: Any) -> WorkflowRun:
        """A run of a workflow; no job may fail."""
        run = self.runner.run(workflow, event, payload)
        assert run.result == "success", run.log
        return run

    def attempt(self, workflow: str, event: str, withheld: Withheld, payload: Any) -> WorkflowRun:
        """A run without certain permissions; the world is restored afterwards."""
        number = len(list(self.root.parent.glob("kept-*")))
        kept = self.root.parent / f"kept-{number}"
        self.server.state.save(kept)
        runner = replace(self.runner, folder=kept / "runs", withheld=withheld)
        try:
            return runner.run(workflow, event, payload)
        finally:
            self.server.state = State.load(kept, kept / "again")

    def settle(self) -> list[str]:
        """Run what events ask for until nothing is left, workflows in their order."""
        ran = []
        dispatches = self.server.repository("ameide", "control").dispatches
        while dispatches:
            event = dispatches.pop(0)["event_type"]
            # What waits for the same event sees all that there is.
            dispatches[:] = [d for d in dispatches if d["event_type"] != event]
            ran.append(event.removeprefix("pipeline-"))
            self.run(ran[-1], "repository_dispatch", action=event)
            assert len(ran) < 30, ran
        return ran


@contextmanager
def open_actions(tmp_path: Path) -> Iterator[Actions]:
    """A world without requests."""
    with serve_registry() as registry, GitHubServer(tmp_path / "server") as server:
        server.state.first_merge_s = FIRST_MERGE_S
        root = tmp_path / "world"
        GithubSetting(server, root, sample_platform()).begin(
            control_files(registry, server.url), trusts_key=False
        )
        runner = Runner(
            server,
            "ameide",
            "control",
            tmp_path / "runs",
            # Needs no Docker; `make image` has one.
            variables={
                "PIPELINE_APP_ID": str(APP_ID),
                "PIPELINE_BUILDER": "source-layout",
                "PIPELINE_CODE_SCANNING": "true",
            },
            environments={
                "pipeline": {"PIPELINE_APP_PRIVATE_KEY": app_key()[0]},
                "registry": {"REGISTRY_CONFIG": '{"auths": {}}'},
            },
        )
        yield Actions(server, root, runner)
