"""The whole story as steps that can be interrupted anywhere, over several tenants and repositories.

A step is what people and agents do, followed by one run of the pipeline. Templates, charts,
overlays and images are real; the real checks of a source tree run once and are remembered by tree,
since they are the same for every point of a sweep.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal
from unittest import mock

from pipeline.control.repo import Control
from pipeline.engine.engine import Engine
from pipeline.engine.opening import builder_of, check_runner, secret_hits
from pipeline.engine.tools import Tools
from pipeline.errors import StalePlan
from pipeline.forges.local.forge import LocalForge
from pipeline.git.repository import GitRepository
from pipeline.models.evidence import CheckReport, Observation
from pipeline.models.requests import EnvironmentName
from pipeline.plan.effects import Effect, RunChecks
from pipeline.plan.ports import FaultHook, no_faults
from pipeline.requests.identity import draft_example
from pipeline.requests.layout import draft_path, patch_path, promotion_path
from pipeline.world.hydrate import Hydrator
from tests.support.convergence import image_indexes, unlike
from tests.support.deliveries import healthy_everywhere
from tests.support.fact_history import (
    AGENT_ID,
    ENGINEER_ID,
    PLATFORM_ENGINEERS,
    RELEASE_MANAGERS,
    SECURITY_ID,
)
from tests.support.finished_story import (
    CODE,
    CONTROL,
    ORGANISATION,
    StoryWorld,
    patch_of,
    promotion_of,
)
from tests.support.samples import DRAFT, sample_files, templates
from tests.support.sources import CLEAN_SETTINGS, ROUTING
from worlds.control_repo import create_control, still_clock

RATING, INVENTORY = "contoso/supplier-rating", "contoso/inventory"
CONTOSO_AGENT_ID, CONTOSO_ENGINEER_ID, PLATFORM_ENGINEER_ID = 1902, 1301, PLATFORM_ENGINEERS[0]
TENANTS = ("acme", "contoso")
HYDRATOR = Hydrator()
_REPORTS: dict[tuple[str, tuple[str, ...]], CheckReport] = {}
Act = Callable[[StoryWorld], tuple[Observation, ...]]


class Crash(BaseException):
    """The process stops here; nothing may catch it."""


def checked_once(effect: RunChecks, files: dict[str, tuple[int, bytes]]) -> CheckReport:
    """The real report of a tree's checks, run at the first use."""
    key = (effect.tree, effect.names)
    if key not in _REPORTS:
        _REPORTS[key] = check_runner(effect, files)
    return _REPORTS[key].model_copy(update={"commit": effect.commit})


def sweep_world(root: Path, faults: FaultHook = no_faults) -> StoryWorld:
    """The world below `root` with the real tools, as a fresh process sees it."""
    forge = LocalForge(root / "forge", ORGANISATION, still_clock)
    control = Control(root / "control", GitRepository(root / "control"), forge, CONTROL)
    tools = Tools(
        make_builder=partial(builder_of, forge_root=forge.root),
        run_checks=checked_once,
        scan_secrets=secret_hits,
        templates=templates(),
        faults=faults,
        hydrator=HYDRATOR,
        run_id="run-1",
        clock=still_clock,
    )
    made = len(forge.read_pulls(CONTROL))
    return StoryWorld(root, forge, Engine(control, tools), list(range(made)))


def run_all(world: StoryWorld, observations: tuple[Observation, ...] = ()) -> None:
    """Run once over the story's tenants; no tool may fail."""
    report = world.engine.run(tenants=TENANTS, observations=observations)
    assert report.findings == (), report.findings
    assert report.failures == (), report.failures


def bring_patch(
    world: StoryWorld, number: str, summary: str, files: Mapping[str, str], base: str
) -> None:
    """Bring a patch of acme's draft, made against `base`."""
    content = patch_of(DRAFT, base, files, summary)
    world.request(patch_path(DRAFT, number), content, ENGINEER_ID)


