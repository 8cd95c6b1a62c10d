"""The objects of one clone, read by id and hashed; paths are walked here and not by git.

To resolve a name such as `COMMIT:a/b`, git walks trees without hashing them, and gives the same
answer for a missing object as for a path that does not exist. So an audit asks only for full ids
and walks the trees itself; a missing or damaged object is *could not check*.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.errors import CouldNotCheck
from pipeline.git.commits import Commit, parse_commit
from pipeline.git.objects import MODE_SUBMODULE, MODE_TREE, File, GitObject, TreeEntry
from pipeline.git.repository import GitRepository

_ENTRY = re.compile(rb"([0-7]{5,6}) ([^\0/]+)\0(.{20})", re.DOTALL)
_AT_ONCE = 2_000  # objects per round trip
_TREES_KEPT = 4_000
Tree = Mapping[str, TreeEntry]


class Missing(CouldNotCheck):
    """A referenced object is not in the clone, or does not match its id."""

    code = "object-missing"


def tree_of(content: bytes) -> dict[str, TreeEntry]:
    """Name → entry of a tree's content. Raises ValueError if any of it is not an entry."""
    entries: dict[str, TreeEntry] = {}
    end = 0
    # Each entry must begin exactly where the one before it ends.
    while found := _ENTRY.match(content, end):
        end = found.end()
        name = found[2].decode("utf-8", "surrogateescape")
        if name in entries:
            raise ValueError(f"it names {name!r} twice")
        entries[name] = TreeEntry(int(found[1], 8), name, found[3].hex())
    if end != len(content):
        raise ValueError("it is not a tree")
    return entries


def changed_paths(objects: Objects, old: str, new: str, prefix: str = "") -> tuple[str, ...]:
    """The paths of files that differ between two trees, sorted within each folder."""
    if old == new:
        return ()
    before = objects.tree(old) if old else {}
    after = objects.tree(new) if new else {}
    found: list[str] = []
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        if one == other:
            continue
        path = prefix + name
        if any(entry is not None and not entry.is_tree for entry in (one, other)):
            found.append(path)
        sides = [entry.id if entry is not None and entry.is_tree else "" for entry in (one, other)]
        found += changed_paths(objects, sides[0], sides[1], f"{path}/")
    return tuple(found)


