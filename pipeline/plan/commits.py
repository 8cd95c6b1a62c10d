"""The commit of one folder as an effect, with the ids that it will have. Pure."""

from __future__ import annotations

from pipeline.git.commits import pipeline_signature
from pipeline.git.objects import commit_object, graft, trees_of_entries
from pipeline.plan.effects import CommitFolder, Content
from pipeline.plan.view import Caused, DraftView, Parents, message_of


def commit_folder(
    view: DraftView,
    caused: Caused,
    *,
    key: str,
    repo: str,
    branch: str,
    base: str,
    expected: str | None,
    folder: str,
    entries: dict[str, tuple[int, str]],
    blobs: dict[str, bytes],
    parents: Parents,
    subject: str,
) -> CommitFolder:
    """The effect that makes `folder` exactly `entries`, with the ids it will have."""
    folder_tree = trees_of_entries(entries)[-1].id
    root = graft(parents, folder, folder_tree)[-1].id
    message = message_of(subject, view, caused, key)
    signature = pipeline_signature(caused.time_s)
    commit = commit_object(root, [base], message, signature, signature)
    return CommitFolder(
        key=key,
        draft=view.id,
        repo=repo,
        branch=branch,
        base=base,
        expected=expected,
        folder=folder,
        entries=dict(sorted(entries.items())),
        blobs={id: Content.of(content) for id, content in sorted(blobs.items())},
        folder_tree=folder_tree,
        commit=commit.id,
        message=message,
        time_s=caused.time_s,
    )
