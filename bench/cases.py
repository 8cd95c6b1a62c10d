"""What is measured: each case makes its worlds, runs whole processes, and gives rows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.measure import PIPELINE, ROOT, BenchFailure, Timing, measure

FURTHER = 20
GATE_LEAST = 20_000
SANDBOX_LIMITS_MS = {"start": 60}
# Tenants and drafts of each, all asked for and nothing done yet; the first is what memory of the
# others is held against.
SHAPES = ((1, 100), (1, 300), (1, 1000), (50, 20))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was measured, and what the issue asks of it."""

    case: str
    what: str
    timing: Timing | None = None
    value: float | None = None  # where the row is not a time: a ratio
    unit: str = "s"
    limit: str = ""
    passed: bool | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A temporary folder with the worlds of one case."""

    root: Path
    times: int

    @property
    def environment(self) -> dict[str, str]:
        """What the measured processes see: a cache of their own."""
        return {"PIPELINE_CACHE": str(self.root / "cache")}

    def make(self, name: str, folder: str, *numbers: int) -> Path:
        """The world of this name, made in a process of its own."""
        return Path(self.tell("bench.worlds", name, str(self.root / folder), *map(str, numbers)))

    def tell(self, module: str, *arguments: str) -> str:
        """The last line that a module of the benchmark says."""
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchFailure(f"{' '.join(command)}\n{done.stderr[-2000:]}")
        return done.stdout.strip().split("\n")[-1]

    def pipeline(
        self, world: Path, *arguments: str, prepare: Callable[[], None] | None = None
    ) -> Timing:
        """The pipeline run on a world."""
        command = [PIPELINE, "-C", str(world / "control"), *arguments]
        return measure(command, times=self.times, environment=self.environment, prepare=prepare)


def below(case: str, what: str, timing: Timing, seconds: float, peak_mb: float = 0) -> Row:
    """A row with a limit in seconds and perhaps in MB, held against the quickest run."""
    limit = f"< {seconds:g} s" + (f", < {peak_mb:g} MB" if peak_mb else "")
    passed = timing.best_s < seconds and (not peak_mb or timing.peak_mb < peak_mb)
    return Row(case, what, timing, limit=limit, passed=passed)


def startup(place: Place) -> Iterable[Row]:
    """How long the command line takes to say anything."""
    timing = measure([PIPELINE, "--help"], times=3 * place.times, environment=place.environment)
    yield below("startup", "pipeline --help", timing, 0.15)


def validate(place: Place) -> Iterable[Row]:
    """Validation of 10,000 drafts, and of one that changed among them."""
    world = place.make("validate", "validate", 100, 100)
    full = place.pipeline(world, "validate")
    yield below("validate", "10,000 drafts", full, 10, 300)
    since = place.pipeline(world, "validate", "--since", "HEAD~1")
    yield below("validate", "--since, one changed of 10,000", since, 0.5)


def scaffold(place: Place) -> Iterable[Row]:
    """Scaffolding against copier, which writes the same files and nothing else.

    The runs take turns, so that what else the machine does falls on all alike.
    """
    count, copy = make_copier(place)
    worlds = {n: keep(place.make("scaffold", f"scaffold-{n}", n)) for n in (1, 1 + FURTHER)}
    runs: dict[str, list[Timing]] = {"copier": [], "one": [], "many": []}
    one = Place(place.root, 1)
    for number in range(place.times + 1):
        taken = {
            "copier": copy(),
            "one": measure_run(one, worlds[1]),
            "many": measure_run(one, worlds[1 + FURTHER]),
        }
        if number:
            for name, timing in taken.items():
                runs[name].append(timing)
    copier, first, many = (together(runs[name]) for name in ("copier", "one", "many"))
    yield Row("scaffold", f"copier copy, {count} files", copier)
    yield Row("scaffold", f"run, 1 draft of {count} files", first)
    yield Row("scaffold", f"run, {1 + FURTHER} drafts of {count} files", many)
    yield _ratio("scaffold", "copier to the first", copier.best_s / first.best_s, 2)
    further = (many.best_s - first.best_s) / FURTHER
    what = f"copier to each further ({further * 1000:.0f} ms)"
    yield _ratio("scaffold", what, copier.best_s / further, 20)


def scaffolds(place: Place) -> Iterable[Row]:
    """Up to 1,000 scaffolds in one run, of one tenant and of many, from requests that were merely
    merged: acceptance, repositories and start-up count. Copier takes turns with the runs."""
    count, copy = make_copier(place)
    worlds = {
        shape: keep(place.make("asked", f"asked-{shape[0]}-{shape[1]}", *shape)) for shape in SHAPES
    }
    copies: list[Timing] = []
    runs: dict[tuple[int, int], list[Timing]] = {shape: [] for shape in SHAPES}
    once = Place(place.root, 1)
    copy()
    for _ in range(min(place.times, 2)):
        for shape, world in worlds.items():
            copies += [copy(), copy()]
            runs[shape].append(measure_run(once, world))
    copier = together(copies)
    yield Row("scaffolds", f"copier copy, {count} files", copier)
    timings = {shape: together(found) for shape, found in runs.items()}
    for (tenants, drafts), timing in timings.items():
        whose = "one tenant" if tenants == 1 else f"{tenants} tenants"
        yield Row("scaffolds", f"run, {tenants * drafts:,} drafts of {whose}", timing)
    for (tenants, drafts), timing in timings.items():
        each = timing.best_s / (tenants * drafts)
        what = f"copier to each of {tenants * drafts:,} ({each * 1000:.0f} ms)"
        yield _ratio("scaffolds", what, copier.best_s / each, 30)
    grown = max(t.peak_mb for t in timings.values()) / timings[SHAPES[0]].peak_mb
    what = f"memory, 1,000 drafts to {SHAPES[0][1]}"
    yield Row("scaffolds", what, None, grown, "×", "< 1.3 ×", grown < 1.3)


def reconcile(place: Place) -> Iterable[Row]:
    """Runs over a GitHub of 50 ms a request; 1,000 tenants have a draft under way."""
    import time

    from bench.github import serve

    world = place.make("many", "many", 1000)
    with serve(world) as github:
        for what, changed in (
            ("no cache", None),
            ("nothing changed", 0),
            ("10 tenants ask for a draft", 10),
            ("once more", 0),
            ("nothing changed then", 0),
        ):
            if changed:
                github.ask(changed, 1)
            begun = time.perf_counter()
            cost = github.run()
            seconds = time.perf_counter() - begun
            yield Row("reconcile", f"1,000 tenants, {what}", None, seconds, "s")
            yield Row("reconcile", "  calls of the API", None, cost.calls, "")
            yield Row("reconcile", "  calls of git", None, cost.git, "")


def make_copier(place: Place) -> tuple[str, Callable[[], Timing]]:
    """How many files copier writes, and a call that measures it writing them once."""
    from bench.peers import COPIER

    if not COPIER.exists():
        raise BenchFailure("copier is missing: `python3 tools/setup.py bench` installs it")
    count = place.tell("bench.peers", str(place.root / "peer"))
    target = place.root / "written"
    options = ["--defaults", "--quiet", "--overwrite"]
    command = [str(COPIER), "copy", *options, str(place.root / "peer" / "template"), str(target)]

    def copy() -> Timing:
        shutil.rmtree(target, ignore_errors=True)
        return measure(command, times=1, warm_up=False)

    return count, copy


def together(timings: Iterable[Timing]) -> Timing:
    """All samples as those of one."""
    return Timing(tuple(sample for timing in timings for sample in timing.samples))


def keep(world: Path) -> Path:
    """The world, of which `measure_run` finds a copy to put back."""
    shutil.copytree(world, world.with_suffix(".saved"), symlinks=True)
    return world


def measure_run(place: Place, world: Path) -> Timing:
    """One run on a world that is put back first."""
    shutil.rmtree(world)
    shutil.copytree(world.with_suffix(".saved"), world, symlinks=True)
    command = [PIPELINE, "-C", str(world / "control"), "run"]
    return measure(command, times=1, environment=place.environment, warm_up=False)


def _ratio(case: str, what: str, value: float, least: float) -> Row:
    return Row(case, what, None, value, "×", f"≥ {least:g} ×", value >= least)


def status(place: Place) -> Iterable[Row]:
    """The status of one draft among many."""
    world = place.make("status", "status", 1000, 50)
    timing = place.pipeline(world, "status", "unit-000/order-router-007")
    yield below("status", "one of 1,000 drafts, 50,000 facts", timing, 0.2)


def audit(place: Place) -> Iterable[Row]:
    """The proof of 50,000 facts from clones, and again after one more, which clones remember."""
    world = Path(place.tell("bench.audited", "make", str(place.root / "audit"), "20", "50", "50"))
    clones = str(next((world / "forge").iterdir()))
    options = ("audit", "verify", "--clones", clones)
    command = [PIPELINE, "-C", str(world / "control"), *options, "--full"]
    full = measure(command, times=1, environment=place.environment, warm_up=False)
    yield below("audit", "50,000 facts of 1,000 drafts", full, 60)

    def one_more() -> None:
        place.tell("bench.audited", "more", str(world))

    more = place.pipeline(world, *options, prepare=one_more)
    yield below("audit", "again, after one more fact", more, 2)


def idle(place: Place) -> Iterable[Row]:
    """A run with nothing to do: by tenants, and by history."""
    best = {}
    for tenants, patches in ((5, 4), (5, 40), (50, 4)):
        world = place.make("idle", f"idle-{tenants}-{patches}", tenants, patches)
        facts = (3 + 2 * patches) * 2 * tenants
        timing = place.pipeline(world, "run")
        best[tenants, patches] = timing.best_s
        yield Row("idle", f"{tenants} tenants, {facts:,} facts", timing)
    grown = best[5, 40] / best[5, 4]
    yield Row("idle", "10 × the history", None, grown, "×", "< 1.3 ×", grown < 1.3)


def demo(place: Place) -> Iterable[Row]:
    """The whole demo, once everything is set up."""
    timing = measure(["make", "demo"], times=1)
    yield below("demo", "make demo, set up before", timing, 60)


def gate(place: Place) -> Iterable[Row]:
    """Decisions on promotions: CPU time alone."""
    told = json.loads(place.tell("bench.gate", str(1000 * place.times)))
    for what, a_second in told.items():
        limit = GATE_LEAST if what == "decisions" else None
        yield Row(
            "gate",
            what,
            value=a_second,
            unit="/s",
            limit=f"≥ {limit:,} /s" if limit else "",
            passed=a_second >= limit if limit else None,
        )


def sandbox(place: Place) -> Iterable[Row]:
    """The start of a sandbox, and of tools in it: the quickest of many runs in one process."""
    told = json.loads(place.tell("bench.sandbox", str(10 * place.times)))
    for name, runs_ms in told.items():
        best_ms, limit = min(runs_ms), SANDBOX_LIMITS_MS.get(name)
        yield Row(
            "sandbox",
            f"{name}, median {sorted(runs_ms)[len(runs_ms) // 2]:.0f} ms",
            value=best_ms,
            unit="ms",
            limit=f"< {limit} ms" if limit else "",
            passed=best_ms < limit if limit else None,
        )


CASES: dict[str, Callable[[Place], Iterable[Row]]] = {
    "startup": startup,
    "validate": validate,
    "scaffold": scaffold,
    "scaffolds": scaffolds,
    "reconcile": reconcile,
    "status": status,
    "audit": audit,
    "idle": idle,
    "gate": gate,
    "sandbox": sandbox,
    "demo": demo,
}
# Not without being asked: it leaves `.demo/` behind.
BY_DEFAULT = tuple(name for name in CASES if name != "demo")
