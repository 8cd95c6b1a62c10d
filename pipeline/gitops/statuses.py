"""Whether what statuses say runs is what lies in GitOps repositories; light, imports no models.

`status` shows a digest, and what a delivery tool said of it, only beside this. It compares tree
ids; what differs, and whether it is foreign, is for a look of the engine to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.errors import PipelineError
from pipeline.git.repository import GitRepository
from pipeline.gitops.reading import is_sealed
from pipeline.gitops.sealed import Recorded

# A repository's git and the head of its default branch; None where it is not there.
Opened = tuple[GitRepository, str]
Open = Callable[[str], Opened | None]


def read_unsealed(
    open_one: Open, documents: Sequence[Mapping[str, Any]], *, whole: bool
) -> dict[str, str]:
    """Repository → why it cannot be read, empty where it is not as recorded; not those that are.

    `whole`: the documents are all that there are, so that what no document names is foreign.
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
