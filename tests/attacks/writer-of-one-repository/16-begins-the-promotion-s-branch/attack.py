"""Makes the branch `promote/…` with the key that the request has, and merges it."""

from __future__ import annotations

from pipeline.forges.port import PullState
from pipeline.stages.promote import promotion_branch_of, promotion_key
from tests.attacks.steps import merge_unjudged, play
from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import GITOPS
from tests.support.samples import DRAFT

FILES = ("kustomization.yaml", "release.yaml", "base/deployment.yaml", "base/service.yaml")


def begin(world: AttackWorld) -> None:
    """The overlay is dev's own, so that it reads well."""
    engine = world.story.engine
    loaded = engine.snapshot().promotions_of(DRAFT)
    [request] = [r for r in loaded if r.meaning.name == "staging"]
    look = engine.world()
    view = engine.proposer.draft_view(look, DRAFT)
    due = look.promotions.of_request(view, request)
    key, branch = promotion_key(due), promotion_branch_of(view, due)
    there = world.git(GITOPS).read_files(world.main(GITOPS), "environments/dev/order-router")
    changes = [
        {"write": {"path": f"environments/staging/order-router/{path}", "text": content.decode()}}
        for path, (_, content) in there.items()
    ]
    message = f"Promote\n\nKey: {key}"
    words = {"repo": GITOPS, "branch": branch, "as": "pipeline", "message": message}
    play(world, [{"write on disk": {**words, "changes": changes}}])
    pull = world.story.forge.open_pull(
        GITOPS, head_branch=branch, base_branch="main", title="Promote", body="", actor=1201
    )
    world.pull, world.repo = pull.number, GITOPS
    merge_unjudged(world, "acme-engineer-1")
    assert world.story.forge.read_pull(GITOPS, pull.number).state is PullState.MERGED
