"""State branches: append-only by their history, and the chain and fold of every draft.

Each commit of a state branch adds facts, rewrites their drafts' statuses to the fold at that point,
and does nothing else. Changes are found by comparing trees, so the cost of a branch is what was
written to it, not its size at each commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.audit import rules as rule
from pipeline.audit.objects import Objects, Tree
from pipeline.diagnostics import Finding, Location
from pipeline.git.commits import PIPELINE_EMAIL, Commit
from pipeline.git.objects import MODE_FILE, TreeEntry
from pipeline.names import is_tenant_id
from pipeline.state.facts import FACTS, LATER_FACTS, FactFile, status_path

_FACT_NAME = re.compile(r"[0-9]{6}-[a-z-]+\.json\Z")
# Names of the folders in `later-facts`, and of the folders in those.
_LATER_FOLDERS = (re.compile(r"[0-9]{3}\Z"), re.compile(r"[0-9]{6}\Z"))
_NO_TREE: Tree = {}


@dataclass(frozen=True, slots=True)
class Written:
    """What one commit wrote for one draft: its number of facts then, and its status."""

    primitive: str
    facts: int
    status: str  # blob id; empty if there is none


@dataclass(frozen=True)
class StateCommit:
    """One commit of a state branch, and what it changed."""

    commit: Commit
    written: tuple[Written, ...] = ()
    lost: tuple[str, ...] = ()  # paths of facts that it removed or changed


@dataclass(frozen=True, slots=True)
class Strange:
    """A path that does not belong on a state branch, and the commit that first held it."""

    path: str
    why: str
    commit: str


@dataclass
class StateBranch:
    """A state branch: its commits since the last audit, oldest first."""

    objects: Objects
    branch: str
    tenant: str
    head: str
    commits: list[StateCommit] = field(default_factory=list)
    strange: list[Strange] = field(default_factory=list)
    drafts: Mapping[str, str] = field(default_factory=dict)  # primitive → tree, at the head
    # Primitive → number of facts → status blob recorded with that many.
    recorded: dict[str, dict[int, str]] = field(default_factory=dict)

    @property
    def touched(self) -> tuple[str, ...]:
        """The primitives that the commits wrote to and that still exist."""
        return tuple(sorted(p for p in self.recorded if p in self.drafts))


def read_state_branch(
    objects: Objects, branch: str, head: str, verified: str | None = None
) -> StateBranch:
    """The state branch from the commits after `verified`, or from all of them."""
    state = StateBranch(objects, branch, branch.removeprefix("state/"), head)
    before = _drafts_of(objects, objects.commit(verified).tree, []) if verified else _NO_TREE
    odd: dict[tuple[str, str], str] = {}
    for commit in objects.line(head, verified):
        strange: list[tuple[str, str]] = []
        now = _drafts_of(objects, commit.tree, strange)
        written, lost = _read_change(objects, before, now, strange)
        state.commits.append(StateCommit(commit, written, lost))
        for path_and_why in strange:
            odd.setdefault(path_and_why, commit.id)
        for one in written:
            state.recorded.setdefault(one.primitive, {})[one.facts] = one.status
        before = now
    state.strange = [Strange(path, why, commit) for (path, why), commit in odd.items()]
    state.drafts = {name: entry.id for name, entry in before.items()}
    # Only checks that the newest statuses exist; `check_fold` checks their content.
    newest = [recorded[max(recorded)] for recorded in state.recorded.values()]
    for _ in objects.read([id for id in newest if id]):
        pass
    return state


def _drafts_of(objects: Objects, root: str, strange: list[tuple[str, str]]) -> Tree:
    """Primitive → its folder's entry; anything else is added to `strange`."""
    top = objects.tree(root)
    drafts: Tree = _NO_TREE
    for name, entry in top.items():
        if name == "drafts" and entry.is_tree:
            drafts = objects.tree(entry.id)
        else:
            strange.append((name, "belongs to nothing"))
    plain = {name: entry for name, entry in drafts.items() if entry.is_tree and is_tenant_id(name)}
    if len(plain) < len(drafts):
        strange += [(f"drafts/{n}", "belongs to nothing") for n in drafts if n not in plain]
    return plain


@dataclass(frozen=True, slots=True)
class _DraftTree:
    """A draft's folder at one commit: its folders of facts, by path, and its status."""

    folders: Mapping[str, str] = field(default_factory=dict)  # path → tree id
    status: str = ""  # blob id; empty if there is none


