"""The facts name another GitOps repository, from the draft's acceptance on."""

from __future__ import annotations

from tests.attacks.forging import rewrite_facts
from tests.attacks.worlds import AttackWorld


def forge(world: AttackWorld) -> None:
    """Everything after it is chained anew."""

    def change(kind: str, body: dict[str, object]) -> None:
        if "gitops_repo" in body:
            body["gitops_repo"] = "tenant-acme-other"

    rewrite_facts(world, change)
