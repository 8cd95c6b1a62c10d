"""What recording one fact costs by its number: `python -m bench.facts FOLDER NUMBER...`.

Prints one JSON object: number → processor time, git processes, objects, and bytes as git packs
them one by one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.apply.facts import record_facts
from pipeline.forges.port import Forge
from pipeline.git.objects import GitObject, RefUpdate
from pipeline.models.base import BlobId, CommitId
from pipeline.models.facts import Cause
from pipeline.models.status import DraftStatus
from pipeline.names import state_branch
from pipeline.plan.effects import AppendFacts, FactEntry
from pipeline.requests.layout import patch_path
from pipeline.state.facts import parse_status, status_path
from worlds import requests
from worlds.control import START_TIME_S, World, control_files, extend, first_bodies, id_of
from worlds.control import later_bodies as later

TENANT, PRIMITIVE = requests.tenant_name(0), requests.draft_name(0)
DRAFT = f"{TENANT}/{PRIMITIVE}"
_TIMES = 5


class CountingForge:
    """A forge that keeps what is pushed to it, and pushes it."""

    def __init__(self, forge: Forge) -> None:
        self._forge = forge
        self.pushed: list[GitObject] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._forge, name)

    def push(
        self, repo: str, objects: Sequence[GitObject], updates: Sequence[RefUpdate], *, actor: int
    ) -> object:
        """As the forge does."""
        self.pushed = list(objects)
        return self._forge.push(repo, objects, updates, actor=actor)


def entry_after(status: DraftStatus) -> FactEntry:
    """The next patch of a draft, as a plan would record it."""
    patch = f"{status.facts // 2 + 1:04d}"  # every other fact is one of checks
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


@contextmanager
def counted_processes() -> Iterator[list[object]]:
    """One item for each process that is started."""
    started: list[object] = []
    popen = subprocess.Popen.__init__

    def counted(self: object, *args: object, **options: object) -> None:
        started.append(args)
        popen(self, *args, **options)  # type: ignore[arg-type,call-overload]  # as it was called

    subprocess.Popen.__init__ = counted  # type: ignore[method-assign,assignment]  # put back
    try:
        yield started
    finally:
        subprocess.Popen.__init__ = popen  # type: ignore[method-assign]  # put back


def cost_of(world: World, number: int) -> dict[str, float]:
    """What it costs to record the fact of this number."""
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
    for _ in range(_TIMES):
        begun = time.process_time()
        with counted_processes() as started:
            new, failed = record_facts(
                effect,
                forge,  # type: ignore[arg-type]  # hands all else on
                world.name,
                actor=world.platform.pipeline_account.id,
                outcomes={},
                left_out=(),
            )
        spent.append(time.process_time() - begun)
        if failed or not world.control.list_files(new, f"drafts/{PRIMITIVE}"):
            raise SystemExit(f"fact {number} was not recorded: {failed}")
        recorded = parse_status(world.control.read_files(new)[status_path(PRIMITIVE)][1])
        if recorded.facts != number:
            raise SystemExit(f"fact {number} was recorded as {recorded.facts}")
        world.control.update_refs([RefUpdate(ref, new, head)])
    return {
        "ms": 1000 * min(spent),
        "processes": len(started),
        "objects": len(forge.pushed),
        "bytes": sum(len(zlib.compress(found.content, 1)) for found in forge.pushed),
    }


def main(arguments: list[str]) -> int:
    """Print the cost of each."""
    root, *numbers = arguments
    world = World(Path(root), control_files(1, 1))
    print(json.dumps({number: cost_of(world, int(number)) for number in numbers}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
