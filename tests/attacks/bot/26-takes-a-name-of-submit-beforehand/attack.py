"""Takes the name of the branch that a submission would have, and looks at which one it got."""

from __future__ import annotations

from pipeline.git.objects import blob_id
from pipeline.models.base import key_of
from pipeline.requests.layout import draft_path
from tests.attacks.changes import changed
from tests.attacks.steps import push
from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import CONTROL
from tests.support.samples import DRAFT

EVIL = {"write": {"path": "tenants/contoso/notes.md", "text": "mine"}}


def _branch(world: AttackWorld) -> str:
    [(_, content)] = changed(world, {}, [{"draft": {"id": DRAFT}}]).values()
    key = key_of("request", DRAFT, "PrimitiveImplementationDraft", blob_id(content), "")
    return f"request/acme-order-router-{key[:12]}"


def push_beforehand(world: AttackWorld) -> None:
    """An engineer of contoso pushes the wanted draft, and more, to that name."""
    changes = [{"draft": {"id": DRAFT}}, EVIL]
    push(world, {"as": "contoso-engineer-1", "branch": _branch(world), "changes": changes})


def look_at_what_was_opened(world: AttackWorld) -> None:
    """The submission went to a branch of its own, which holds the request and nothing else."""
    pull = world.story.forge.read_pull(CONTROL, world.pull)
    assert pull.head_branch != _branch(world)
    assert world.git().diff_names(world.main(), pull.head) == (draft_path(DRAFT),)
