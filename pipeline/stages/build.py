"""Build: one image per source tree, ever (docs/adr/0004-build-once.md). Pure."""

from __future__ import annotations

from pipeline.errors import STEP, OverBound
from pipeline.models.base import key_of
from pipeline.models.facts import Reason
from pipeline.plan.bounds import BUILD_FAILED, BUILD_OVER_BOUND
from pipeline.plan.effects import BuildImage, FactEntry
from pipeline.plan.view import Caused, DraftView, Step


def plan_build(
    view: DraftView, commit: str, tree: str, caused: Caused, environment: str
) -> Step | None:
    """The build of a source tree whose checks pass; None if it has an image.

    `environment` is the promotion's; the promotion is refused if the build is.
    """
    if view.status is None or view.status.build_of_tree(tree):
        return None
    effect = BuildImage(
        key=key_of("build", view.image, tree),
        draft=view.id,
        repo=view.target_repo,
        commit=commit,
        folder=view.folder,
        tree=tree,
        image=view.image,
        labels={
            "io.ameide.draft": view.id,
            "io.ameide.source-tree": tree,
            "org.opencontainers.image.title": view.instance,
        },
    )
    fact = FactEntry(
        draft=view.id,
        cause=caused.cause,
        type="built",
        known={},
        outcomes={"build": effect.key},
        if_refused={"type": "promotion-refused", "environment": environment},
    )
    return Step(effects=(effect,), facts=(fact,))


def refused_build(error: OverBound) -> Reason:
    """Why a source has no image: its build fails, or exceeds a bound."""
    rule = BUILD_FAILED if error.bound == STEP else BUILD_OVER_BOUND
    return Reason(code=rule.id, message=error.message[:300])
