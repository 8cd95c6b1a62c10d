"""staging runs a second release; then the request of the first is wanted back."""

from __future__ import annotations

from tests.attacks.changes import Files
from tests.attacks.steps import bring
from tests.attacks.worlds import AttackWorld
from tests.support.fact_history import ENGINEER_ID, RELEASE_MANAGERS
from tests.support.samples import DRAFT
from tests.support.story import SOURCE

REQUEST = f"tenants/acme/drafts/{DRAFT.split('/')[1]}/promotions/staging.yaml"


def go_on(world: AttackWorld) -> None:
    """A second release reaches staging."""
    old = world.git().read_object(f"{world.main()}:{REQUEST}")
    assert old is not None
    (world.scratch / "old.yaml").write_bytes(old.content)
    story = world.story
    story.write("0002", f"{SOURCE}/routing.py", "QUICK = 2\n")
    story.go()
    story.take_over(2)
    head = world.main("tenant-acme-controllers")
    for environment, approver in (("dev", ENGINEER_ID), ("staging", RELEASE_MANAGERS[0])):
        bring(
            world,
            {
                "as": "acme-agent",
                "changes": [{"promotion": {"to": environment, "commit": head}}],
                "approved": [approver],
            },
        )
        story.go()
    assert story.engine.status(DRAFT).promotion("staging") is not None


def old_request(world: AttackWorld, files: Files) -> None:
    """The request of the first release."""
    files[REQUEST] = (0o100644, (world.scratch / "old.yaml").read_bytes())
