"""A draft's chain of facts, checked against its status. It reads the state branch and a cache.

Decision: every promotion rests on the whole chain, so reading all of it would cost more with each
fact. All folders of facts but the newest never change again, and a tree's id stands for all that
lies in it. So what was checked is remembered: the ids of those folders, the status after them, and
what they tell of each source tree. While the state branch has the same folders, the check goes on
from there, and reads the newest facts alone. Any change of an older fact changes an id; then, and
without memory, the whole chain is read and checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import ValidationError

from pipeline.git.objects import parse_tree
from pipeline.git.repository import GitRepository
from pipeline.machine.cache import cache_key, read_cached, write_cached
from pipeline.machine.identity import tool_identity
from pipeline.models.facts import Built, ChecksRecorded, Fact
from pipeline.models.status import DraftStatus, RunRecord
from pipeline.state.evidence import TreeHistory, history_from, history_of
from pipeline.state.facts import (
    FACTS,
    LATER_FACTS,
    BrokenChain,
    FactFile,
    is_fold_of,
    parse_chain,
    status_path,
    statuses_after,
)
from pipeline.state.runs import runs_after

_KIND = "chain"
_TREE = re.compile(r"[0-9a-f]{40}\Z")


@dataclass(frozen=True)
class CheckedChain:
    """The facts of a draft, as far as decisions rest on them."""

    problem: str  # why they do not fold to the status; empty if they do
    _history: Callable[[str], TreeHistory] = TreeHistory

    def of_tree(self, tree: str) -> TreeHistory:
        """What the facts tell of a source tree."""
        return self._history(tree)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that holds facts, by its path on the state branch, and the id of its tree."""

    path: str
    id: str
    is_tree: bool = True  # else a file where a folder should be, which is no fact


@dataclass(frozen=True)
class Checked:
    """What was checked of a chain: its folders, the status after them, and what they tell.

    `notes` has one line for each fact that tells of a source tree: the tree, the letter of what it
    is (`c` checks, `b` a build, `r` a run), and its path, or for a run what is known of it. A line
    feed stands before each, so that a tree is found at once.
    """

    folders: tuple[Folder, ...] = ()
    status: DraftStatus | None = None
    notes: str = ""

    def notes_of(self, tree: str, letters: str) -> list[str]:
        """The last words of the lines about a source tree with one of these letters."""
        found, start = [], f"\n{tree} "
        at = self.notes.find(start) if _TREE.match(tree) else -1
        while at >= 0:
            end = self.notes.find("\n", at + 1)
            line = self.notes[at + len(start) : end if end >= 0 else None]
            letter, _, told = line.partition(" ")
            found += [told] if letter in letters else []
            at = self.notes.find(start, at + 1)
        return found


@dataclass(frozen=True)
class _Reading:
    """One draft's facts at a state commit."""

    git: GitRepository
    status: DraftStatus
    folders: tuple[Folder, ...]
    _listed: dict[str, dict[str, str]] = field(default_factory=dict)  # by path of the folder

    def listing(self, folder: Folder) -> Mapping[str, str]:
        """Path on the state branch → id of every file in a folder."""
        if folder.path not in self._listed:
            below = self.git.list_files(folder.id) if folder.is_tree else {}
            found = {f"{folder.path}/{path}": id for path, (_, id) in below.items()}
            self._listed[folder.path] = found if folder.is_tree else {folder.path: folder.id}
        return self._listed[folder.path]

    def files(self, folders: Iterable[Folder]) -> list[FactFile]:
        """The files in some folders. Raises BrokenChain for one that is not there."""
        return self._read({p: id for folder in folders for p, id in self.listing(folder).items()})

    def _read(self, wanted: Mapping[str, str]) -> list[FactFile]:
        files = []
        for path, item in zip(wanted, self.git.read_objects(list(wanted.values())), strict=True):
            if item is None:
                raise BrokenChain(path, "is missing")
            files.append(FactFile(path, item.content))
        return files

    def whole(self) -> tuple[CheckedChain, Checked | None]:
        """The chain checked from its first fact on, and what may be remembered of it."""
        draft = self.status.id
        try:
            files = self.files(self.folders)
            facts = parse_chain(draft, files)
            checked, now = self._folded(Checked(), facts)
            if now != self.status:
                checked = None
                if not is_fold_of(self.status, facts):
                    problem = f"{status_path(self.status.primitive_id)} is not the fold"
                    return CheckedChain(problem, partial(history_of, facts)), None
        except BrokenChain as broken:
            return CheckedChain(str(broken)), None
        return CheckedChain("", partial(history_of, facts)), checked

    def continued(self, known: Checked) -> tuple[CheckedChain, Checked | None] | None:
        """The chain checked from what is known on; None where that gives no good answer."""
        new = self.folders[len(known.folders) :]
        try:
            facts = parse_chain(self.status.id, self.files(new), after=known.status)
            checked, now = self._folded(known, facts)
        except ValueError:  # a broken chain, or a fact that rests on all facts before it
            return None
        if now != self.status:
            return None
        return CheckedChain("", partial(self._history, known, facts)), checked

    def _folded(
        self, known: Checked, facts: Sequence[Fact]
    ) -> tuple[Checked | None, DraftStatus | None]:
        """What may be remembered after some more facts, and the status after all of them."""
        settled = self.folders[:-1]
        new = settled[len(known.folders) :]
        settles = sum(len(self.listing(folder)) for folder in new)
        checked, status = None, known.status
        for count, after in enumerate(statuses_after(known.status, facts), start=1):
            status = after
            if count == settles:
                notes = _notes_after(known, facts[:count], self._paths_of(new))
                checked = Checked(settled, status, notes)
        return checked, status

    def _paths_of(self, folders: Iterable[Folder]) -> Mapping[int, str]:
        """Number of a fact → its path, for the facts in some folders."""
        listed = (path for folder in folders for path in self.listing(folder))
        return {int(path.rpartition("/")[2][:6]): path for path in listed}

    def _history(self, known: Checked, facts: Sequence[Fact], tree: str) -> TreeHistory:
        """What remembered and new facts tell of a source tree."""
        assert known.status is not None  # what is remembered has one
        runs: tuple[RunRecord, ...] = known.status.runs
        for fact in facts:
            runs = runs_after(runs, fact)
        there = {run.fact for run in runs}
        older = map(RunRecord.model_validate_json, known.notes_of(tree, "r"))
        every = sorted((*runs, *(r for r in older if r.fact not in there)), key=lambda r: r.fact)
        return history_from((*self._remembered(known, tree), *facts), every, tree)

    def _remembered(self, known: Checked, tree: str) -> list[Fact]:
        """The facts with checks and builds of a tree in folders that were checked before."""
        folders = {folder.path: folder for folder in known.folders}
        paths = sorted(known.notes_of(tree, "bc"), key=lambda path: path.rpartition("/")[2])
        wanted = {p: self.listing(folders[p.rpartition("/")[0]])[p] for p in paths}
        return [Fact.model_validate_json(file.content) for file in self._read(wanted)]


