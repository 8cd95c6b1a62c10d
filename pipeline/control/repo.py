"""The control repo on disk: its checkout, its forge, and snapshots read from it.

A snapshot is read from a commit with one `git cat-file --batch`, and from the work tree only on
request, so what is judged is what was reviewed. Blobs are not parsed twice within a process
(`pipeline.control.parsed`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.control.checkout import find_checkout, read_address
from pipeline.control.parsed import PARSED, Parsed
from pipeline.diagnostics import Finding
from pipeline.errors import UsageFault
from pipeline.forges.opening import open_forge
from pipeline.forges.port import Forge, RepoView
from pipeline.gate.matters import groups_among, members_of, paths_behind
from pipeline.git.objects import MODE_EXECUTABLE, MODE_FILE, MODE_SYMLINK
from pipeline.git.repository import GitRepository
from pipeline.models.release_groups import ReleaseGroup
from pipeline.requests.identity import check_entries
from pipeline.requests.kinds import parse_request
from pipeline.requests.layout import REQUEST_ROOTS
from pipeline.requests.snapshot import (
    ReadRequest,
    Snapshot,
    paths_needed_by,
    snapshot_of,
)

MAIN = "main"
_ROOTS = tuple(f"{root}/" for root in REQUEST_ROOTS)


@dataclass(frozen=True)
class Control:
    """A control checkout: its folder, its git, the forge, and the control repo's name there."""

    directory: Path
    git: GitRepository
    forge: Forge
    control_repo: str

    def open_repository(self) -> GitRepository:
        """The forge's own control repository, which is authoritative."""
        return self.forge.open_repository(self.control_repo)

    def head(self) -> str:
        """The commit of the control repo's main branch in the forge. Raises UsageFault."""
        head = self.read_view().head
        assert head is not None  # `read_view` checked
        return head

    def read_view(self) -> RepoView:
        """The control repo as the forge has it, with a main branch. Raises UsageFault."""
        while True:
            view = self.forge.read_repo(self.control_repo)
            if view is None or view.head is None:
                raise UsageFault(
                    f"the forge has no repository `{self.control_repo}` with a main branch",
                    help="`git remote -v` must name it as origin",
                )
            # With an older main than the facts were made on, old requests would look due.
            main = f"refs/heads/{view.default_branch}"
            if self.open_repository().resolve(main) == view.head:
                return view


def open_control(directory: Path) -> Control:
    """The control checkout that holds `directory`, with the forge of its `origin`.

    Raises UsageFault.
    """
    top = find_checkout(directory.resolve())
    git = GitRepository(top)
    opened = open_forge(read_address(top, git), top, os.environ)
    return Control(top, git, opened.forge, opened.repo)


@dataclass(frozen=True)
class SnapshotReading:
    """A snapshot with its requests' documents and the findings about their form."""

    snapshot: Snapshot
    reads: tuple[ReadRequest, ...]
    findings: tuple[Finding, ...]
    sources: dict[str, bytes]


def read_request_blobs(git: GitRepository, commit: str) -> dict[str, str]:
    """Path → blob id of every file under `tenants/` and `environments/` at a commit."""
    return _request_blobs(git.list_files(commit))


def _request_blobs(entries: Mapping[str, tuple[int, str]]) -> dict[str, str]:
    """Path → blob id of the plain files below the request folders, among a commit's entries."""
    return {
        path: id
        for path, (mode, id) in entries.items()
        if path.startswith(_ROOTS) and mode in (MODE_FILE, MODE_EXECUTABLE)
    }