def _read_change(
    objects: Objects, before: Tree, now: Tree, strange: list[tuple[str, str]]
) -> tuple[tuple[Written, ...], tuple[str, ...]]:
    written: list[Written] = []
    changed = [e for p, e in now.items() if (old := before.get(p)) is None or old.id != e.id]
    _read_ahead(objects, [entry.id for entry in changed])
    lost = [f"drafts/{primitive}" for primitive in before if primitive not in now]
    for entry in changed:
        primitive, old = entry.name, before.get(entry.name)
        draft = _draft_at(objects, primitive, entry.id, strange)
        had = _draft_at(objects, primitive, old.id, []) if old is not None else _DraftTree()
        lost += _lost(objects, primitive, had, draft)
        count = sum(
            len(_facts_in(objects, _path(primitive, folder), tree, strange))
            for folder, tree in draft.folders.items()
        )
        written.append(Written(primitive, count, draft.status))
    return tuple(written), tuple(lost)


def _path(primitive: str, below: str) -> str:
    return f"drafts/{primitive}/{below}"


def _read_ahead(objects: Objects, drafts: Sequence[str]) -> None:
    """Prefetch the trees of drafts' folders and of the folders of facts in them."""
    level = list(drafts)
    for depth in range(2 + len(_LATER_FOLDERS)):
        objects.read_ahead(level)
        below = [entry for tree in level for entry in objects.tree(tree).values() if entry.is_tree]
        level = [e.id for e in below if depth or e.name in (FACTS, LATER_FACTS)]


def _lost(objects: Objects, primitive: str, had: _DraftTree, now: _DraftTree) -> Iterator[str]:
    """The paths of facts that were removed or changed."""
    for folder, tree in had.folders.items():
        if now.folders.get(folder) == tree:
            continue
        path = _path(primitive, folder)
        there = now.folders.get(folder)
        facts = _facts_in(objects, path, there, []) if there is not None else _NO_TREE
        for name, fact in _facts_in(objects, path, tree, []).items():
            if facts.get(name) != fact:
                yield f"{path}/{name}"


def _draft_at(
    objects: Objects, primitive: str, tree: str, strange: list[tuple[str, str]]
) -> _DraftTree:
    """The folders of facts, and the status's blob; anything else is added to `strange`."""
    folders: dict[str, str] = {}
    status = ""
    for name, entry in objects.tree(tree).items():
        if name == "status.yaml" and not entry.is_tree:
            status = entry.id
            strange += _mode_problem(status_path(primitive), entry)
        elif name == FACTS and entry.is_tree:
            folders[FACTS] = entry.id
        elif name == LATER_FACTS and entry.is_tree:
            folders |= _later_folders(objects, primitive, entry.id, strange)
        else:
            strange.append((_path(primitive, name), "belongs to nothing"))
    return _DraftTree(folders, status)


def _later_folders(
    objects: Objects, primitive: str, tree: str, strange: list[tuple[str, str]]
) -> dict[str, str]:
    """Path below the draft's folder → tree of each folder of later facts."""
    level = {LATER_FACTS: tree}
    for pattern in _LATER_FOLDERS:
        below: dict[str, str] = {}
        for folder, id in level.items():
            for name, entry in objects.tree(id).items():
                if entry.is_tree and pattern.match(name):
                    below[f"{folder}/{name}"] = entry.id
                else:
                    strange.append((_path(primitive, f"{folder}/{name}"), "belongs to nothing"))
        level = below
    return level


def _facts_in(
    objects: Objects, folder: str, tree: str, strange: list[tuple[str, str]]
) -> dict[str, TreeEntry]:
    """The facts of a folder by file name; anything else is added to `strange`."""
    facts: dict[str, TreeEntry] = {}
    for name, entry in objects.tree(tree).items():
        path = f"{folder}/{name}"
        if entry.is_tree or not _FACT_NAME.match(name):
            strange.append((path, "belongs to nothing"))
            continue
        facts[name] = entry
        strange += _mode_problem(path, entry)
    return facts


def _mode_problem(path: str, entry: TreeEntry) -> Iterator[tuple[str, str]]:
    if entry.mode != MODE_FILE:
        yield path, f"has mode {entry.mode:o}; facts and statuses are plain files (100644)"


