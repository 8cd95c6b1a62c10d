"""Reads where `environments/` of a GitOps repository differs from what is recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from pipeline.errors import CouldNotCheck
from pipeline.git.objects import MODE_TREE, TreeEntry
from pipeline.git.repository import GitRepository
from pipeline.gitops.sealed import ROOT, Difference, Recorded, tree_of_overlays

# Folder and tree (None: gone) → whether the pipeline merged that and only its fact is missing,
# as after a crash.
IsOwn = Callable[[str, str | None], bool]


def is_sealed(git: GitRepository, head: str, recorded: Mapping[str, Recorded]) -> bool:
    """Whether `environments/` at a commit is exactly as recorded; reads only the root tree."""
    root = {entry.name: entry for entry in git.read_tree(head) or ()}.get(ROOT)
    wanted = tree_of_overlays({folder: item.tree for folder, item in recorded.items()})
    return wanted is None if root is None else root.is_tree and root.id == wanted


def read_differences(
    git: GitRepository,
    head: str,
    recorded: Mapping[str, Recorded],
    *,
    unknown: Collection[str],
    is_own: IsOwn,
) -> tuple[tuple[Difference, ...], dict[str, str | None]]:
    """Where `environments/` at a commit differs from what is recorded, and the overlays that were
    merged or taken out (None) and whose fact is still missing.

    Folders with a name in `unknown` are skipped: the facts about them cannot be read.
    """
    differences: list[Difference] = []
    unrecorded: dict[str, str | None] = {}
    present = dict(_present(git, head))
    for path in sorted({*present, *recorded}):
        entry, record = present.get(path), recorded.get(path)
        if path.rsplit("/", 1)[-1] in unknown:
            continue
        if entry and record and (entry.mode, entry.id) == (MODE_TREE, record.tree):
            continue
        there = entry.id if entry else None
        if (entry is None or entry.is_tree) and is_own(path, there):
            unrecorded[path] = there
            continue
        sealed = git.list_files(record.tree) if record and git.read_object(record.tree) else None
        differences.append(Difference(path, sealed if record else None, _listed(git, entry)))
    return tuple(differences), unrecorded


def _present(git: GitRepository, head: str) -> Iterator[tuple[str, TreeEntry]]:
    """Every folder `environments/<env>/<name>`, and anything else in place of such folders."""
    root = {entry.name: entry for entry in git.read_tree(head) or ()}.get(ROOT)
    if root is None:
        return
    if not root.is_tree:
        yield ROOT, root
        return
    for environment in git.read_tree(root.id) or ():
        path = f"{ROOT}/{environment.name}"
        if not environment.is_tree:
            yield path, environment
            continue
        for entry in git.read_tree(environment.id) or ():
            yield f"{path}/{entry.name}", entry


def _listed(git: GitRepository, entry: TreeEntry | None) -> dict[str, tuple[int, str]] | None:
    if entry is None:
        return None
    if not entry.is_tree:
        return {"": (entry.mode, entry.id)}
    return git.list_files(entry.id)


def require_trees(git: GitRepository, repo: str, overlays: Mapping[str, str]) -> None:
    """Raise CouldNotCheck unless the repository has every overlay's tree."""
    found = git.read_objects(list(overlays.values()))
    for (folder, tree), item in zip(overlays.items(), found, strict=True):
        if item is None or item.type != "tree":
            raise CouldNotCheck(
                f"{repo} lacks tree {tree[:12]} of `{folder}`, so it cannot be put back",
                help="its history was rewritten: push it back from a clone made before",
            )
