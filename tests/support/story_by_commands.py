"""A story told by the command line alone, for tests of commands.

It is small on purpose: the demo tells the long one, which `tests/integration/test_kept_world.py`
runs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import pytest

from pipeline.delivery.reports import render_observations
from pipeline.engine import opening
from pipeline.engine.opening import open_engine
from tests.support.command_line import call, copy_world, passing_checks
from tests.support.deliveries import healthy_everywhere
from tests.support.samples import DRAFT, sample_files
from tests.support.sources import CLEAN_SETTINGS, ROUTING
from worlds.control_repo import START_TIME_S, create_control

CLOCK = str(START_TIME_S)
AGENT, ENGINEER = "acme-agent[bot]", "acme-engineer-1"
MANAGER, SECURITY = "release-manager-1", "security-reviewer-1"
CREATE = (
    *f"draft create {DRAFT} --template domain --origin agent --owner acme-engineers".split(),
    *("--description", "Routes orders", "--entity", "order"),
)
SUBMIT = ("--submit", "--as", AGENT)
RUN = ("run", "--tenant", "acme")
Command = tuple[str, ...]


def _approve(pull: str, who: str, *options: str) -> Command:
    return ("review", "approve", pull, "--as", who, *options)


def _write(summary: str, *files: str) -> Command:
    options = [part for file in files for part in ("--write", f"src/domain_order_router/{file}")]
    return ("draft", "update", DRAFT, "--summary", summary, *options, *SUBMIT)


def _promote(environment: str) -> Command:
    return ("promote", "request", DRAFT, "--env", environment, "--reason", "Peak season", *SUBMIT)


def steps(work: Path) -> dict[str, tuple[Command, ...]]:
    """Step → its commands, in order; `work` is the folder of the files that patches write."""
    routing, other = f"routing.py={work}/routing.py", f"routing.py={work}/other.py"
    return {
        "ask": ((*CREATE, *SUBMIT), _approve("control#1", ENGINEER, "--merge")),
        "scaffold": (RUN,),
        "write patches": (
            _write("Choose the quickest partner", routing),
            _approve("control#2", ENGINEER, "--merge"),
            _write("Read from the API", other, f"partner_api.py={work}/partner_api.py"),
            _approve("control#3", ENGINEER, "--merge"),
        ),
        "apply patches": (RUN,),
        "ask for dev": (_promote("dev"), _approve("control#4", ENGINEER, "--merge")),
        "dev": (RUN,),
        "take over": (_approve("tenant-acme-controllers#1", ENGINEER, "--merge"),),
        "staging": (_promote("staging"), _approve("control#5", MANAGER, "--merge"), RUN),
        "prod": (
            _promote("prod"),
            _approve("control#6", MANAGER),
            _approve("control#6", SECURITY, "--merge"),
            RUN,
        ),
        "observe": ((*RUN, "--observations", f"{work}/observations.yaml"),),
    }


def begin(root: Path) -> Path:
    """A control checkout before the first step."""
    return create_control(root, sample_files())


def prepare(control: Path, step: str) -> Path:
    """The folder of the files that a step's commands read, written for the current state."""
    work = control.parent / "work"
    work.mkdir(exist_ok=True)
    (work / "routing.py").write_text(ROUTING)
    (work / "other.py").write_text(ROUTING.replace("quickest", "first"))
    (work / "partner_api.py").write_text(CLEAN_SETTINGS)
    if step == "observe":
        seen = healthy_everywhere(open_engine(control).status(DRAFT))
        (work / "observations.yaml").write_bytes(render_observations(seen))
    return work


def take(control: Path, step: str) -> None:
    """Run the commands of one step; each must succeed."""
    for command in steps(prepare(control, step))[step]:
        ran = call(control, *command)
        assert ran.exit_code == 0, (command, ran)


@contextmanager
def quick_commands() -> Iterator[None]:
    """Within the block the clock stands still and every check passes at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "check_runner", passing_checks)
        patch.setenv("SOURCE_DATE_EPOCH", CLOCK)
        yield


@lru_cache
def _told(count: int) -> tuple[Path, tempfile.TemporaryDirectory[str]]:
    """The control checkout after this many steps, and what keeps it until the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="pipeline-tests-told-")
    root = Path(folder.name)
    if count == 0:
        return begin(root), folder
    control = copy_world(_told(count - 1)[0], root)
    with quick_commands():
        take(control, list(steps(root / "work"))[count - 1])
    return control, folder


def tell(root: Path, *, until: str = "") -> Path:
    """The control checkout after the story's steps up to, without, the one named `until`.

    Each step is told once a process and copied.
    """
    names = list(steps(root))
    return copy_world(_told(names.index(until) if until else len(names))[0], root)
