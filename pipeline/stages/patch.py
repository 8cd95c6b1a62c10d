"""Patch: one accepted patch onto the draft's branch, or a refusal with its reasons. Pure.

Seed §6 step 5. The *result* is judged, not the description: touched files must be as the
author read them, the resulting paths must be plain, and the resulting contents free of
credentials. A refused patch leaves the branch as it is and a fact that says why.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline import names
from pipeline.diagnostics import Severity
from pipeline.forges.port import PullState
from pipeline.git.objects import MODE_EXECUTABLE, MODE_FILE, blob_id
from pipeline.models.base import key_of
from pipeline.models.facts import Reason
from pipeline.models.requests import DeleteFile, ReplaceText, WriteFile
from pipeline.plan.commits import CommitPlace, FolderFiles, commit_folder
from pipeline.plan.effects import CommitFolder, FactEntry, OpenPull, Waiting
from pipeline.plan.view import TOOL, Caused, DraftView, Listing, PatchInput, Step
from pipeline.requests.patches import (
    MAX_FILE_BYTES,
    PATCH_EMPTY,
    PATCH_NO_MATCH,
    PATCH_SECRET,
    PATCH_STALE,
    PATCH_TOO_LARGE,
    PATH_TWICE,
    content_of,
)
from pipeline.stages.scaffold import pull_body

MAX_FOLDER_FILES = 5_000


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason against a patch, and the index of the change that it is about, if it is one."""

    code: str
    message: str
    change: int | None = None


@dataclass(frozen=True, slots=True)
class PatchResult:
    """A folder after a patch, or the reasons why there is none."""

    entries: dict[str, tuple[int, str]]
    blobs: dict[str, bytes]
    problems: tuple[Problem, ...]

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The reasons as a fact holds them."""
        told = (Reason(code=p.code, message=p.message) for p in self.problems)
        return tuple(dict.fromkeys(told))


def patched_folder(
    patch: PatchInput, listing: Listing, contents: dict[str, bytes] | None = None
) -> PatchResult:
    """The folder that a patch makes of `listing`, with every reason against it."""
    read = patch.contents if contents is None else contents
    entries = dict(listing)
    blobs: dict[str, bytes] = {}
    problems = [Problem(f.code, f.message) for f in patch.findings if f.severity is Severity.ERROR]
    base = patch.base_listing
    if base is None:
        told = f"its base commit {patch.patch.base_commit[:12]} is not in the repository"
        problems.append(Problem(PATCH_STALE.id, told))
        base = {}
    for index, change in enumerate(patch.patch.changes):
        path = change.path
        if base.get(path) != listing.get(path):
            told = f"`{path}` changed since the patch was made"
            problems.append(Problem(PATCH_STALE.id, told, index))
            continue
        new: bytes | None = None
        match change:
            case WriteFile():
                new = content_of(change)
                mode = MODE_EXECUTABLE if change.executable else MODE_FILE
            case ReplaceText():
                old = read.get(path)
                count = old.decode("utf-8", "replace").count(change.old) if old is not None else 0
                if old is None or count != 1:
                    where = (
                        "there is no such file" if old is None else f"it stands there {count} times"
                    )
                    told = f"`old` must stand once in `{path}`: {where}"
                    problems.append(Problem(PATCH_NO_MATCH.id, told, index))
                    continue
                new = old.replace(change.old.encode(), change.new.encode())
                mode = entries[path][0]
            case DeleteFile():
                if entries.pop(path, None) is None:
                    told = f"`{path}` is not there to delete"
                    problems.append(Problem(PATCH_NO_MATCH.id, told, index))
                continue
        if new is None:
            continue
        if len(new) > MAX_FILE_BYTES:
            told = f"`{path}` would have {len(new):,} bytes"
            problems.append(Problem(PATCH_TOO_LARGE.id, told, index))
        id = blob_id(new)
        entries[path] = (mode, id)
        blobs[id] = new
    problems += _check_shape(entries)
    if not problems and entries == dict(listing):
        problems.append(Problem(PATCH_EMPTY.id, "the files are already like this"))
    return PatchResult(entries, blobs, tuple(problems))


def _check_shape(entries: dict[str, tuple[int, str]]) -> list[Problem]:
    """Problems of the resulting set of paths: a file where a folder is, clashing names."""
    problems = []
    folders = {"/".join(p.split("/")[:i]) for p in entries for i in range(1, p.count("/") + 1)}
    for path in sorted(folders & set(entries)):
        problems.append(Problem(PATCH_NO_MATCH.id, f"`{path}` would be both a file and a folder"))
    folded: dict[str, str] = {}
    for path in entries:
        other = folded.setdefault(path.casefold(), path)
        if other != path:
            told = f"`{other}` and `{path}` differ by case only"
            problems.append(Problem(PATH_TWICE.id, told))
    if len(entries) > MAX_FOLDER_FILES:
        told = f"{len(entries)} files; {MAX_FOLDER_FILES} allowed"
        problems.append(Problem(PATCH_TOO_LARGE.id, told))
    return problems


def patch_key(caused: Caused) -> str:
    """The idempotency key of a patch: this revision of its request, and the tool.

    What it goes on is no part of it: after a crash, what was begun is found again even if people
    merged it, or something else, in the meantime.
    """
    cause = caused.cause
    return key_of("patch", cause.request, cause.blob, cause.commit, TOOL)


def is_followup(view: DraftView) -> bool:
    """Whether the draft's pull request is done, so that a patch needs a branch of its own."""
    return view.pull is not None and view.pull.state is not PullState.OPEN


def followup_branch(view: DraftView, caused: Caused) -> str:
    """The branch of a patch that comes after the draft's pull request is done."""
    return names.draft_branch(view.instance, patch_key(caused))


def plan_patch(view: DraftView) -> Step | None:
    """The commit of the patch that is due, the fact of its refusal, or what it waits for.

    None if none is due.
    """
    patch = view.patch
    if patch is None or view.target is None or view.status is None:
        return None
    result = patched_folder(patch, patch.listing)
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
    """The commit of a good patch, the pull request that brings it, and the fact."""
    assert view.target is not None and view.status is not None  # `plan_patch` saw to it
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
