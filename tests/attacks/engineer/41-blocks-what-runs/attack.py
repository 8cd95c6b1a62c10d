"""The digest that prod runs is blocked."""

from __future__ import annotations

from tests.attacks.steps import bring
from tests.attacks.worlds import AttackWorld
from tests.support.samples import DRAFT


def block(world: AttackWorld) -> None:
    """By those who may."""
    digest = world.story.engine.status(DRAFT).promotions[-1].release.digest
    text = (
        "apiVersion: pipeline.ameide.io/v1\nkind: BlockedDigests\n"
        f"digests:\n  - {{digest: '{digest}', reason: It leaks}}\n"
    )
    changes = [{"write": {"path": "environments/blocked-digests.yaml", "text": text}}]
    asked = {"as": "platform-engineer-1", "changes": changes, "approved": ["platform-engineer-2"]}
    bring(world, asked)
