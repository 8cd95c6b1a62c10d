"""State branches: append-only by their history, and the chain and fold of every draft.

Each commit of a state branch adds facts and rewrites the statuses of their drafts to the fold at
that point, and does nothing else. What a commit changed is told by comparing trees, so a branch
costs what was written to it, not its size at each commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.audit import rules as rule
from pipeline.audit.objects import Objects, Tree
from pipeline.diagnostics import Finding, Location
from pipeline.git.commits import PIPELINE_EMAIL, Commit
from pipeline.git.objects import MODE_FILE, TreeEntry
from pipeline.names import is_tenant_id
from pipeline.state.facts import FactFile, facts_folder, status_path

_FACT_NAME = re.compile(r"[0-9]{6}-[a-z-]+\.json\Z")
_NO_TREE: Tree = {}


@dataclass(frozen=True, slots=True)
class Written:
    """What one commit did to one draft: how many facts it had then, and its status."""

    primitive: str
    facts: int
    status: str  # blob id, empty where there is none


@dataclass(frozen=True)
class StateCommit:
    """One commit of a state branch, and what it did."""

    commit: Commit
    written: tuple[Written, ...] = ()
    lost: tuple[str, ...] = ()  # paths that were there before and are not, or are other ones


@dataclass(frozen=True, slots=True)
class Strange:
    """A path of a state branch that is none of ours, and the commit that first held it."""

    path: str
    why: str
    commit: str


@dataclass
class StateBranch:
    """A state branch as its commits since the last audit tell it, the oldest first."""

    objects: Objects
    branch: str
    tenant: str
    head: str
    commits: list[StateCommit] = field(default_factory=list)
    strange: list[Strange] = field(default_factory=list)
    drafts: Mapping[str, str] = field(default_factory=dict)  # primitive → tree, at the head
    # Primitive → facts → status blob that a commit recorded with so many.
    recorded: dict[str, dict[int, str]] = field(default_factory=dict)

    @property
    def touched(self) -> tuple[str, ...]:
        """The primitives that the commits wrote to and that are there."""
        return tuple(sorted(p for p in self.recorded if p in self.drafts))


def read_state_branch(
    objects: Objects, branch: str, head: str, verified: str | None = None
) -> StateBranch:
    """What the commits after `verified` did, or all of them."""
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
    # The fold says what a status must be; that it is there is another question.
    newest = [recorded[max(recorded)] for recorded in state.recorded.values()]
    for _ in objects.read([id for id in newest if id]):
        pass
    return state


def _drafts_of(objects: Objects, root: str, strange: list[tuple[str, str]]) -> Tree:
    """Primitive → its folder's entry; what lies beside them is noted."""
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


def _read_change(
    objects: Objects, before: Tree, now: Tree, strange: list[tuple[str, str]]
) -> tuple[tuple[Written, ...], tuple[str, ...]]:
    written: list[Written] = []
    changed = [e for p, e in now.items() if (old := before.get(p)) is None or old.id != e.id]
    objects.read_ahead(entry.id for entry in changed)
    inner = [objects.tree(entry.id).get("facts") for entry in changed]
    objects.read_ahead(entry.id for entry in inner if entry is not None and entry.is_tree)
    lost = [f"drafts/{primitive}" for primitive in before if primitive not in now]
    for entry in changed:
        primitive, old = entry.name, before.get(entry.name)
        facts, status = _draft_at(objects, primitive, entry.id, strange)
        had = _draft_at(objects, primitive, old.id, [])[0] if old is not None else _NO_TREE
        lost += [
            f"{facts_folder(primitive)}/{name}"
            for name, fact in had.items()
            if facts.get(name) != fact
        ]
        written.append(Written(primitive, len(facts), status))
    return tuple(written), tuple(lost)


def _draft_at(
    objects: Objects, primitive: str, tree: str, strange: list[tuple[str, str]]
) -> tuple[Tree, str]:
    """The facts by file name, and the status' blob; what lies beside them is noted."""
    facts: dict[str, TreeEntry] = {}
    status = ""
    for name, entry in objects.tree(tree).items():
        if name == "status.yaml" and not entry.is_tree:
            status = entry.id
            strange += _mode_problem(status_path(primitive), entry)
        elif name == "facts" and entry.is_tree:
            for inner, fact in objects.tree(entry.id).items():
                path = f"{facts_folder(primitive)}/{inner}"
                if fact.is_tree or not _FACT_NAME.match(inner):
                    strange.append((path, "belongs to nothing"))
                    continue
                facts[inner] = fact
                strange += _mode_problem(path, fact)
        else:
            strange.append((f"drafts/{primitive}/{name}", "belongs to nothing"))
    return facts, status


def _mode_problem(path: str, entry: TreeEntry) -> Iterator[tuple[str, str]]:
    if entry.mode != MODE_FILE:
        yield path, f"has mode {entry.mode:o}; facts and statuses are plain files (100644)"


def read_stored_facts(state: StateBranch, primitive: str) -> list[FactFile]:
    """The stored facts of a draft at the branch's head, in order."""
    facts, _ = _draft_at(state.objects, primitive, state.drafts[primitive], [])
    names = sorted(name for name, entry in facts.items() if entry.mode == MODE_FILE)
    found = state.objects.read([facts[name].id for name in names])
    folder = facts_folder(primitive)
    return [FactFile(f"{folder}/{n}", o.content) for n, o in zip(names, found, strict=True)]


# -- the steps ------------------------------------------------------------------------------


def check_state_files(state: StateBranch) -> Iterator[Finding]:
    """Facts and statuses as plain files, and nothing else, at every commit."""
    now = set(_strange_at_head(state)) if state.strange else set()
    for one in state.strange:
        # What is still there cannot be acknowledged, so no commit is named for it.
        by = "" if (one.path, one.why) in now else f"{state.objects.name}@{one.commit}"
        at = Location(f"{state.branch}:{one.path}")
        yield rule.AUDIT_STATE_FILE.finding(f"`{one.path}` {one.why}", at, commit=by)


def _strange_at_head(state: StateBranch) -> list[tuple[str, str]]:
    strange: list[tuple[str, str]] = []
    root = state.objects.commit(state.head).tree
    for primitive, entry in _drafts_of(state.objects, root, strange).items():
        _draft_at(state.objects, primitive, entry.id, strange)
    return strange


def check_append_only(state: StateBranch) -> Iterator[Finding]:
    """Each commit leaves every fact that was there as it was, on a line without merges."""
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
    """Every commit carries the pipeline's identity."""
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
    """Each commit's `Fact:` trailers name the newest fact of just the drafts that it wrote to.

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
