"""Runs the demo: prints each command as a user would type it, runs it, and shows its output.

Everything happens on a real forge, by default bare repositories below `.demo/`, which are kept to
look around in. The first command with an unexpected exit code ends the demo with an error.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from pipeline.delivery.reports import render_observations
from pipeline.demo import second_day, story
from pipeline.demo.setting import DemoSetting, LocalSetting, read_sample_files
from pipeline.errors import PipelineError, UsageFault
from pipeline.git.repository import GitRepository
from pipeline.machine.clock import read_clock
from pipeline.models.evidence import Observation
from pipeline.models.status import DraftStatus
from pipeline.state.facts import parse_status, status_path

PACKAGE = "domain_order_router"
MARKER = "made-by-pipeline-demo"


class DemoBroke(PipelineError):
    """A step of the demo did not end as expected (exit 1)."""

    exit_code = 1
    code = "demo-broke"


RunCommand = Callable[[Sequence[str]], int]  # one `pipeline` command → its exit code


@dataclass
class Teller:
    """Runs commands in the demo's control checkout and prints the story."""

    root: Path
    shown_root: str
    setting: DemoSetting
    console: Console
    run_command: RunCommand
    commands: int = 0
    chapters: int = 0
    started: float = field(default_factory=time.monotonic)

    def chapter(self, title: str, text: str) -> None:
        """Print a chapter's heading and text."""
        self.chapters += 1
        self.console.print()
        heading = Text(f" {self.chapters}  {title} ", style="bold cyan")
        self.console.print(Rule(heading, align="left", style="cyan"))
        self.console.print(Text(text, style="italic dim"))

    def run(self, arguments: Sequence[str], exit_code: int = 0, *, directory: str = "") -> None:
        """Print and run one `pipeline` command. Raises DemoBroke for an unexpected exit code."""
        place = directory or f"{self.shown_root}/control"
        arguments = [self._filled(a) for a in arguments]
        shown = [a.replace(str(self.root), self.shown_root) for a in arguments]
        login = arguments[arguments.index("--as") + 1] if "--as" in arguments else None
        before, credential = self.setting.credential(login)
        self.type_line(f"{before}pipeline -C {place} {shlex.join(shown)}")
        where = str(self.root / Path(place).relative_to(self.shown_root))
        with environment(credential):
            found = self.run_command(["-C", where, *arguments])
        self.commands += 1
        if found != exit_code:
            raise DemoBroke(
                f"`pipeline {shlex.join(shown)}` ended with {found}, expected {exit_code}"
            )
        if exit_code:
            self.console.print(Text(f"  (exit code {found}, as it must be)", style="dim"))

    def write(self, step: story.Write) -> None:
        """Print how a person writes a file of the checkout, and write it."""
        text = self._filled(step.text)
        sign = ">>" if step.appends else ">"
        self.type_line(f"cat {sign} {self.shown_root}/control/{step.path} <<EOF")
        self.console.print(Text(f"{text}EOF"), soft_wrap=True)
        path = self.root / "control" / step.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if step.appends else "w") as file:
            file.write(text)

    def _filled(self, text: str) -> str:
        """The text with the digest of the newest build where it asks for it."""
        if second_day.DIGEST not in text:
            return text
        return text.replace(second_day.DIGEST, read_status(self.setting).builds[-1].digest)

    def type_line(self, line: str) -> None:
        """Print a line as typed at a prompt."""
        self.console.print()
        self.console.print(
            Text("$ ", style="bold green") + Text(line, style="bold"), soft_wrap=True
        )


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables within the block only."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def clear(root: Path) -> None:
    """Remove an earlier demo's folder; raises UsageFault for any other content."""
    if not root.exists():
        return
    if any(root.iterdir()) and not (root / MARKER).exists():
        raise UsageFault(
            f"{root} holds something that the demo did not make", help="choose another --root"
        )
    shutil.rmtree(root)


def write_patch_files(work: Path) -> None:
    """Write the files for the story's patches."""
    work.mkdir(parents=True, exist_ok=True)
    routing = story.ROUTING
    (work / "routing.py").write_text(routing)
    (work / "test_routing.py").write_text(story.TEST_ROUTING.format(package=PACKAGE))
    (work / "other_routing.py").write_text(routing.replace("lead_time_days", "days"))
    (work / "next_routing.py").write_text(story.NEXT_ROUTING)
    (work / "leaked_settings.py").write_text(story.leaked_settings())
    (work / "partner_api.py").write_text(story.CLEAN_SETTINGS)


def write_observations(work: Path, status: DraftStatus) -> None:
    """Write what a delivery tool would report now about every environment."""
    seen = tuple(
        Observation(
            environment=p.environment,
            draft=status.id,
            digest=p.release.digest,
            health="Healthy",
            sync="Synced",
            revision=p.gitops_commit,  # type: ignore[arg-type]  # a commit id by construction
            observed_at=p.merged_at,
        )
        for p in status.promotions
    )
    (work / "observations.yaml").write_bytes(render_observations(seen))


MakeSetting = Callable[[Path, str, Mapping[str, bytes]], DemoSetting]


