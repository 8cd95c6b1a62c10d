"""The benchmark cases: each makes its worlds, runs whole processes, and returns rows.

Each checks that the work it names was done, and raises BenchFailure if not. Its short form does the
same work on small worlds, once, and judges no limit.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.measure import ROOT, BenchFailure, Timing, measure
from worlds import PIPELINE, requests

FURTHER = 20
GATE_LEAST = 20_000
SANDBOX_LIMITS_MS = {"start": 60}
# Tenants, and drafts per tenant, all requested and nothing done yet; the memory of the others is
# compared with the first.
SHAPES = ((1, 100), (1, 300), (1, 1000), (50, 20))
SHORT_SHAPES = ((1, 2), (2, 1))
Shape = tuple[int, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was measured, and its limit."""

    case: str
    what: str
    timing: Timing | None = None
    value: float | None = None  # a ratio, if the row is not a time
    unit: str = "s"
    limit: str = ""
    passed: bool | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A temporary folder with the worlds of one case."""

    root: Path
    times: int
    short: bool = False

    def size(self, full: T, short: T) -> T:
        """The size to measure: the full one, or the small one in the short form."""
        return short if self.short else full

    @property
    def environment(self) -> dict[str, str]:
        """The environment of measured processes: their own cache."""
        return {"PIPELINE_CACHE": str(self.root / "cache")}

    def make(self, name: str, folder: str, *numbers: int) -> Path:
        """The world with this name, made in a separate process."""
        return Path(self.tell("worlds.control", name, str(self.root / folder), *map(str, numbers)))

    def tell(self, module: str, *arguments: str) -> str:
        """The last line that a module of the benchmark prints."""
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchFailure(f"{' '.join(command)}\n{done.stderr[-2000:]}")
        return done.stdout.strip().split("\n")[-1]

    def said(self, world: Path, *arguments: str) -> str:
        """The output of the pipeline, run once on a world."""
        command = [PIPELINE, "-C", str(world / "control"), *arguments]
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        return done.stdout

    def expect(self, told: str, pattern: str) -> None:
        """Raise BenchFailure unless the output shows that the case did its work."""
        if not re.search(pattern, told):
            raise BenchFailure(f"it did other work than it names: no `{pattern}` in\n{told[-500:]}")

    def expect_scaffolded(self, world: Path, drafts: int) -> None:
        """Raise BenchFailure unless exactly this many drafts were scaffolded."""
        told = self.tell("worlds.control", "count", str(world))
        self.expect(told, rf"^{drafts} ")

    def pipeline(
        self, world: Path, *arguments: str, prepare: Callable[[], None] | None = None
    ) -> Timing:
        """The timing of the pipeline on a world."""
        command = [PIPELINE, "-C", str(world / "control"), *arguments]
        return measure(command, times=self.times, environment=self.environment, prepare=prepare)


def below(case: str, what: str, timing: Timing, seconds: float, peak_mb: float = 0) -> Row:
    """A row with a limit in seconds and perhaps in MB, compared with the fastest run."""
    limit = f"< {seconds:g} s" + (f", < {peak_mb:g} MB" if peak_mb else "")
    passed = timing.best_s < seconds and (not peak_mb or timing.peak_mb < peak_mb)
    return Row(case, what, timing, limit=limit, passed=passed)


def startup(place: Place) -> Iterable[Row]:
    """The start-up time of the command line."""
    timing = measure([PIPELINE, "--help"], times=3 * place.times, environment=place.environment)
    yield below("startup", "pipeline --help", timing, 0.15)


def validate(place: Place) -> Iterable[Row]:
    """Validation of 10,000 drafts, and of one changed draft among them."""
    tenants, drafts = place.size((100, 100), (3, 4))
    world = place.make("validate", "validate", tenants, drafts)
    count, policy = tenants * drafts, len(requests.policy_files())
    full = place.pipeline(world, "validate")
    place.expect(place.said(world, "validate"), rf"✓ {policy + tenants + count} requests")
    yield below("validate", f"{count:,} drafts", full, 10, 300)
    options = ("validate", "--since", "HEAD~1")
    since = place.pipeline(world, *options)
    # The changed draft, its tenant, and policy; a change of policy would judge all.
    place.expect(place.said(world, *options), rf"✓ {policy + 2} requests")
    yield below("validate", f"--since, one changed of {count:,}", since, 0.5)


def scaffold(place: Place) -> Iterable[Row]:
    """Scaffolding compared with copier, which writes the same files and does nothing else.

    The runs take turns, so that other load on the machine affects both alike.
    """
    further = place.size(FURTHER, 2)
    count, copy = make_copier(place)
    worlds = {n: keep(place.make("scaffold", f"scaffold-{n}", n)) for n in (1, 1 + further)}
    runs: dict[str, list[Timing]] = {"copier": [], "one": [], "many": []}
    for number in range(place.times + 1):
        taken = {
            "copier": copy(),
            "one": measure_run(place, worlds[1]),
            "many": measure_run(place, worlds[1 + further]),
        }
        if number:
            for name, timing in taken.items():
                runs[name].append(timing)
    for pending, world in worlds.items():
        place.expect_scaffolded(world, 1 + pending)
    copier, first, many = (together(runs[name]) for name in ("copier", "one", "many"))
    yield Row("scaffold", f"copier copy, {count} files", copier)
    yield Row("scaffold", f"run, 1 draft of {count} files", first)
    yield Row("scaffold", f"run, {1 + further} drafts of {count} files", many)
    yield _ratio("scaffold", "copier to the first", copier.best_s / first.best_s, 2)
    each = max(many.best_s - first.best_s, 1e-9) / further
    what = f"copier to each further ({each * 1000:.0f} ms)"
    yield _ratio("scaffold", what, copier.best_s / each, 20)


def scaffolds(place: Place) -> Iterable[Row]:
    """Up to 1,000 scaffolds in one run, for one tenant and for many, from merged requests on:
    acceptance, repositories and start-up count. Copier takes turns with the runs."""
    shapes: tuple[Shape, ...] = place.size(SHAPES, SHORT_SHAPES)
    count, copy = make_copier(place)
    worlds = {
        shape: keep(place.make("asked", f"asked-{shape[0]}-{shape[1]}", *shape)) for shape in shapes
    }
    copies: list[Timing] = []
    runs: dict[Shape, list[Timing]] = {shape: [] for shape in shapes}
    copy()
    for _ in range(min(place.times, 2)):
        for shape, world in worlds.items():
            copies += [copy(), copy()]
            runs[shape].append(measure_run(place, world))
            place.expect_scaffolded(world, shape[0] * shape[1])
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
    grown = max(t.peak_mb for t in timings.values()) / timings[shapes[0]].peak_mb
    what = f"memory, most drafts to {shapes[0][1]}"
    yield Row("scaffolds", what, None, grown, "×", "< 1.3 ×", grown < 1.3)


def reconcile(place: Place) -> Iterable[Row]:
    """Runs on a GitHub with 50 ms per request; 1,000 tenants have a draft in progress."""
    import time

    from bench.github import DELAY_S, serve

    tenants, asking = place.size((1000, 10), (2, 1))
    world = place.make("many", "many", tenants)
    drafts = tenants
    with serve(world, delay_s=place.size(DELAY_S, 0)) as github:
        for what, changed in (
            ("no cache", None),
            ("nothing changed", 0),
            (f"{asking} tenants ask for a draft", asking),
            ("once more", 0),
            ("nothing changed then", 0),
        ):
            if changed:
                github.ask(changed, 1)
            begun = time.perf_counter()
            cost = github.run()
            seconds = time.perf_counter() - begun
            drafts += changed or 0
            if github.scaffolded() != drafts:
                raise BenchFailure(f"{github.scaffolded()} of {drafts} drafts are scaffolded")
            yield Row("reconcile", f"{tenants:,} tenants, {what}", None, seconds, "s")
            yield Row("reconcile", "  calls of the API", None, cost.calls, "")
            yield Row("reconcile", "  calls of git", None, cost.git, "")


def make_copier(place: Place) -> tuple[str, Callable[[], Timing]]:
    """The number of files that copier writes, and a call that measures writing them once."""
    from bench.peers import COPIER

    if place.short:
        # The peer is not part of this project: its stand-in takes a moment and writes nothing.
        return "no", lambda: measure([sys.executable, "-c", ""], times=1, warm_up=False)
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
    """All samples as one timing."""
    return Timing(tuple(sample for timing in timings for sample in timing.samples))


def keep(world: Path) -> Path:
    """The world, after saving a copy for `measure_run` to restore."""
    shutil.copytree(world, world.with_suffix(".saved"), symlinks=True)
    return world


def measure_run(place: Place, world: Path) -> Timing:
    """The timing of one run on a restored world."""
    shutil.rmtree(world)
    shutil.copytree(world.with_suffix(".saved"), world, symlinks=True)
    command = [PIPELINE, "-C", str(world / "control"), "run"]
    return measure(command, times=1, environment=place.environment, warm_up=False)


def _ratio(case: str, what: str, value: float, least: float) -> Row:
    return Row(case, what, None, value, "×", f"≥ {least:g} ×", value >= least)


def status(place: Place) -> Iterable[Row]:
    """The status of one draft among many."""
    drafts, facts = place.size((1000, 50), (3, 30))
    world = place.make("status", "status", drafts, facts)
    asked = ("status", f"{requests.tenant_name(0)}/{requests.draft_name(drafts // 2)}")
    timing = place.pipeline(world, *asked)
    place.expect(place.said(world, *asked), rf"facts +{facts} facts")
    what = f"one of {drafts:,} drafts, {drafts * facts:,} facts"
    yield below("status", what, timing, 0.2)


def audit(place: Place) -> Iterable[Row]:
    """The proof of 50,000 facts from clones, and again after one more, with remembered results."""
    sizes = place.size((20, 50, 50), (2, 2, 12))
    facts, drafts = sizes[0] * sizes[1] * sizes[2], sizes[0] * sizes[1]
    folder = str(place.root / "audit")
    world = Path(place.tell("worlds.history", "make", folder, *map(str, sizes)))
    clones = str(next((world / "forge").iterdir()))
    options = ("audit", "verify", "--clones", clones)
    command = [PIPELINE, "-C", str(world / "control"), *options, "--full"]
    full = measure(command, times=1, environment=place.environment, warm_up=False)
    place.expect(place.said(world, *options), f"verified: {facts} facts of {drafts} drafts")
    yield below("audit", f"{facts:,} facts of {drafts:,} drafts", full, 60)

    def one_more() -> None:
        place.tell("worlds.history", "more", str(world))

    more = place.pipeline(world, *options, prepare=one_more)
    grown = facts + len(more.samples) + 1  # the warm-up run adds a fact too
    place.expect(place.said(world, *options), f"verified: {grown} facts")
    yield below("audit", "again, after one more fact", more, 2)


def idle(place: Place) -> Iterable[Row]:
    """A run with nothing to do, by number of tenants and by length of history."""
    best = {}
    shapes = place.size(((5, 4), (5, 40), (50, 4)), ((1, 2), (1, 20), (2, 2)))
    for tenants, patches in shapes:
        world = place.make("idle", f"idle-{tenants}-{patches}", tenants, patches)
        facts = (3 + 2 * patches) * 2 * tenants
        timing = place.pipeline(world, "run")
        best[tenants, patches] = timing.best_s
        place.expect(place.said(world, "run"), "nothing to do")
        told = place.tell("worlds.control", "count", str(world))
        place.expect(told, rf"^{2 * tenants} {facts}$")
        yield Row("idle", f"{tenants} tenants, {facts:,} facts", timing)
    grown = best[shapes[1]] / best[shapes[0]]
    yield Row("idle", "10 × the history", None, grown, "×", "< 1.3 ×", grown < 1.3)


def tenants(place: Place) -> Iterable[Row]:
    """1,000 tenants on a local forge: a run with nothing to do, and one with a single request."""
    count = place.size(1000, 3)
    world = place.make("many", "tenants", count)
    idle = place.pipeline(world, "run")
    place.expect(place.said(world, "run"), "nothing to do")
    yield Row("tenants", f"{count:,} tenants, nothing to do", idle)

    def ask() -> None:
        place.tell("worlds.control", "ask", str(world), str(count // 2))

    due = place.pipeline(world, "run", prepare=ask)
    place.expect_scaffolded(world, count + len(due.samples) + 1)
    yield Row("tenants", f"{count:,} tenants, one asks for a draft", due)


def patches(place: Place) -> Iterable[Row]:
    """1,000 patches on one draft in one run, and their proof; the cost of one fact."""
    count = place.size(1000, 24)
    world = place.root / "patches"
    told = json.loads(place.tell("bench.patches", str(world), str(count)))
    for name in ("first", "last"):
        what = f"{count:,} patches of a draft, each of the {name}"
        yield Row("patches", what, None, told[f"{name}_ms"], "ms")
    fetch = ["git", "-C", str(world / "control"), "fetch", "-q", "origin"]
    subprocess.run(fetch, check=True)
    clones = str(next((world / "forge").iterdir()))
    proof = ("audit", "verify", "--clones", clones)
    command = [PIPELINE, "-C", str(world / "control"), *proof, "--full"]
    timing = measure(command, times=1, environment=place.environment, warm_up=False)
    place.expect(place.said(world, *proof), f"verified: {told['facts']} facts of 1 draft")
    yield Row("patches", f"audit of its {told['facts']:,} facts", timing)
    numbers = place.size((100, 1000, 10_000), (20, 120, 160))
    cost = json.loads(place.tell("bench.facts", str(place.root / "facts"), *map(str, numbers)))
    for number in numbers:
        of = cost[str(number)]
        what = f"fact {number:,}: {of['processes']} process, {of['objects']} objects"
        yield Row("patches", what, None, of["ms"], "ms")
        yield Row("patches", f"fact {number:,}: bytes", None, of["bytes"], "B")
        yield Row("patches", f"check of all before it: {number:,}", None, of["whole_ms"], "ms")
        yield Row("patches", f"the same, remembered: {number:,}", None, of["checked_ms"], "ms")
    grown = cost[str(numbers[-1])]["bytes"] / cost[str(numbers[0])]["bytes"]
    what = f"bytes, fact {numbers[-1]:,} to {numbers[0]:,}"
    yield Row("patches", what, None, grown, "×", "< 1.2 ×", grown < 1.2)
    grown = cost[str(numbers[-1])]["checked_ms"] / cost[str(numbers[0])]["checked_ms"]
    what = f"check remembered, fact {numbers[-1]:,} to {numbers[0]:,}"
    yield Row("patches", what, None, grown, "×", "< 1.5 ×", grown < 1.5)


def demo(place: Place) -> Iterable[Row]:
    """The whole demo, once everything is set up."""
    root = place.size(ROOT / ".demo", place.root / "demo")
    command = place.size(["make", "demo"], [PIPELINE, "demo", "--root", str(root)])
    timing = measure(command, times=1, warm_up=not place.short)
    place.expect(place.said(root, "status"), "PROMOTED_PROD")
    yield below("demo", "make demo, set up before", timing, 60)


def gate(place: Place) -> Iterable[Row]:
    """Decisions on promotions, in CPU time."""
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


def policy(place: Place) -> Iterable[Row]:
    """A change of policy against 10,000 recorded decisions, each made again by both policies."""
    tenants, drafts = place.size((20, 50), (2, 1))
    world = Path(
        place.tell("worlds.decisions", str(place.root / "policy"), str(tenants), str(drafts))
    )
    count = 10 * tenants * drafts
    for what, branch, again, others in (
        ("all made again", "all", count, "none"),
        ("prod's made again", "prod", 3 * tenants * drafts, str(3 * tenants * drafts)),
    ):
        asked = ("policy", "diff", "origin/main", f"origin/{branch}")
        timing = place.pipeline(world, *asked)
        told = place.said(world, *asked)
        place.expect(told, rf"{others} of {count} recorded decisions")
        place.expect(told, rf"\n  {again} made again by both policies")
        yield below("policy", f"diff over {count:,} decisions, {what}", timing, 5)


def sandbox(place: Place) -> Iterable[Row]:
    """The start of a sandbox, and of tools in it: the fastest of many runs in one process."""
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
    "tenants": tenants,
    "patches": patches,
    "gate": gate,
    "policy": policy,
    "sandbox": sandbox,
    "demo": demo,
}
# `demo` runs only on request: it leaves `.demo/` behind.
BY_DEFAULT = tuple(name for name in CASES if name != "demo")
