"""The content of `environments/` in a GitOps repository, compared with facts. Pure.

A delivery tool runs that content: every overlay must be one that a `promoted` fact names, with
exactly its tree, and there must be nothing else. So a foreign file's purpose does not matter: an
override that the tool reads beside an overlay, a folder with another namespace, a base elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.characters import visible
from pipeline.diagnostics import Finding, Location, Rule, Subject, register
from pipeline.git.objects import (
    MODE_SUBMODULE,
    MODE_SYMLINK,
    MODE_TREE,
    GitObject,
    TreeEntry,
    graft,
    trees_of_entries,
)

ROOT = "environments"
_KINDS = {MODE_SYMLINK: "a link", MODE_SUBMODULE: "a submodule"}
MAX_TOLD = 20  # findings per folder; the rest is counted
Listing = Mapping[str, tuple[int, str]]  # path below a folder → mode, id; "" for a file itself


def _gitops(id: str, summary: str, why: str, fix: str, fails: str, passes: str) -> Rule:
    return register(Rule(id, summary, why, fix, Subject.SCENARIO, fails, passes))


GITOPS_CONTENT_FOREIGN = _gitops(
    "gitops-content-foreign",
    "`environments/` in a GitOps repository holds what was promoted, nothing else.",
    "the delivery tool runs what lies there, whoever wrote it",
    "find who wrote it (`git log`); `pipeline run` restores the sealed trees if platform.yaml "
    "has `gitops_drift: restore`, otherwise revert the commit",
    "a person's commit lays `.argocd-source.yaml` beside an overlay",
    "the overlays are the trees that `promoted` facts name",
)
GITOPS_OVERLAY_MISSING = _gitops(
    "gitops-overlay-missing",
    "Every promoted overlay is in its GitOps repository.",
    "a removed overlay stops running without a request",
    "find who removed it (`git log`); `pipeline run` restores the sealed trees if platform.yaml "
    "has `gitops_drift: restore`, otherwise revert the commit",
    "a person's commit removes an overlay",
    "the overlays are the trees that `promoted` facts name",
)
GITOPS_NOT_APPROVED = _gitops(
    "gitops-not-approved",
    "With `merge: manual`, an owner also approves the GitOps pull request.",
    "the environment asks for a person's approval before each merge",
    "have an owner of the repository approve the pull request",
    "the GitOps pull request of an environment with `merge: manual` has no approval",
    "an owner of the tenant approved its final revision",
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One overlay by its draft's newest `promoted` fact: its tree and the merge commit."""

    tree: str
    commit: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One path below the root whose content differs from what is sealed.

    None means nothing. For a file, `there` has the one entry "".
    """

    path: str
    sealed: Listing | None
    there: Listing | None


def _trees_of(overlays: Mapping[str, str]) -> tuple[GitObject, ...]:
    if not overlays:
        return ()
    entries = {path.removeprefix(f"{ROOT}/"): (MODE_TREE, id) for path, id in overlays.items()}
    return trees_of_entries(entries)


def tree_of_overlays(overlays: Mapping[str, str]) -> str | None:
    """The id of `environments/` that holds exactly these overlays (folder → tree), if any."""
    trees = _trees_of(overlays)
    return trees[-1].id if trees else None


def restored_objects(
    root: Sequence[TreeEntry], overlays: Mapping[str, str]
) -> tuple[GitObject, ...]:
    """The trees from below `environments/` up to the root (last) with exactly these overlays.

    Other entries of the root stay; without overlays there is no `environments/`.
    """
    trees = _trees_of(overlays)
    return (*trees, *graft((root,), ROOT, trees[-1].id if trees else None))


def check_gitops(repo: str, differences: Iterable[Difference]) -> tuple[Finding, ...]:
    """Findings for foreign and missing content of a GitOps repository, path by path."""
    return tuple(finding for item in differences for finding in _check_one(repo, item))


def _check_one(repo: str, item: Difference) -> Iterator[Finding]:
    at = Location(visible(f"{repo}:{item.path}"))
    if item.there is None:
        if item.sealed is not None:
            yield GITOPS_OVERLAY_MISSING.finding("the overlay that was promoted is gone", at)
        return
    if item.sealed is None:
        yield GITOPS_CONTENT_FOREIGN.finding(
            f"{_what(item.there)} that no fact of a promotion knows", at
        )
        return
    told = list(_changes(item.sealed, item.there))
    for path, message in told[:MAX_TOLD]:
        yield GITOPS_CONTENT_FOREIGN.finding(
            message, Location(visible(f"{repo}:{path_of(item, path)}"))
        )
    if len(told) > MAX_TOLD:
        yield GITOPS_CONTENT_FOREIGN.finding(
            f"{len(told) - MAX_TOLD} more files are not as promoted", at
        )


def _what(there: Listing) -> str:
    if "" in there:
        return _KINDS.get(there[""][0], "a file")
    return f"a folder of {len(there)} file{'s'[: len(there) != 1]}"


def path_of(item: Difference, path: str) -> str:
    """The repository path of a path in a difference's listing."""
    return f"{item.path}/{path}" if path else item.path


def _changes(sealed: Listing, there: Listing) -> Iterator[tuple[str, str]]:
    for path in sorted({*sealed, *there}):
        then, now = sealed.get(path), there.get(path)
        if then == now:
            continue
        if now is None:
            yield path, "a file of what was promoted is gone"
        elif then is None:
            yield path, f"{_KINDS.get(now[0], 'a file')} beside what was promoted"
        elif then[1] == now[1]:
            yield path, f"its mode is {now[0]:06o}; {then[0]:06o} was promoted"
        else:
            yield path, "it is not what was promoted"
