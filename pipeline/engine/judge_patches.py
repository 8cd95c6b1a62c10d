"""Unmerged patches, judged as a run would judge them after the merge.

Each is applied to its draft as the target repository has it, and the *result* is judged: whether
it applies, its paths, its size, credentials in it, and the manifests of a chart that it changes.
All files that a pull request changes are searched for credentials, since anything merged to main is
in the history of every clone. No message holds a credential: only its kind, file and line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pipeline.diagnostics import Finding, Location
from pipeline.engine.propose import Proposer
from pipeline.errors import OverBound, PipelineError, UsageFault
from pipeline.git.repository import GitRepository
from pipeline.models.requests import DraftPatch, ReplaceText, WriteFile
from pipeline.plan.bounds import PATCH_OVER_BOUND
from pipeline.plan.patches import PatchResult
from pipeline.requests.patches import (
    PATCH_BASE_STALE,
    PATCH_NOT_JUDGED,
    PATCH_SECRET,
    content_of,
    printable,
    secret_finding,
)
from pipeline.requests.snapshot import ReadRequest
from pipeline.world.hydrate import CHART
from pipeline.world.look import World
from pipeline.world.patches import ScanSecrets

Patches = Sequence[tuple[ReadRequest, DraftPatch]]
# The input of one search: where to report a hit, and the bytes.
_Searched = dict[str, tuple[Location, str, bytes]]


def patches_of(reads: Iterable[ReadRequest], changed: Iterable[str]) -> Patches:
    """The patches among the requests read at these paths."""
    wanted = set(changed)
    return [
        (read, read.model)
        for read in reads
        if read.path in wanted and isinstance(read.model, DraftPatch)
    ]


def read_patch_findings(
    proposer: Proposer,
    world: World,
    patches: Patches,
    others: Mapping[str, bytes] | None = None,
) -> tuple[Finding, ...]:
    """Findings against the patches, each judged alone on its draft as it is now.

    `others` are files of the control repo, searched for credentials too.
    """
    found: list[Finding] = []
    searched: _Searched = {}
    for read, patch in patches:
        try:
            result = _applied(proposer, world, read, patch, found)
        except OverBound as error:
            found.append(PATCH_OVER_BOUND.finding(error.message, Location(read.path, 1, 1)))
            result = None
        except PipelineError as error:
            message = f"`{patch.draft}` could not be read: {error.code}: {error.message}"
            found.append(PATCH_NOT_JUDGED.finding(message, Location(read.path, 1, 1)))
            result = None
        _search(searched, read, patch, result)
    for path, content in (others or {}).items():
        searched.setdefault(path, (Location(path), printable(path), content))
    return (*found, *_read_secrets(proposer.reader.tools.scan_secrets, searched))


def read_written_secrets(
    scan: ScanSecrets, patches: Patches, others: Mapping[str, bytes]
) -> tuple[Finding, ...]:
    """Credentials in the text of patches and in other files, without applying the patches."""
    searched: _Searched = {}
    for read, patch in patches:
        _search(searched, read, patch, None)
    for path, content in others.items():
        searched.setdefault(path, (Location(path), printable(path), content))
    return _read_secrets(scan, searched)


def read_changed_files(git: GitRepository, tree: str, changed: Sequence[str]) -> dict[str, bytes]:
    """The bytes of the changed paths that are files in a tree."""
    items = git.read_objects([f"{tree}:{path}" for path in changed if "\n" not in path])
    plain = (path for path in changed if "\n" not in path)
    return {
        path: item.content
        for path, item in zip(plain, items, strict=True)
        if item is not None and item.type == "blob"
    }


def _applied(
    proposer: Proposer, world: World, read: ReadRequest, patch: DraftPatch, found: list[Finding]
) -> PatchResult | None:
    """The draft's folder after the patch; None if there is no folder to change."""
    at = read.document.position_of
    try:
        view = proposer.draft_view(world, patch.draft)
    except UsageFault as error:
        found.append(PATCH_BASE_STALE.finding(error.message, at(("base_commit",))))
        return None
    result = world.patches.proposed(view, patch)
    for problem in result.problems:
        place: tuple[str | int, ...] = ("changes",)
        if problem.change is not None:
            place = ("changes", problem.change, "path")
        elif problem.code == PATCH_BASE_STALE.id:
            place = ("base_commit",)
        found.append(Finding(problem.code, problem.message, at(place)))
    if not result.problems and any(c.path.startswith(CHART) for c in patch.changes):
        where = at(("changes",))
        for finding in world.releases.chart_findings(view, result.entries, result.blobs):
            told = f"the chart would give {finding.location.file}: {finding.message}"
            found.append(replace(finding, message=told, location=where))
    return result


def _search(
    searched: _Searched, read: ReadRequest, patch: DraftPatch, result: PatchResult | None
) -> None:
    """Add the files that a patch results in, or else the text in the patch."""
    for index, change in enumerate(patch.changes):
        content: bytes | None = None
        if result is not None and change.path in result.entries:
            content = result.blobs.get(result.entries[change.path][1])
        if content is None and isinstance(change, WriteFile):
            content = content_of(change)
        elif content is None and isinstance(change, ReplaceText):
            content = change.new.encode()
        if content:
            # No column: the line may hold a whole flow mapping.
            at = Location(read.path, read.document.position_of(("changes", index)).line)
            name = f"{read.path}/{index:04d}/{change.path}"
            searched[name] = (at, printable(change.path), content)


def _read_secrets(scan: ScanSecrets, searched: _Searched) -> tuple[Finding, ...]:
    try:
        files = {name: content for name, (_, _, content) in searched.items()}
        hits = scan(files) if files else ()
    except OverBound as error:
        places = dict.fromkeys(Location(at.file) for at, _, _ in searched.values())
        return tuple(PATCH_OVER_BOUND.finding(error.message, place) for place in places)
    # If a file that a patch writes is reported, the patch itself need not be.
    told = {searched[hit.path][0].file for hit in hits if searched[hit.path][0].file != hit.path}
    found = []
    for hit in hits:
        at, path, _ = searched[hit.path]
        if hit.path not in told:
            found.append(secret_finding(path, hit.line, hit.rule, at))
    return tuple(found)


def without_secrets(sources: Mapping[str, str], found: Iterable[Finding]) -> dict[str, str]:
    """The sources that may be shown: all but files with a credential."""
    closed = {f.location.file for f in found if f.code == PATCH_SECRET.id}
    return {path: text for path, text in sources.items() if path not in closed}
