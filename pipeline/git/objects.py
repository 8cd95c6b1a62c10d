"""Git's object ids and bytes, computed here and not by git, so that planning stays pure.

The planner must name the tree that a write will make before anything is written. Formats:
git's `Documentation/gitformat-pack` and `git-hash-object`; a tree's entries sort by name, with
directories compared as if they ended in `/`. Only SHA-1 repositories are supported.
`pack_of` puts many objects into one pack stream, so a write costs one `git unpack-objects` process
for any number of files.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

MODE_FILE = 0o100644
MODE_EXECUTABLE = 0o100755
MODE_SYMLINK = 0o120000
MODE_TREE = 0o040000
MODE_SUBMODULE = 0o160000
File = tuple[int, bytes]  # git mode, content
Files = Mapping[str, File]  # by path

ObjectType = Literal["commit", "tree", "blob"]
# git-fsck refuses these names; a checkout would write outside of itself.
_NO_PATH = re.compile(r"(?:\A|/)(?:\.{0,2}|\.git)(?:/|\Z)|\0", re.IGNORECASE | re.ASCII)
_PACK_TYPE: dict[ObjectType, int] = {"commit": 1, "tree": 2, "blob": 3}


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """Move `ref` (full name, `refs/heads/…`) from `old` to `new`; `old` None means create."""

    ref: str
    old: str | None
    new: str


@dataclass(frozen=True, slots=True)
class GitObject:
    """One object: its type, its content without header, and its 40-hex id."""

    type: ObjectType
    content: bytes
    id: str


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One line of a tree: mode, name (one path component), object id."""

    mode: int
    name: str
    id: str

    @property
    def is_tree(self) -> bool:
        """Whether the entry is a directory."""
        return self.mode == MODE_TREE


def git_object(type: ObjectType, content: bytes) -> GitObject:
    """The object of this type and content, with its id."""
    header = f"{type} {len(content)}\0".encode()
    return GitObject(
        type, content, hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
    )


def blob_id(content: bytes) -> str:
    """The id that git gives a file's content."""
    return git_object("blob", content).id


def _tree_order(entry: TreeEntry) -> bytes:
    return _name_bytes(entry.name) + (b"/" if entry.is_tree else b"")


def _name_bytes(name: str) -> bytes:
    # `parse_tree` escapes names that are not UTF-8; this reverses it.
    return name.encode("utf-8", "surrogateescape")


def tree_object(entries: Iterable[TreeEntry]) -> GitObject:
    """The tree of these entries, sorted as git sorts them."""
    lines = [
        f"{entry.mode:o} ".encode() + _name_bytes(entry.name) + b"\0" + bytes.fromhex(entry.id)
        for entry in sorted(entries, key=_tree_order)
    ]
    return git_object("tree", b"".join(lines))


def parse_tree(content: bytes) -> tuple[TreeEntry, ...]:
    """The entries of a tree object's content, in stored order."""
    entries = []
    at = 0
    while at < len(content):
        space = content.index(b" ", at)
        nul = content.index(b"\0", space)
        entries.append(
            TreeEntry(
                int(content[at:space], 8),
                content[space + 1 : nul].decode("utf-8", "surrogateescape"),
                content[nul + 1 : nul + 21].hex(),
            )
        )
        at = nul + 21
    return tuple(entries)


def objects_of_files(files: Files) -> tuple[GitObject, ...]:
    """All blobs and trees of `files` (path → mode, content); the root tree comes last.

    Paths are relative with `/`; an empty mapping gives git's empty tree. Raises ValueError for
    a path that no work tree may hold, or that is both a file and a folder.
    """
    blobs = {path: git_object("blob", content) for path, (_, content) in files.items()}
    trees = trees_of_entries({path: (mode, blobs[path].id) for path, (mode, _) in files.items()})
    return (*{blob.id: blob for blob in blobs.values()}.values(), *trees)