def ask(world: StoryWorld, draft: str, environment: EnvironmentName, *approvers: int) -> int:
    """Bring the request to run a draft's release in an environment, asked for by its tenant."""
    asker = {DRAFT: AGENT_ID, INVENTORY: PLATFORM_ENGINEERS[1]}.get(draft, CONTOSO_AGENT_ID)
    content = promotion_of(world, draft, environment)
    return world.request(promotion_path(draft, environment), content, *approvers, asker=asker)


# -- the steps -----------------------------------------------------------------------------


def ask_for_drafts(world: StoryWorld) -> tuple[Observation, ...]:
    """acme's agent asks for a primitive; contoso's two drafts lie in the samples."""
    content = draft_example().replace("code_origin: tenant", "code_origin: agent")
    world.request(draft_path(DRAFT), content.encode(), ENGINEER_ID)
    return ()


def bring_patches(world: StoryWorld) -> tuple[Observation, ...]:
    """A good patch and one that will be refused, both made against the scaffold."""
    base = world.engine.status(DRAFT).head
    source = "src/domain_order_router"
    bring_patch(
        world, "0001", "Choose the quickest partner", {f"{source}/routing.py": ROUTING}, base
    )
    other = {f"{source}/routing.py": "x = 1\n", f"{source}/partner_api.py": CLEAN_SETTINGS}
    bring_patch(world, "0002", "Read partners from the API", other, base)
    return ()


def ask_for_dev(world: StoryWorld) -> tuple[Observation, ...]:
    """Ask for all three primitives to run in dev: custom code, and the platform's for a tenant."""
    ask(world, DRAFT, "dev", ENGINEER_ID)
    ask(world, RATING, "dev", CONTOSO_ENGINEER_ID)
    ask(world, INVENTORY, "dev", PLATFORM_ENGINEER_ID)
    return ()


def take_over_and_ask_for_staging(world: StoryWorld) -> tuple[Observation, ...]:
    """acme's engineers merge the code; then staging is requested."""
    world.approve(CODE, 1, ENGINEER_ID)
    world.merge(CODE, 1, ENGINEER_ID)
    ask(world, DRAFT, "staging", RELEASE_MANAGERS[0])
    return ()


def ask_for_prod(world: StoryWorld) -> tuple[Observation, ...]:
    """prod is requested and approved by two people."""
    ask(world, DRAFT, "prod", RELEASE_MANAGERS[0], SECURITY_ID)
    return ()


def observe_and_follow_up(world: StoryWorld) -> tuple[Observation, ...]:
    """Delivery reports arrive, and a patch after the merge needs its own branch."""
    status = world.engine.status(DRAFT)
    base = world.forge.read_repo(CODE)
    assert base is not None and base.head is not None
    bring_patch(world, "0003", "Say what routing is", {"docs/routing.md": "# Routing\n"}, base.head)
    return healthy_everywhere(status)


STEPS: tuple[Act, ...] = (
    ask_for_drafts,
    bring_patches,
    ask_for_dev,
    take_over_and_ask_for_staging,
    ask_for_prod,
    observe_and_follow_up,
)


def story_files() -> dict[str, bytes]:
    """Policy, tenants, and contoso's drafts."""
    return {
        path: content
        for path, content in sample_files().items()
        if "/drafts/" not in path or path.startswith("tenants/contoso/")
    }


def start(root: Path) -> None:
    """A world before the first step."""
    create_control(root, story_files())


# -- comparing -----------------------------------------------------------------------------


def fingerprint(root: Path) -> dict[str, str]:
    """`repo ref` → tree id of every ref in every repository, and every image's digest."""
    found: dict[str, str] = {}
    forge = LocalForge(root / "forge", ORGANISATION)
    for path in sorted((root / "forge" / ORGANISATION).glob("*.git")):
        git = forge.open_repository(path.stem)
        for ref, commit in git.read_refs(("refs/",)).items():
            found[f"{path.stem} {ref}"] = git.read_commit(commit).tree
        branches = [p.head_branch for p in forge.read_pulls(path.stem)]
        assert len(branches) == len(set(branches)), f"{path.stem} has two for one: {branches}"
    forge.close()
    return found | image_indexes(root)


@dataclass(frozen=True)
class Checkpoint:
    """The world just before a step's run, and what the unbroken run made of it."""

    name: str
    before: Path
    observations: tuple[Observation, ...]
    after: dict[str, str]
    effects: int
    ref_moves: int


