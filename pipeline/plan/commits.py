"""The commit of one folder as an effect, with the ids it will have. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.git.commits import pipeline_signature
from pipeline.git.objects import commit_object, graft, trees_of_entries
from pipeline.plan.effects import CommitFolder, Content
from pipeline.plan.view import Caused, DraftView, Parents, message_of


@dataclass(frozen=True, slots=True)
class CommitPlace:
    """Where a commit goes: onto `base`, as the head of a branch."""

    repo: str
    branch: str
    base: str  # the parent's commit id
    expected: str | None  # the branch's head now; None if there is no such branch
    parents: Parents  # trees above the folder at `base`


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The wanted content of a folder: all its files, and the bytes of the new ones."""

    path: str
    entries: Mapping[str, tuple[int, str]]  # path below the folder → mode, blob id
    blobs: Mapping[str, bytes]  # blob id → bytes


def commit_folder(
    view: DraftView,
    caused: Caused,
    place: CommitPlace,
    folder: FolderFiles,
    *,
    key: str,
    subject: str,
) -> CommitFolder:
    """The effect that makes the folder hold exactly these files, with the ids it will have.

    A folder without files is taken out.
    """
    folder_tree = trees_of_entries(folder.entries)[-1].id if folder.entries else None
    root = graft(place.parents, folder.path, folder_tree)[-1].id
    message = message_of(subject, view, caused, key)
    signature = pipeline_signature(caused.time_s)
    commit = commit_object(root, [place.base], message, signature, signature)
    return CommitFolder(
        key=key,
        draft=view.id,
        repo=place.repo,
        branch=place.branch,
        base=place.base,
        expected=place.expected,
        folder=folder.path,
        entries=dict(sorted(folder.entries.items())),
        blobs={id: Content.of(content) for id, content in sorted(folder.blobs.items())},
        folder_tree=folder_tree,
        commit=commit.id,
        message=message,
        time_s=caused.time_s,
    )
