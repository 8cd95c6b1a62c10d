"""Whether GitOps repositories hold what statuses say runs. Imports no models, so it is fast.

`status` shows a digest and its observation only together with this. It compares tree ids; a look by
the engine says what differs and whether it is foreign.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.errors import PipelineError
from pipeline.git.repository import GitRepository
from pipeline.gitops.reading import is_sealed
from pipeline.gitops.sealed import Recorded

# A repository's git and the head of its default branch.
Opened = tuple[GitRepository, str]
Open = Callable[[str], Opened | None]


def read_unsealed(
    open_one: Open, documents: Sequence[Mapping[str, Any]], *, whole: bool
) -> dict[str, str]:
    """Repository → why it cannot be read, or empty if it differs; others are left out.

    `whole`: these are all documents, so any overlay that none of them names is foreign.
    """
    recorded: dict[str, dict[str, Recorded]] = {}
    for status in documents:
        if status["gitops_repo"] in status["repos"]:
            there = recorded.setdefault(status["gitops_repo"], {})
            for p in status["promotions"]:
                there[p["overlay_folder"]] = Recorded(p["overlay_tree"], p["gitops_commit"])
    found: dict[str, str] = {}
    for repo, overlays in sorted(recorded.items()):
        if not (whole or overlays):
            continue
        try:
            opened = open_one(repo)
            if opened is None:
                found[repo] = f"`{repo}` is gone, or has no branch `main`"
            elif not _is_as_recorded(*opened, overlays, whole=whole):
                found[repo] = ""
        except PipelineError as error:
            found[repo] = f"{error.code}: {error.message}"
    return found


def _is_as_recorded(
    git: GitRepository, head: str, overlays: Mapping[str, Recorded], *, whole: bool
) -> bool:
    if whole:
        return is_sealed(git, head, overlays)
    found = git.read_objects([f"{head}:{folder}" for folder in overlays])
    return [item.id if item else None for item in found] == [o.tree for o in overlays.values()]