@dataclass
class Objects:
    """One clone's objects. Every method raises Missing for a missing or damaged object."""

    git: GitRepository
    name: str
    hashed: int = 0  # objects read so far
    _trees: OrderedDict[str, Tree] = field(default_factory=OrderedDict)
    _commits: dict[str, Commit] = field(default_factory=dict)
    _blobs: dict[str, GitObject] = field(default_factory=dict)
    _whole: set[str] = field(default_factory=set)  # trees read with everything below them

    def read(self, ids: Sequence[str]) -> Iterator[GitObject]:
        """The objects of these ids, in order."""
        for start in range(0, len(ids), _AT_ONCE):
            asked = ids[start : start + _AT_ONCE]
            for id, found in zip(asked, self.git.read_objects(asked), strict=True):
                if found is None:
                    raise Missing(
                        f"{self.name} lacks object {id}",
                        help="fetch it again: `git fsck` in the clone names what else is missing",
                    )
                self.hashed += 1
                yield found

    def read_one(self, id: str) -> GitObject:
        """The object of an id."""
        return self._blobs.get(id) or next(self.read([id]))

    def has(self, id: str) -> bool:
        """Whether the clone holds an object with this id, undamaged."""
        return self.git.read_object(id) is not None

    def commit(self, id: str) -> Commit:
        """The commit of an id."""
        if id not in self._commits:
            self._keep_commits([id])
        return self._commits[id]

    def find_commit(self, id: str) -> Commit | None:
        """The commit of an id; None if the clone has no such commit."""
        if id not in self._commits:
            found = self.git.read_object(id)
            if found is None or found.type != "commit":
                return None
        return self.commit(id)

    def _keep_commits(self, ids: Sequence[str]) -> None:
        for found in self.read(ids):
            if found.type != "commit":
                raise Missing(f"{self.name} has no commit {found.id}")
            try:
                self._commits[found.id] = parse_commit(found.id, found.content)
            except ValueError as malformed:
                raise Missing(f"commit {found.id} in {self.name} is malformed: {malformed}") from (
                    malformed
                )

    def history(self, heads: Iterable[str], seen: Collection[str] = ()) -> list[Commit]:
        """All commits reachable from `heads` but not from `seen`, parents before children.

        git lists them; the list is checked against the parents that the commits name.
        """
        wanted = [head for head in heads if head not in seen]
        if not wanted:
            return []
        ids = self.git.list_new_commits(wanted, seen)
        self._keep_commits([id for id in ids if id not in self._commits])
        listed = set(ids)
        for id in ids:
            for parent in self._commits[id].parents:
                if parent not in listed and not seen:
                    raise Missing(f"{self.name} lacks commit {parent}, a parent of {id}")
        return [self._commits[id] for id in ids]

    def line(self, head: str, until: str | None = None) -> list[Commit]:
        """The first-parent commits after `until` up to `head`, oldest first; all without `until`.

        Empty if `head` is `until`. Goes back to the first commit if `until` is not on the line.
        """
        if head == until:
            return []
        # git's list is only for prefetching: the commits themselves decide the line.
        listed = self.git.list_line(head, until)
        self._keep_commits([id for id in listed if id not in self._commits])
        found: list[Commit] = []
        at: str | None = head
        while at is not None and at != until:
            commit = self.commit(at)
            found.append(commit)
            at = commit.parents[0] if commit.parents else None
        return found[::-1]

    def read_ahead(self, trees: Iterable[str]) -> None:
        """Prefetch these trees in one query."""
        new = [id for id in dict.fromkeys(trees) if id not in self._trees]
        for found in self.read(new):
            self._keep_tree(found)

    def read_ahead_at(self, places: Collection[tuple[str, str]]) -> None:
        """Prefetch the trees along paths below trees, in one query per level."""
        level = [(tree, path.split("/")) for tree, path in places]
        while level:
            self.read_ahead(tree for tree, _ in level)
            below = []
            for tree, parts in level:
                entry = self.tree(tree).get(parts[0])
                if entry is not None and entry.is_tree and len(parts) > 1:
                    below.append((entry.id, parts[1:]))
            level = below

    def read_ahead_commits(self, ids: Iterable[str]) -> None:
        """Prefetch those of these commits that exist, in one query."""
        new = [id for id in dict.fromkeys(ids) if id not in self._commits]
        found = self.git.read_objects(new)
        self.hashed += len(found)
        there = [item.id for item in found if item is not None and item.type == "commit"]
        self._keep_commits(there)

    def keep_blobs(self, ids: Iterable[str]) -> None:
        """Prefetch those of these blobs that exist, and keep them until the next call."""
        asked = list(dict.fromkeys(ids))
        found = self.git.read_objects(asked)
        self.hashed += len(found)
        self._blobs = {item.id: item for item in found if item is not None}

    def tree(self, id: str) -> Tree:
        """The entries of a tree, by name."""
        kept = self._trees.get(id)
        if kept is not None:
            self._trees.move_to_end(id)
            return kept
        return self._keep_tree(self.read_one(id))

    def _keep_tree(self, found: GitObject) -> Tree:
        try:
            if found.type != "tree":
                raise ValueError(f"it is a {found.type}")
            tree = tree_of(found.content)
        except ValueError as malformed:
            raise Missing(f"tree {found.id} in {self.name} is malformed: {malformed}") from (
                malformed
            )
        self._trees[found.id] = tree
        if len(self._trees) > _TREES_KEPT:
            self._trees.popitem(last=False)
        return tree

    def entry(self, tree: str, path: str) -> TreeEntry | None:
        """The entry at a path below a tree; None if there is none."""
        at = TreeEntry(MODE_TREE, "", tree)
        for part in path.split("/"):
            if not at.is_tree:
                return None
            found = self.tree(at.id).get(part)
            if found is None:
                return None
            at = found
        return at

    def at(self, commit: str, path: str) -> TreeEntry | None:
        """The entry at a path in a commit; None if there is none."""
        return self.entry(self.commit(commit).tree, path)

    def listing(self, tree: str) -> dict[str, TreeEntry]:
        """Path → entry of everything below a tree except folders."""
        files: dict[str, TreeEntry] = {}
        level = [("", tree)]
        while level:
            missing = [id for _, id in level if id not in self._trees]
            for found in self.read(list(dict.fromkeys(missing))):
                self._keep_tree(found)
            below: list[tuple[str, str]] = []
            for prefix, id in level:
                for entry in self.tree(id).values():
                    if entry.is_tree:
                        below.append((f"{prefix}{entry.name}/", entry.id))
                    else:
                        files[prefix + entry.name] = entry
            level = below
        return files

    def files(self, tree: str) -> dict[str, File]:
        """Path → (mode, content) of everything below a tree; submodules have no content."""
        listed = self.listing(tree)
        ids = list(dict.fromkeys(e.id for e in listed.values() if e.mode != MODE_SUBMODULE))
        contents = {found.id: found.content for found in self.read(ids)}
        return {path: (e.mode, contents.get(e.id, b"")) for path, e in listed.items()}

    def read_whole(self, *trees: str) -> None:
        """Read everything below trees once. Raises Missing if any of it is missing or damaged."""
        blobs: dict[str, None] = {}
        seen: set[str] = set()
        level = [tree for tree in dict.fromkeys(trees) if tree not in self._whole]
        while level:
            seen.update(level)
            below: dict[str, None] = {}
            for start in range(0, len(level), _TREES_KEPT // 2):
                part = level[start : start + _TREES_KEPT // 2]
                self.read_ahead(part)
                for entry in [e for id in part for e in self.tree(id).values()]:
                    if entry.is_tree:
                        below[entry.id] = None
                    elif entry.mode != MODE_SUBMODULE:
                        blobs[entry.id] = None
            level = [id for id in below if id not in self._whole and id not in seen]
        new = [id for id in blobs if id not in self._whole]
        for _ in self.read(new):
            pass
        # Only now, so that a later call tries again after a failure.
        self._whole |= seen
        self._whole.update(new)
