"""A file of the overlay becomes executable."""

from __future__ import annotations

from tests.attacks.changes import Files
from tests.attacks.steps import play
from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import GITOPS


def executable(world: AttackWorld) -> None:
    """In a commit of a person's."""
    words = {"as": "acme-engineer-1", "repo": GITOPS, "branch": "main"}
    play(world, [{"write on disk": {**words, "changes": [{"python": "change_mode"}]}}])


def change_mode(world: AttackWorld, files: Files) -> None:
    """`kustomization.yaml` of prod."""
    path = "environments/prod/order-router/kustomization.yaml"
    files[path] = (0o100755, files[path][1])
