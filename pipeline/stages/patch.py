"""Patch: one accepted patch onto the draft's branch, or a refusal with its reasons. Pure.

The *result* is judged, not the description: touched files must be as the author read them, the
resulting paths must be plain, and the resulting contents free of credentials (docs/model.md §7.2).
A refused patch leaves the branch unchanged; a fact records why.
"""

from __future__ import annotations

from pipeline import names
from pipeline.forges.port import PullState
from pipeline.models.base import key_of
from pipeline.models.facts import Reason
from pipeline.plan.commits import CommitPlace, FolderFiles, commit_folder
from pipeline.plan.effects import CommitFolder, FactEntry, OpenPull, Waiting
from pipeline.plan.patches import PatchResult
from pipeline.plan.view import TOOL, Caused, DraftView, PatchInput, Step
from pipeline.requests.patches import PATCH_SECRET
from pipeline.stages.scaffold import pull_body


def patch_key(caused: Caused) -> str:
    """The idempotency key of a patch: this revision of its request, and the tool.

    The commit it applies to is not part of the key: after a crash, the begun work is found again
    even if people merged it, or something else, in the meantime.
    """
    cause = caused.cause
    return key_of("patch", cause.request, cause.blob, cause.commit, TOOL)


def is_followup(view: DraftView) -> bool:
    """Whether a patch needs its own branch because the draft's pull request is no longer open."""
    return view.pull is not None and view.pull.state is not PullState.OPEN


def followup_branch(view: DraftView, caused: Caused) -> str:
    """The branch of a patch that comes after the draft's pull request was merged or closed."""
    return names.draft_branch(view.instance, patch_key(caused))


def plan_patch(view: DraftView) -> Step | None:
    """The commit of the due patch, the fact of its refusal, or what it waits for.

    None if no patch is due.
    """
    patch = view.patch
    if patch is None or view.target is None or view.status is None:
        return None
    result = patch.result
    secrets = [Reason(code=PATCH_SECRET.id, message=line) for line in patch.secrets]
    against = patch.caused.authority.reasons
    asked = [Reason(code=r.code, message=r.message) for r in against if r.final]
    reasons = (*asked, *result.reasons, *secrets)
    cause = patch.caused.cause
    if reasons:
        listed = [r.model_dump() for r in reasons]
        known: dict[str, object] = {"patch": patch.number, "reasons": listed}
        fact = FactEntry(draft=view.id, cause=cause, type="patch-refused", known=known)
        return Step(facts=(fact,))
    if against:
        told = tuple((reason.code, reason.message) for reason in against)
        return Step(waiting=(Waiting(draft=view.id, request=cause.request, reasons=told),))
    return _patch_step(view, patch, result)


def _patch_step(view: DraftView, patch: PatchInput, result: PatchResult) -> Step:
    """The commit of an accepted patch, its pull request, and the fact."""
    assert view.target is not None and view.status is not None  # `plan_patch` checked
    branch = followup_branch(view, patch.caused) if patch.is_followup else view.status.branch_name
    commit = _commit_of(view, patch, result, branch)
    pull = OpenPull(
        key=key_of("pull", view.target_repo, branch),
        draft=view.id,
        repo=view.target_repo,
        branch=branch,
        base_branch=view.target.default_branch,
        title=(
            f"{view.instance}: {patch.patch.summary}"
            if patch.is_followup
            else f"{view.instance}: new {view.request.primitive_type} primitive"
        ),
        body=pull_body(view),
    )
    found = patch.existing
    fact = FactEntry(
        draft=view.id,
        cause=patch.caused.cause,
        type="patch-applied",
        known={
            "patch": patch.number,
            "branch": branch,
            "commit": found.commit if found else commit.commit,
            "tree": commit.folder_tree,
        },
        outcomes={"pull_request": pull.key},
    )
    return Step(effects=(pull,) if found else (commit, pull), facts=(fact,))


def _commit_of(
    view: DraftView, patch: PatchInput, result: PatchResult, branch: str
) -> CommitFolder:
    expected = None if patch.is_followup else patch.head
    used = {id for _, id in result.entries.values()}
    blobs = {id: content for id, content in result.blobs.items() if id in used}
    return commit_folder(
        view,
        patch.caused,
        CommitPlace(view.target_repo, branch, patch.head, expected, patch.parents),
        FolderFiles(view.folder, result.entries, blobs),
        key=patch_key(patch.caused),
        subject=patch.patch.summary,
    )
