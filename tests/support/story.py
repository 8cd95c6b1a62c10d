"""A story that tests tell step by step, with quick doubles for charts, checks, scans and images.

Git, the forge, the engine and the samples are real. A stage is told once per process and copied for
every test that starts from it. Run as a program, the module tells the whole story and prints the
tree of every ref, for tests that change the process around it.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.engine.engine import Engine
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.port import PullState
from pipeline.models.requests import EnvironmentName
from pipeline.requests.identity import draft_example
from pipeline.requests.layout import draft_path, patch_path, promotion_path
from tests.support.fact_history import (
    AGENT_ID,
    ENGINEER_ID,
    PLATFORM_ENGINEERS,
    RELEASE_MANAGERS,
    SECURITY_ID,
)
from tests.support.finished_story import (
    CODE,
    ORGANISATION,
    StoryWorld,
    doubles,
    patch_of,
    promotion_of,
)
from tests.support.samples import DRAFT, sample_files
from tests.support.sweep import fingerprint, sweep_world
from worlds.control_repo import create_control
from worlds.github_server import GitHubServer

SOURCE = "src/domain_order_router"
Stage = Callable[["Story"], None]


@dataclass
class Story:
    """acme's actions in a world that only runs acme, with doubles for tools."""

    world: StoryWorld
    server: GitHubServer | None = None  # where the forge is a GitHub

    @classmethod
    def open(cls, root: Path) -> Story:
        """The story below `root`, as a fresh process sees it."""
        return cls.of(sweep_world(root))

    @classmethod
    def of(cls, world: StoryWorld, server: GitHubServer | None = None) -> Story:
        """The story of a world, whose tools become doubles."""
        world.use(**doubles())
        return cls(world, server)

    @classmethod
    def begin(cls, root: Path, files: Mapping[str, bytes] | None = None) -> Story:
        """A story without requests; `files` are laid over policy and tenants."""
        root.mkdir(parents=True, exist_ok=True)
        create_control(root, {**policy_files(), **(files or {})})
        return cls.open(root)

    # -- the world, by the names that tests use most --------------------------------------

    @property
    def root(self) -> Path:
        """The folder of forge and control checkout."""
        return self.world.root

    @property
    def forge(self) -> LocalForge:
        """The forge."""
        return self.world.forge

    @property
    def engine(self) -> Engine:
        """The engine."""
        return self.world.engine

    def use(self, **tools: Any) -> None:
        """Replace these tools from here on."""
        self.world.use(**tools)

    def close(self) -> None:
        """End every git process of the world."""
        self.world.close()

    def propose(self, changes: Mapping[str, bytes | None], asker: int) -> int:
        """The number of an open pull request that changes these files on main; None deletes one."""
        return self.world.propose(changes, asker)

    def request(
        self,
        path: str,
        content: bytes,
        *approvers: int,
        asker: int = AGENT_ID,
        at_s: int | None = None,
    ) -> int:
        """The number of the merged pull request by which a bot asked."""
        return self.world.request(path, content, *approvers, asker=asker, at_s=at_s)

    def approve(self, repo: str, number: int, user: int) -> None:
        """Approve the newest revision of a pull request."""
        self.world.approve(repo, number, user)

    def merge(self, repo: str, number: int, user: int) -> None:
        """Merge a pull request at its newest revision."""
        self.world.merge(repo, number, user)

    # -- what acme does ------------------------------------------------------------------------

    def go(self) -> None:
        """Run once for acme; no tool may fail."""
        report = self.engine.run(tenants=["acme"])
        assert report.failures == (), report.failures

    def ask_for_draft(self, draft: str = DRAFT, content: str | None = None) -> None:
        """Bring the request for a draft, by acme's own agent."""
        primitive = draft.split("/")[1]
        content = content or draft_example(id=draft, primitive=primitive)
        self.request(draft_path(draft), content.encode(), ENGINEER_ID)

    def ask(self, draft: str, environment: EnvironmentName, *approvers: int) -> int:
        """Bring the request to run one of acme's drafts in an environment."""
        content = promotion_of(self.world, draft, environment)
        return self.request(promotion_path(draft, environment), content, *approvers)

    def change_policy(self, path: str, content: bytes) -> int:
        """Change a policy file, asked for by one platform owner and approved by another."""
        return self.request(path, content, PLATFORM_ENGINEERS[0], asker=PLATFORM_ENGINEERS[1])

    def write(self, number: str, path: str, content: str, draft: str = DRAFT) -> None:
        """Bring a patch of one file, made against the draft's newest commit."""
        content_of = patch_of(draft, self.newest(draft), {path: content})
        self.request(patch_path(draft, number), content_of, ENGINEER_ID)

    def newest(self, draft: str = DRAFT) -> str:
        """The commit that a patch is made against now: the branch's, or main's once merged."""
        status, view = self.engine.status(draft), self.forge.read_repo(CODE)
        assert status.pull_request is not None and view is not None and view.head is not None
        pull = self.forge.read_pull(CODE, status.pull_request.number)
        return status.head if pull.state is PullState.OPEN else view.head

    def take_over(self, number: int = 1) -> None:
        """acme's engineers approve and merge a pull request of the code."""
        self.approve(CODE, number, ENGINEER_ID)
        self.merge(CODE, number, ENGINEER_ID)

    def kinds(self, draft: str = DRAFT) -> list[str]:
        """The types of a draft's facts in order."""
        return [fact.body.type for fact in self.engine.facts(draft)]


