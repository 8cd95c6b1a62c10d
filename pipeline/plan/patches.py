"""The draft's folder after a patch, or every reason against the patch. Pure.

The *result* is judged, not the description: touched files must be as the author read them, and
the resulting paths plain. A tool looks for credentials in the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from pipeline.diagnostics import Finding, Severity
from pipeline.git.objects import MODE_EXECUTABLE, MODE_FILE, blob_id
from pipeline.models.facts import Reason
from pipeline.models.requests import DeleteFile, DraftPatch, ReplaceText, WriteFile
from pipeline.requests.patches import (
    MAX_FILE_BYTES,
    PATCH_BASE_STALE,
    PATCH_CHANGES_NOTHING,
    PATCH_DOES_NOT_APPLY,
    PATCH_PATH_TWICE,
    PATCH_TOO_LARGE,
    content_of,
)

Listing = Mapping[str, tuple[int, str]]  # path below a folder → mode, blob id
MAX_FOLDER_FILES = 5_000


@dataclass(frozen=True, slots=True)
class PatchGround:
    """What a patch applies to: the draft's folder now, and at the patch's base commit."""

    listing: Listing  # of the primitive's folder, at the commit the patch is applied to
    base_listing: Listing | None  # at the patch's base commit; None if there is no such commit
    contents: Mapping[str, bytes]  # of the files whose text is replaced, as they are now
    findings: tuple[Finding, ...] = ()  # of the request's form


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason against a patch, and the index of the change at fault, if there is one."""

    code: str
    message: str
    change: int | None = None


@dataclass(frozen=True, slots=True)
class PatchResult:
    """The folder after a patch, or the reasons against the patch."""

    entries: dict[str, tuple[int, str]]
    blobs: dict[str, bytes]
    problems: tuple[Problem, ...]

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The reasons in the form that facts record, each once."""
        told = (Reason(code=p.code, message=p.message) for p in self.problems)
        return tuple(dict.fromkeys(told))


def patched_folder(patch: DraftPatch, meets: PatchGround) -> PatchResult:
    """The folder after a patch, with every reason against the patch."""
    listing, base = meets.listing, meets.base_listing
    entries = dict(listing)
    blobs: dict[str, bytes] = {}
    problems = [Problem(f.code, f.message) for f in meets.findings if f.severity is Severity.ERROR]
    if base is None:
        told = f"its base commit {patch.base_commit[:12]} is not in the repository"
        problems.append(Problem(PATCH_BASE_STALE.id, told))
        base = {}
    for index, change in enumerate(patch.changes):
        path = change.path
        if base.get(path) != listing.get(path):
            told = f"`{path}` changed since the patch was made"
            problems.append(Problem(PATCH_BASE_STALE.id, told, index))
            continue
        match change:
            case WriteFile():
                new = content_of(change)
                mode = MODE_EXECUTABLE if change.executable else MODE_FILE
            case ReplaceText():
                old = meets.contents.get(path)
                count = old.decode("utf-8", "replace").count(change.old) if old is not None else 0
                if old is None or count != 1:
                    where = "there is no such file" if old is None else f"it occurs {count} times"
                    told = f"`old` must occur exactly once in `{path}`: {where}"
                    problems.append(Problem(PATCH_DOES_NOT_APPLY.id, told, index))
                    continue
                new = old.replace(change.old.encode(), change.new.encode())
                mode = entries[path][0]
            case DeleteFile():
                if entries.pop(path, None) is None:
                    told = f"`{path}` is not there to delete"
                    problems.append(Problem(PATCH_DOES_NOT_APPLY.id, told, index))
                continue
            case _:
                assert_never(change)
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
        problems.append(Problem(PATCH_CHANGES_NOTHING.id, "the files are already like this"))
    return PatchResult(entries, blobs, tuple(problems))


def _check_shape(entries: dict[str, tuple[int, str]]) -> list[Problem]:
    """Problems of the resulting set of paths: a file where a folder is, clashing names."""
    problems = []
    folders = {"/".join(p.split("/")[:i]) for p in entries for i in range(1, p.count("/") + 1)}
    for path in sorted(folders & set(entries)):
        problems.append(
            Problem(PATCH_DOES_NOT_APPLY.id, f"`{path}` would be both a file and a folder")
        )
    folded: dict[str, str] = {}
    for path in entries:
        other = folded.setdefault(path.casefold(), path)
        if other != path:
            told = f"`{other}` and `{path}` differ by case only"
            problems.append(Problem(PATCH_PATH_TWICE.id, told))
    if len(entries) > MAX_FOLDER_FILES:
        told = f"{len(entries)} files; {MAX_FOLDER_FILES} allowed"
        problems.append(Problem(PATCH_TOO_LARGE.id, told))
    return problems
