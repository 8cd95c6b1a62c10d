"""What a fact costs by its number, and the check before it: `python -m bench.facts FOLDER N...`.

Prints one JSON object: number → processor time, git processes, objects, and bytes as git packs
them one by one; and processor time to check the chain before it for a promotion, with and without
what an earlier check left in the cache.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import zlib
from collections.abc import Iterable
from pathlib import Path

from pipeline.apply.facts import Told, record_facts
from pipeline.demo.setting import START_TIME_S
from pipeline.forges.port import Forge
from pipeline.git.objects import GitObject, RefUpdate
from pipeline.machine.cache import cache_dir
from pipeline.models.base import BlobId, CommitId, moment_of
from pipeline.models.facts import Cause
from pipeline.models.status import DraftStatus
from pipeline.names import state_branch
from pipeline.plan.effects import AppendFacts, FactEntry
from pipeline.requests.layout import patch_path
from pipeline.state.checked import read_checked_chain
from pipeline.state.facts import parse_status, status_path
from worlds import requests
from worlds.control import World, control_files, extend, first_bodies, id_of
from worlds.control import later_bodies as later

TENANT, PRIMITIVE = requests.tenant_name(0), requests.draft_name(0)
DRAFT = f"{TENANT}/{PRIMITIVE}"
_TIMES = 5
_STARTED: list[str] = []  # one entry per process since it was cleared


def _note(event: str, arguments: object) -> None:
    if event == "subprocess.Popen":
        _STARTED.append(event)


class CountingForge:
    """A forge that also keeps the pushed objects."""

    def __init__(self, forge: Forge) -> None:
        self._forge = forge
        self.pushed: list[GitObject] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._forge, name)

    def push(
        self, repo: str, objects: Iterable[GitObject], updates: tuple[RefUpdate, ...], *, actor: int
    ) -> None:
        """Push, and keep the objects."""
        self.pushed = list(objects)
        self._forge.push(repo, self.pushed, updates, actor=actor)


def entry_after(status: DraftStatus) -> FactEntry:
    """The next patch of a draft, as a plan would record it."""
    patch = f"{status.facts // 2 + 1:04d}"  # every other fact records checks
    [(_, body), *_] = later(status, 1)
    known = body.model_dump(mode="json") | {"patch": patch}
    known.pop("type")
    cause = Cause(
        request=patch_path(DRAFT, patch),
        commit=CommitId(id_of("main")),
        blob=BlobId(id_of(patch)),
        run="run-1",
        actor=1,
    )
    return FactEntry(draft=DRAFT, cause=cause, type="patch-applied", known=known)


def cost_of(world: World, number: int) -> dict[str, float]:
    """The cost of recording the fact with this number."""
    bodies = [("draft.yaml", body) for body in first_bodies(world.platform, TENANT, PRIMITIVE)]
    status, files = extend(world, None, DRAFT, bodies)
    further = list(later(status, number // 2))[: number - 1 - len(bodies)]
    status, more = extend(world, status, DRAFT, further)
    ref = f"refs/heads/{state_branch(TENANT)}"
    head = world.write(ref, {**files, **more}, "Record facts\n")
    forge = CountingForge(world.forge)
    effect = AppendFacts(
        key=id_of("key") + "0" * 24,
        tenant=TENANT,
        expected=head,
        entries=(entry_after(status),),
        time_s=START_TIME_S,
    )
    spent: list[float] = []
    processes = 0
    for _ in range(_TIMES):
        begun = time.process_time()
        _STARTED.clear()
        new, failed = record_facts(
            effect,
            forge,  # type: ignore[arg-type]  # delegates everything else
            world.name,
            Told({}, moment_of(START_TIME_S)),
            actor=world.platform.pipeline_account.id,
            left_out=(),
        )
        processes = len(_STARTED)
        spent.append(time.process_time() - begun)
        if failed or not world.control.list_files(new, f"drafts/{PRIMITIVE}"):
            raise SystemExit(f"fact {number} was not recorded: {failed}")
        recorded = parse_status(world.control.read_files(new)[status_path(PRIMITIVE)][1])
        if recorded.facts != number:
            raise SystemExit(f"fact {number} was recorded as {recorded.facts}")
        world.control.update_refs([RefUpdate(ref, new, head)])
    without, remembered = check_cost(world, head, status)
    return {
        "whole_ms": without,
        "checked_ms": remembered,
        "ms": 1000 * min(spent),
        "processes": processes,
        "objects": len(forge.pushed),
        "bytes": sum(len(zlib.compress(found.content, 1)) for found in forge.pushed),
    }


def check_cost(world: World, head: str, status: DraftStatus) -> tuple[float, float]:
    """Milliseconds to check a chain as a promotion does: of all its facts, and once more."""
    spent: list[float] = []
    shutil.rmtree(cache_dir(), ignore_errors=True)
    for _ in range(1 + _TIMES):
        begun = time.process_time()
        found = read_checked_chain(world.control, head, status)
        told = found.of_tree(status.checks[0].tree)
        spent.append(1000 * (time.process_time() - begun))
        if found.problem or told.report is None:
            raise SystemExit(f"the chain of {status.facts} facts was not checked: {found.problem}")
    return spent[0], min(spent[1:])


def main(arguments: list[str]) -> int:
    """Print the cost of each."""
    root, *numbers = arguments
    os.environ["PIPELINE_CACHE"] = str(Path(root) / "cache")
    sys.addaudithook(_note)
    world = World(Path(root), control_files(1, 1))
    print(json.dumps({number: cost_of(world, int(number)) for number in numbers}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
