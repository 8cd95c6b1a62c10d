"""Reading what lies below `environments/` of a GitOps repository, where it is not as recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from pipeline.errors import CouldNotCheck
from pipeline.git.objects import MODE_TREE, TreeEntry
from pipeline.git.repository import GitRepository
from pipeline.gitops.sealed import ROOT, Difference, Recorded, tree_of_overlays

# Whether the tree that lies at an overlay's folder was merged by the pipeline and only lacks its
# fact, as after a crash.
IsOwn = Callable[[str, str], bool]


def is_sealed(git: GitRepository, head: str, recorded: Mapping[str, Recorded]) -> bool:
    """Whether `environments/` at a commit is exactly what is recorded; reads its root alone."""
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
) -> tuple[tuple[Difference, ...], dict[str, str]]:
    """Where `environments/` at a commit is not as recorded, and overlays that only lack their fact.

    Folders named like one of `unknown` are passed over: the facts about them cannot be read.
    """
    differences: list[Difference] = []
    unrecorded: dict[str, str] = {}
    present = dict(_present(git, head))
    for path in sorted({*present, *recorded}):
        entry, record = present.get(path), recorded.get(path)
        if path.rsplit("/", 1)[-1] in unknown:
            continue
        if entry and record and (entry.mode, entry.id) == (MODE_TREE, record.tree):
            continue
        if entry and entry.is_tree and is_own(path, entry.id):
            unrecorded[path] = entry.id
            continue
        sealed = git.list_files(record.tree) if record and git.read_object(record.tree) else None
        differences.append(Difference(path, sealed if record else None, _listed(git, entry)))
    return tuple(differences), unrecorded


def _present(git: GitRepository, head: str) -> Iterator[tuple[str, TreeEntry]]:
    """Every folder `environments/<env>/<name>`, and whatever else lies where folders should be."""
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
    """Nothing, when the repository has every overlay's tree. Raises CouldNotCheck."""
    found = git.read_objects(list(overlays.values()))
    for (folder, tree), item in zip(overlays.items(), found, strict=True):
        if item is None or item.type != "tree":
            raise CouldNotCheck(
                f"{repo} lacks tree {tree[:12]} of `{folder}`, so it cannot be put back",
                help="its history was rewritten: push it back from a clone made before",
            )