def run_demo(
    root: Path,
    run_command: RunCommand,
    console: Console | None = None,
    make_setting: MakeSetting = LocalSetting,
) -> None:
    """Tell the whole story below `root`; `run_command` runs each command in this process.

    Raises DemoBroke if a step does not end as expected.
    """
    console = console or Console(highlight=False)
    root = root.resolve()
    clear(root)
    root.mkdir(parents=True)
    (root / MARKER).write_text("")
    shown = _shown(root)
    files = read_sample_files()
    setting = make_setting(root, shown, files)
    work = root / "work"
    write_patch_files(work)
    teller = Teller(root, shown, setting, console, run_command)
    _tell_setting(teller)
    _tell_chapters(teller, story.chapters(PACKAGE, str(work)))
    _tell_proof(teller)
    _tell_chapters(teller, second_day.second_day(PACKAGE, str(work), read_clock()))
    _tell_end(teller)
    seconds = time.monotonic() - teller.started
    console.print()
    console.print(
        Text(f"✓ {teller.commands} commands in {seconds:.0f} s. ", style="bold green")
        + Text(f"Look around in {shown}/: control/ is a checkout, clones/ holds what was proved.")
    )


def _tell_chapters(teller: Teller, chapters: Sequence[story.Chapter]) -> None:
    for chapter in chapters:
        teller.chapter(chapter.title, chapter.text)
        for step in chapter.commands:
            _take(teller, step)


def _take(teller: Teller, step: story.Command | story.Write) -> None:
    """Take one step of a chapter."""
    if isinstance(step, story.Write):
        teller.write(step)
        return
    if "--observations" in step.arguments:
        write_observations(teller.root / "work", read_status(teller.setting))
    teller.run(step.arguments, step.exit_code)


def _shown(root: Path) -> str:
    try:
        return str(root.relative_to(Path.cwd()))
    except ValueError:
        return str(root)


def read_status(setting: DemoSetting) -> DraftStatus:
    """The recorded status of the story's draft."""
    forge = setting.open_forge()
    git = forge.open_repository("control")
    path = status_path(story.DRAFT.primitive)
    found = git.read_object(f"refs/heads/state/{story.TENANT}:{path}")
    forge.close()
    if found is None:
        raise DemoBroke(f"state/{story.TENANT} holds no status of {story.DRAFT}")
    return parse_status(found.content)


def _tell_setting(teller: Teller) -> None:
    teller.console.print(
        Padding(
            Text.assemble(
                ("Primitive Pipeline: one request, from a YAML file to production\n", "bold"),
                "A control repo with three environments and four tenants lies ",
                f"{teller.setting.describe()}; nothing else exists yet. ",
                "Every step below is a command that you can type.",
            ),
            (1, 0, 0, 0),
        )
    )
    teller.run(("validate",))


def _tell_proof(teller: Teller) -> None:
    gitops = f"tenant-{story.TENANT}-gitops"
    path = f"{teller.shown_root}/clones/{gitops}"
    teller.chapter(
        "What Argo CD syncs",
        "One overlay for each environment; `base/` is the same tree in all of them.",
    )
    git = GitRepository(_clone(teller, gitops))
    teller.type_line(f"git -C {path} ls-tree -r --name-only main environments")
    for name in sorted(git.list_files("refs/heads/main", "environments")):
        teller.console.print(f"environments/{name}")

    teller.chapter(
        "Three environments, one digest",
        "The image was built once; people approved exactly this digest.",
    )
    instance = story.DRAFT.primitive
    for environment in ("dev", "staging", "prod"):
        file = f"environments/{environment}/{instance}/release.yaml"
        teller.type_line(f"git -C {path} show main:{file} | grep digest")
        found = git.read_object(f"refs/heads/main:{file}")
        lines = found.content.decode().splitlines() if found else []
        teller.console.print("\n".join(line for line in lines if line.startswith("digest:")))
    git.close()

    teller.chapter(
        "Proof, from fresh clones alone",
        "No forge is asked: chain and fold of every fact, every overlay, every digest.",
    )
    _verify(teller, "clones", ("control", f"tenant-{story.TENANT}-controllers"))


def _tell_end(teller: Teller) -> None:
    teller.chapter(
        "Both days, proved from clones",
        "Every decision again, at its own time, by the policy of its moment. All that is found is "
        "where the blocked image still runs.",
    )
    gitops = f"tenant-{story.TENANT}-gitops"
    repos = ("control", f"tenant-{story.TENANT}-controllers", gitops)
    _verify(teller, "clones-of-both-days", repos, exit_code=1)
    teller.run(("audit", "report", "--env", "prod"))

    teller.chapter(
        "Run it again", "Nothing is remembered but Git, so there is nothing to do twice."
    )
    teller.run(("run", "--tenant", story.TENANT))
    teller.run(("plan", "--tenant", story.TENANT))


def _verify(teller: Teller, folder: str, repos: Sequence[str], exit_code: int = 0) -> None:
    """Clone these repositories, and audit them."""
    for repo in repos:
        _clone(teller, repo, folder)
    teller.run(
        ("audit", "verify", "--clones", str(teller.root / folder)),
        exit_code,
        directory=f"{teller.shown_root}/{folder}/control",
    )


def _clone(teller: Teller, repo: str, folder: str = "clones") -> Path:
    """The folder of a repository's clone, made as a user would."""
    path = teller.root / folder / repo
    teller.type_line(
        f"git clone -q {teller.setting.address(repo)} {teller.shown_root}/{folder}/{repo}"
    )
    teller.setting.clone(repo, path)
    return path