def policy_files() -> dict[str, bytes]:
    """The samples without drafts."""
    return {path: content for path, content in sample_files().items() if "/drafts/" not in path}


# -- the stages, each on top of the one before ---------------------------------------------


def _scaffolded(world: Story) -> None:
    world.ask_for_draft()
    world.go()


def _patched(world: Story) -> None:
    world.write("0001", f"{SOURCE}/routing.py", "QUICK = 1\n")
    world.go()


def _in_dev(world: Story) -> None:
    world.ask(DRAFT, "dev", ENGINEER_ID)
    world.go()


def _in_staging(world: Story) -> None:
    world.take_over()
    world.ask(DRAFT, "staging", RELEASE_MANAGERS[0])
    world.go()


def _in_prod(world: Story) -> None:
    world.ask(DRAFT, "prod", RELEASE_MANAGERS[0], SECURITY_ID)
    world.go()


STAGES: dict[str, Stage] = {
    "begun": lambda world: None,
    "scaffolded": _scaffolded,
    "patched": _patched,
    "in dev": _in_dev,
    "in staging": _in_staging,
    "in prod": _in_prod,
}


@lru_cache
def _told(stage: str) -> tuple[Path, tempfile.TemporaryDirectory[str]]:
    """The folder of the world at a stage, and what keeps it until the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="pipeline-tests-stage-")
    root = Path(folder.name) / "world"
    names = list(STAGES)
    before = names.index(stage) - 1
    if before < 0:
        Story.begin(root).close()
        return root, folder
    shutil.copytree(_told(names[before])[0], root, symlinks=True)
    world = Story.open(root)
    STAGES[stage](world)
    world.close()
    return root, folder


def story_at(stage: str, root: Path) -> Story:
    """A copy of the world as it was at a stage."""
    shutil.copytree(_told(stage)[0], root, symlinks=True)
    return Story.open(root)


def everything(root: Path) -> dict[str, str]:
    """`repo ref` → commit id of every ref of every repository: unchanged if nothing was written."""
    found: dict[str, str] = {}
    forge = LocalForge(root / "forge", ORGANISATION)
    for path in sorted((root / "forge" / ORGANISATION).glob("*.git")):
        for ref, commit in forge.open_repository(path.stem).read_refs(("refs/",)).items():
            found[f"{path.stem} {ref}"] = commit
    forge.close()
    return found


def main(root: Path) -> None:
    """Tell the whole story below `root` and print every tree, as JSON."""
    world = Story.begin(root)
    for stage in STAGES.values():
        stage(world)
    world.close()
    print(json.dumps({"trees": fingerprint(root), "commits": everything(root)}, sort_keys=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