def read_snapshot(
    git: GitRepository,
    commit: str,
    *,
    since: str | None = None,
    paths: Iterable[str] | None = None,
    tenants: Collection[str] | None = None,
) -> SnapshotReading:
    """The requests at `commit`; with `since`, only those changed after it and what they need.

    `paths` selects those and what they need, `tenants` selects policy and those tenants' folders.
    Selected entries that are not plain files give findings.
    """
    entries = git.list_files(commit)
    blobs = _request_blobs(entries)
    wanted, looked_at = set(blobs), set(entries)
    if since is not None:
        paths = git.diff_names(since, commit)
    if paths is not None:
        paths = tuple(paths)
        wanted, looked_at = set(paths_needed_by(paths, blobs)), looked_at & set(paths)
    elif tenants is not None:
        tenants = _with_companions(git, blobs, tenants)
        wanted = {p for p in blobs if _is_of(p, tenants)}
        looked_at = {p for p in entries if _is_of(p, tenants)}
    odd = tuple(check_entries((p, entries[p][0]) for p in sorted(looked_at)))
    order = sorted(wanted)
    sources: dict[str, bytes] = {}
    results = {p: PARSED.find(p, blobs[p]) for p in order}
    unread = [p for p in order if results[p] is None]
    for path, found in zip(unread, git.read_objects([blobs[p] for p in unread]), strict=True):
        content = found.content if found else b""
        parsed = results[path] = PARSED.parse(path, blobs[path], content)
        if parsed[1]:
            sources[path] = content
    parsed_all = (result for result in results.values() if result is not None)
    return _reading(commit, blobs, [(None, odd), *parsed_all], sources)


def _with_companions(
    git: GitRepository, blobs: Mapping[str, str], tenants: Collection[str]
) -> frozenset[str]:
    """These tenants, and those whose drafts are in a release group with one of theirs."""
    found = set(tenants)
    groups = groups_among(blobs)
    for loaded in read_blobs(git, {path: blobs[path] for path in groups}):
        drafts = loaded.model.drafts if isinstance(loaded.model, ReleaseGroup) else ()
        named = {draft.tenant for draft in drafts}
        if not named.isdisjoint(tenants):
            found |= named
    return frozenset(found)


def read_blobs(git: GitRepository, blobs: Mapping[str, str]) -> list[ReadRequest]:
    """The requests in these blobs (path → id), each parsed once in a process."""
    found = git.read_objects(list(blobs.values())) if blobs else []
    items = zip(blobs.items(), found, strict=True)
    parsed = [PARSED.parse(p, id, item.content if item else b"")[0] for (p, id), item in items]
    return [read for read in parsed if read is not None]


def _is_of(path: str, tenants: Collection[str]) -> bool:
    """Whether a path is in the folder of one of the tenants, or in no tenant's folder."""
    parts = path.split("/")
    return parts[0] != "tenants" or len(parts) < 3 or parts[1] in tenants


def read_snapshot_of(git: GitRepository, commit: str, paths: Sequence[str]) -> Snapshot:
    """Only the requests at these paths of a commit; the cost grows only with their number."""
    found = git.read_objects([f"{commit}:{path}" for path in paths])
    blobs: dict[str, str] = {}
    reads: list[ReadRequest] = []
    for path, item in zip(paths, found, strict=True):
        if item is None or item.type != "blob":
            continue
        blobs[path] = item.id
        read = PARSED.parse(path, item.id, item.content)[0]
        if read is not None:
            reads.append(read)
    return snapshot_of(commit, blobs, reads)


def read_sides(
    git: GitRepository, commits: Sequence[str], changed: Sequence[str]
) -> list[Snapshot]:
    """What authority over a change of these paths looks at, at each of these commits or trees."""
    groups = groups_among(changed)
    named = members_of(groups, *(read_snapshot_of(git, c, groups) for c in commits))
    needed = paths_behind((*changed, *named))
    return [read_snapshot_of(git, commit, needed) for commit in commits]


def read_worktree_snapshot(directory: Path) -> SnapshotReading:
    """The requests in the work tree now, committed or not."""
    blobs: dict[str, str] = {}
    sources: dict[str, bytes] = {}
    results: list[Parsed] = []
    for root in REQUEST_ROOTS:
        for path in sorted((directory / root).rglob("*")):
            name = path.relative_to(directory).as_posix()
            if path.is_symlink():
                results.append((None, tuple(check_entries([(name, MODE_SYMLINK)]))))
            if path.is_symlink() or not path.is_file():
                continue
            sources[name] = path.read_bytes()
            blobs[name] = ""
            results.append(parse_request(name, sources[name]))
    return _reading("", blobs, results, sources)


def _reading(
    commit: str,
    blobs: dict[str, str],
    results: Iterable[Parsed],
    sources: dict[str, bytes],
) -> SnapshotReading:
    reads = []
    findings: list[Finding] = []
    for read, found in results:
        findings += found
        if read is not None:
            reads.append(read)
    return SnapshotReading(
        snapshot_of(commit, blobs, reads), tuple(reads), tuple(findings), sources
    )