def _notes_after(known: Checked, facts: Iterable[Fact], paths: Mapping[int, str]) -> str:
    """The notes with some more facts."""
    runs = known.status.runs if known.status else ()
    lines = known.notes.splitlines()
    for fact in facts:
        body = fact.body
        runs = runs_after(runs, fact)
        if isinstance(body, ChecksRecorded):
            lines.append(f"{body.report.tree} c {paths[fact.sequence]}")
        elif isinstance(body, Built):
            lines.append(f"{body.build.source_tree} b {paths[fact.sequence]}")
    # What is known of a run may have changed since it was noted: the last line counts.
    noted = {f"{run.release.source_tree} {run.fact}": run for run in runs}
    kept = [line for line in lines if line[41:42] != "r" or _run_key(line) not in noted]
    kept += [f"{run.release.source_tree} r {run.model_dump_json()}" for run in runs]
    return "".join(f"\n{line}" for line in kept if line)


def _run_key(line: str) -> str:
    told: Any = json.loads(line[43:])
    return f"{line[:40]} {told['fact']}"


def read_checked_chain(git: GitRepository, head: str | None, status: DraftStatus) -> CheckedChain:
    """A draft's chain at a state commit, checked against its status."""
    if head is None:
        return CheckedChain("there is no state branch")
    folders = _read_folders(git, head, status.primitive_id)
    reading = _Reading(git, status, folders)
    key = cache_key(tool_identity(), str(git.path), status.id)
    known = _read_known(key)
    found = None
    if known and known.folders == folders[: len(known.folders)] and known.folders != folders:
        found = reading.continued(known)
    chain, checked = found or reading.whole()
    if checked is not None:
        _write_known(key, checked)
    return chain


def _read_folders(git: GitRepository, head: str, primitive: str) -> tuple[Folder, ...]:
    """The folders that hold a draft's facts, in order."""
    top = f"drafts/{primitive}"
    there = {e.name: e.id for e in git.read_tree(f"{head}:{top}") or () if e.is_tree}
    folders = [Folder(f"{top}/{FACTS}", there[FACTS])] if FACTS in there else []
    above = git.read_tree(there[LATER_FACTS]) or () if LATER_FACTS in there else ()
    found = git.read_objects([entry.id for entry in above])
    for entry, item in zip(above, found, strict=True):
        path = f"{top}/{LATER_FACTS}/{entry.name}"
        if item is None or item.type != "tree":
            folders.append(Folder(path, entry.id, is_tree=False))
            continue
        below = parse_tree(item.content)
        folders += (Folder(f"{path}/{e.name}", e.id, is_tree=e.is_tree) for e in below)
    return tuple(folders)


def _read_known(key: str) -> Checked | None:
    """What is remembered of a chain; None if nothing is."""
    head, feed, notes = (read_cached(_KIND, key) or b"").decode().partition("\n")
    try:
        told = json.loads(head)
        folders = tuple(Folder(str(path), str(id)) for path, id in told["folders"])
        return Checked(folders, DraftStatus.model_validate_json(told["status"]), feed + notes)
    except (ValueError, TypeError, KeyError, ValidationError):
        return None


def _write_known(key: str, checked: Checked) -> None:
    assert checked.status is not None  # the caller folded it
    told = {
        "folders": [[folder.path, folder.id] for folder in checked.folders],
        "status": checked.status.model_dump_json(by_alias=True),
    }
    content = json.dumps(told, separators=(",", ":")) + checked.notes
    write_cached(_KIND, key, content.encode())
