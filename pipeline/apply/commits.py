"""The commits of a plan as git objects, and their push. Part of apply: it writes.

Objects are made from the plan and the repository, and compared with the planned ids, so exactly
what was reviewed is pushed.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import NotFound, StalePlan
from pipeline.forges.port import Repositories
from pipeline.git.commits import pipeline_signature
from pipeline.git.objects import (
    GitObject,
    RefUpdate,
    commit_object,
    git_object,
    graft,
    trees_of_entries,
)
from pipeline.git.repository import GitRepository, read_parents
from pipeline.gitops.reading import require_trees
from pipeline.gitops.sealed import restored_objects
from pipeline.plan.effects import CommitFolder, Content, RestoreOverlays


def push_commits(
    forge: Repositories, repo: str, effects: Sequence[CommitFolder], *, actor: int
) -> None:
    """Move branches of one repository to their commits in one push: all of them or none.

    Branches already there are left alone. Raises StalePlan if a branch is elsewhere or would not
    become what was planned; ForgeRefused.
    """
    try:
        git = forge.open_repository(repo)
    except NotFound as gone:
        raise StalePlan(f"repository {repo} is gone") from gone
    heads = git.resolve_all(f"refs/heads/{effect.branch}" for effect in effects)
    objects: list[GitObject] = []
    updates: list[RefUpdate] = []
    blobs: dict[str, tuple[Content, GitObject]] = {}
    for effect in effects:
        ref = f"refs/heads/{effect.branch}"
        head = heads.get(ref)
        if head == effect.commit:
            continue
        if head != effect.expected:
            raise StalePlan(f"{repo}:{effect.branch} is at {head}, planned on {effect.expected}")
        for id, content in effect.blobs.items():
            if id not in blobs or blobs[id][0] is not content:
                blobs[id] = (content, _blob_of(id, content))
        objects += _trees_of(effect, git)
        updates.append(RefUpdate(ref, head, effect.commit))
    if updates:
        written = [blob for _, blob in blobs.values()]
        forge.push(repo, [*written, *objects], tuple(updates), actor=actor)


def push_restoration(forge: Repositories, effect: RestoreOverlays, *, actor: int) -> str:
    """The head of the branch whose `environments/` is exactly the overlays, pushed or found.

    Raises StalePlan if the branch is elsewhere or would not become what was planned, CouldNotCheck
    if history lacks a tree that facts name, ForgeRefused.
    """
    git = forge.open_repository(effect.repo)
    ref = f"refs/heads/{effect.branch}"
    head = git.resolve(ref)
    if head == effect.commit:
        return head
    if head != effect.expected:
        raise StalePlan(f"{effect.repo}:{effect.branch} is at {head}, planned on {effect.expected}")
    require_trees(git, effect.repo, effect.overlays)
    root = git.read_tree(effect.base)
    if root is None:
        raise StalePlan(f"{effect.repo} has no commit {effect.base[:12]}")
    objects = restored_objects(root, effect.overlays)
    signature = pipeline_signature(effect.time_s)
    made = commit_object(objects[-1].id, [effect.base], effect.message, signature, signature)
    if made.id != effect.commit:
        raise StalePlan(f"{effect.repo}:{effect.branch} would not become what was planned")
    update = RefUpdate(ref, head, made.id)
    forge.push(effect.repo, [*objects, made], (update,), actor=actor)
    return made.id


def _blob_of(id: str, content: Content) -> GitObject:
    blob = git_object("blob", content.content)
    if blob.id != id:
        raise StalePlan(f"the plan's content of blob {id} has another id")
    return blob


def _trees_of(effect: CommitFolder, git: GitRepository) -> list[GitObject]:
    """The trees of a commit, and last the commit. Raises StalePlan if it is not as planned."""
    trees = trees_of_entries(effect.entries) if effect.entries else ()
    folder_tree = trees[-1].id if trees else None
    above = graft(read_parents(git, effect.base, effect.folder), effect.folder, folder_tree)
    signature = pipeline_signature(effect.time_s)
    commit = commit_object(above[-1].id, [effect.base], effect.message, signature, signature)
    if commit.id != effect.commit or folder_tree != effect.folder_tree:
        raise StalePlan(f"{effect.repo}:{effect.branch} would not become what was planned")
    return [*trees, *above, commit]