def _collect_trees(level: dict[str, object], trees: list[GitObject]) -> str:
    entries = []
    for name, child in level.items():
        if isinstance(child, TreeEntry):
            entries.append(child)
        elif isinstance(child, dict):
            entries.append(TreeEntry(MODE_TREE, name, _collect_trees(child, trees)))
    tree = tree_object(entries)
    trees.append(tree)
    return tree.id


def trees_of_entries(entries: Mapping[str, tuple[int, str]]) -> tuple[GitObject, ...]:
    """All trees over `entries` (path → mode, blob id), the root last; blobs are not needed.

    Raises ValueError as `objects_of_files` does.
    """
    nested: dict[str, object] = {}
    for path, (mode, id) in entries.items():
        parts = path.split("/")
        if _NO_PATH.search(path):
            raise ValueError(f"{path!r} is not a plain relative path")
        level = nested
        for part in parts[:-1]:
            child = level.setdefault(part, {})
            if not isinstance(child, dict):
                raise ValueError(f"{path}: {part} is both a file and a folder")
            level = child
        if parts[-1] in level:
            raise ValueError(f"{path} is both a file and a folder")
        level[parts[-1]] = TreeEntry(mode, parts[-1], id)
    trees: list[GitObject] = []
    _collect_trees(nested, trees)
    return tuple(trees)


def graft(
    parents: Sequence[Sequence[TreeEntry]], folder: str, subtree: str | None
) -> tuple[GitObject, ...]:
    """The trees from just above `folder` up to the root (last), with `subtree` put there.

    `parents[i]` are the entries of the tree that holds the i-th component of `folder`; missing
    ones count as empty. `subtree` None removes the folder and any parents left empty.
    """
    parts = folder.split("/")
    made: list[GitObject] = []
    child = subtree
    for depth in reversed(range(len(parts))):
        present = parents[depth] if depth < len(parents) else ()
        entries = [e for e in present if e.name != parts[depth]]
        if child is not None:
            entries.append(TreeEntry(MODE_TREE, parts[depth], child))
        if not entries and depth:
            child = None
            continue
        tree = tree_object(entries)
        made.append(tree)
        child = tree.id
    return tuple(made)


def tree_id_of_files(files: Files) -> str:
    """The id of the tree that holds `files` (path → mode, content)."""
    return objects_of_files(files)[-1].id


@dataclass(frozen=True, slots=True)
class Signature:
    """A commit's author or committer: name, e-mail, and time in seconds since the epoch (UTC)."""

    name: str
    email: str
    time_s: int

    def render(self) -> str:
        """The signature as a commit's header line has it.

        Raises ValueError for a name or address that would end the line or the address early.
        """
        if any(c in self.name + self.email for c in "\n\0<>"):
            raise ValueError(f"nobody signs as {self.name!r} <{self.email!r}>")
        return f"{self.name} <{self.email}> {self.time_s} +0000"


def commit_object(
    tree: str, parents: Iterable[str], message: str, author: Signature, committer: Signature
) -> GitObject:
    """The commit of this tree; its id depends only on the arguments.

    Raises ValueError for a message with a NUL, at which git's own tools would end it.
    """
    if "\0" in message:
        raise ValueError("a commit message holds no NUL")
    lines = [f"tree {tree}"]
    lines += [f"parent {parent}" for parent in parents]
    lines += [f"author {author.render()}", f"committer {committer.render()}", "", message]
    return git_object("commit", "\n".join(lines).encode())


def pack_of(objects: Iterable[GitObject]) -> bytes:
    """A pack stream of `objects`, each once, undeltified; for `git unpack-objects`."""
    unique = {o.id: o for o in objects}
    chunks = [b"PACK" + (2).to_bytes(4, "big") + len(unique).to_bytes(4, "big")]
    for item in unique.values():
        size = len(item.content)
        byte = (_PACK_TYPE[item.type] << 4) | (size & 0x0F)
        size >>= 4
        header = bytearray()
        while size:
            header.append(byte | 0x80)
            byte = size & 0x7F
            size >>= 7
        header.append(byte)
        chunks.append(bytes(header) + zlib.compress(item.content, 1))
    body = b"".join(chunks)
    return body + hashlib.sha1(body, usedforsecurity=False).digest()