def read_stored_facts(state: StateBranch, primitive: str) -> list[FactFile]:
    """The stored facts of a draft at the branch's head, in order."""
    draft = _draft_at(state.objects, primitive, state.drafts[primitive], [])
    ids = {
        f"{path}/{name}": entry.id
        for folder, tree in draft.folders.items()
        for path in [_path(primitive, folder)]
        for name, entry in _facts_in(state.objects, path, tree, []).items()
        if entry.mode == MODE_FILE
    }
    found = state.objects.read(list(ids.values()))
    return [FactFile(path, o.content) for path, o in zip(ids, found, strict=True)]


def count_facts(objects: Objects, commit: str, primitive: str) -> int:
    """How many facts a draft had at a commit of its state branch."""
    entry = objects.at(commit, f"drafts/{primitive}")
    if entry is None or not entry.is_tree:
        return 0
    folders = _draft_at(objects, primitive, entry.id, []).folders
    return sum(len(_facts_in(objects, "", tree, [])) for tree in folders.values())


# -- the steps ------------------------------------------------------------------------------


def check_state_files(state: StateBranch) -> Iterator[Finding]:
    """Findings for anything but facts and statuses as plain files, at any commit."""
    now = set(_strange_at_head(state)) if state.strange else set()
    for one in state.strange:
        # Present content cannot be acknowledged, so no commit is named for it.
        by = "" if (one.path, one.why) in now else f"{state.objects.name}@{one.commit}"
        at = Location(f"{state.branch}:{one.path}")
        yield rule.AUDIT_STATE_FILE.finding(f"`{one.path}` {one.why}", at, commit=by)


def _strange_at_head(state: StateBranch) -> list[tuple[str, str]]:
    strange: list[tuple[str, str]] = []
    root = state.objects.commit(state.head).tree
    for primitive, entry in _drafts_of(state.objects, root, strange).items():
        draft = _draft_at(state.objects, primitive, entry.id, strange)
        for folder, tree in draft.folders.items():
            _facts_in(state.objects, _path(primitive, folder), tree, strange)
    return strange


def check_append_only(state: StateBranch) -> Iterator[Finding]:
    """Findings for commits that remove or change a fact, and for merges."""
    for change in state.commits:
        commit = change.commit
        for path in change.lost:
            yield rule.AUDIT_STATE_HISTORY.finding(
                f"commit {commit.id[:12]} takes out or changes `{path}`",
                Location(f"{state.branch}:{path}"),
                commit=f"{state.objects.name}@{commit.id}",
            )
        if len(commit.parents) > 1:
            yield rule.AUDIT_STATE_HISTORY.finding(
                f"commit {commit.id[:12]} is a merge of {len(commit.parents)} histories",
                Location(state.branch),
                commit=f"{state.objects.name}@{commit.id}",
            )


def check_state_authors(state: StateBranch) -> Iterator[Finding]:
    """Findings for commits without the pipeline's identity."""
    for change in state.commits:
        commit = change.commit
        if commit.author.email != PIPELINE_EMAIL or commit.committer.email != PIPELINE_EMAIL:
            yield rule.AUDIT_FOREIGN_COMMIT.finding(
                f"commit {commit.id[:12]} by {commit.author.email} is on `{state.branch}`",
                Location(state.branch),
                commit=f"{state.objects.name}@{commit.id}",
            )


def check_state_trailers(
    state: StateBranch, hashes: Mapping[str, tuple[str, ...]]
) -> Iterator[Finding]:
    """Findings unless each commit's `Fact:` trailers name the newest facts of its drafts.

    `hashes` are those of the drafts' chains at the head, by primitive.
    """
    for change in state.commits:
        named = {value for name, value in change.commit.trailers if name == "Fact"}
        expected = set()
        for one in change.written:
            chain = hashes.get(one.primitive)
            if chain is None:
                named = {v for v in named if not v.startswith(f"{state.tenant}/{one.primitive} ")}
            elif 0 < one.facts <= len(chain):
                expected.add(f"{state.tenant}/{one.primitive} {chain[one.facts - 1]}")
        for value in sorted(named ^ expected):
            primitive = value.partition(" ")[0].rpartition("/")[2]
            told = "recorded" if value in named else "does not name"
            yield rule.AUDIT_FACT_ANCHOR.finding(
                f"commit {change.commit.id[:12]} {told} {value}, "
                + (
                    "which the chain lacks at that point"
                    if value in named
                    else "the newest that it wrote"
                ),
                Location(f"{state.branch}:{status_path(primitive)}"),
                commit=f"{state.objects.name}@{change.commit.id}",
            )