Mode = Literal["before", "after", "lost reply", "torn"]


@dataclass(frozen=True)
class Point:
    """Where a run is interrupted: at the n-th effect, or at the n-th move of refs inside one."""

    step: int
    mode: Mode
    number: int


@contextmanager
def counted_ref_moves(break_at: int = 0) -> Iterator[list[int]]:
    """Count moves of refs; interrupt just before the `break_at`-th, with objects written."""
    count = [0]
    real = GitRepository.update_refs

    def counting(self: GitRepository, updates: object) -> None:
        count[0] += 1
        if count[0] == break_at:
            raise Crash("refs not moved")
        real(self, updates)  # type: ignore[arg-type]  # passed through

    with mock.patch.object(GitRepository, "update_refs", counting):
        yield count


def fault_at(number: int, mode: Mode) -> tuple[FaultHook, list[int]]:
    """A hook that interrupts at the n-th effect, and its count of effects."""
    count = [0]

    def hook(when: Literal["before", "after"], effect: Effect) -> None:
        if when == "before":
            count[0] += 1
        if count[0] != number:
            return
        if mode == "lost reply" and when == "after":
            count[0] += 1_000_000  # once only: the same process goes on
            raise StalePlan(f"the reply of {effect.kind} was lost")
        if when == mode:
            raise Crash(f"{mode} {effect.kind}")

    return hook, count


@dataclass(frozen=True)
class Swept:
    """A story to sweep: its steps, the world before them, and how a fresh process opens it."""

    steps: tuple[Act, ...] = STEPS
    start: Callable[[Path], None] = start
    open: Callable[[Path, FaultHook], StoryWorld] = sweep_world


FIRST_DAY = Swept()


def tell(root: Path, swept: Swept = FIRST_DAY) -> tuple[Checkpoint, ...]:
    """The unbroken story, with the world kept as it was before each step's run."""
    live = root / "live"
    swept.start(live)
    checkpoints = []
    for index, act in enumerate(swept.steps):
        hook, effects = fault_at(0, "before")
        world = swept.open(live, hook)
        observations = act(world)
        world.close()
        before = root / f"before-{index}"
        shutil.copytree(live, before, symlinks=True)
        with counted_ref_moves() as moves:
            run_all(world, observations)
        plan = world.engine.plan(tenants=TENANTS)
        assert plan.is_empty and not any(t.waiting for t in plan.tenants), plan
        world.close()
        checkpoints.append(
            Checkpoint(act.__name__, before, observations, fingerprint(live), effects[0], moves[0])
        )
    return tuple(checkpoints)


def points_of(checkpoints: tuple[Checkpoint, ...]) -> list[Point]:
    """Every place where the story can be interrupted."""
    points = []
    for step, checkpoint in enumerate(checkpoints):
        for number in range(1, checkpoint.effects + 1):
            for mode in ("before", "after", "lost reply"):
                points.append(Point(step, mode, number))  # type: ignore[arg-type]  # a Mode
        points += [Point(step, "torn", n) for n in range(1, checkpoint.ref_moves + 1)]
    return points


def differences(
    point: Point, checkpoint: Checkpoint, folder: Path, swept: Swept = FIRST_DAY
) -> list[str]:
    """Differences from the unbroken run, after an interruption and a second run."""
    shutil.copytree(checkpoint.before, folder, symlinks=True)
    hook, _ = fault_at(point.number if point.mode != "torn" else 0, point.mode)
    world = swept.open(folder, hook)
    broke = False
    try:
        with counted_ref_moves(point.number if point.mode == "torn" else 0):
            report = world.engine.run(tenants=TENANTS, observations=checkpoint.observations)
        broke = bool(report.failures) or point.mode == "lost reply"
    except Crash:
        broke = True
    world.close()
    if not broke:
        return [f"nothing broke at {point}"]
    world = swept.open(folder, no_faults)
    run_all(world, checkpoint.observations)
    found = fingerprint(folder)
    again = world.engine.plan(tenants=TENANTS)
    world.close()
    shutil.rmtree(folder)
    return unlike(found, checkpoint.after, again)
