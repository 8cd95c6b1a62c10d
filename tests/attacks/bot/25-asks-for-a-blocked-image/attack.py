"""The request was made and approved while the image was still allowed."""

from __future__ import annotations

from tests.attacks.steps import approve, ask, bring
from tests.attacks.worlds import AttackWorld
from tests.support.samples import DRAFT


def ask_in_time(world: AttackWorld) -> None:
    """staging is asked for and approved."""
    changes = [{"promotion": {"to": "staging"}}]
    ask(world, {"as": "acme-agent", "name": "staging", "changes": changes})
    approve(world, "release-manager-1")


def block(world: AttackWorld) -> None:
    """The platform's owners block the image."""
    digest = world.story.engine.status(DRAFT).promotions[0].release.digest
    text = (
        "apiVersion: pipeline.ameide.io/v1\nkind: BlockedDigests\n"
        f"digests:\n  - {{digest: '{digest}', reason: It leaks}}\n"
    )
    changes = [{"write": {"path": "environments/blocked-digests.yaml", "text": text}}]
    asked = {"as": "platform-engineer-1", "changes": changes, "approved": ["platform-engineer-2"]}
    bring(world, asked)
