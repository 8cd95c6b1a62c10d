"""Object ids, trees and packs, against ids that git itself gives."""

from __future__ import annotations

import hashlib
import zlib

import pytest

from pipeline.git.objects import (
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_TREE,
    Signature,
    TreeEntry,
    blob_id,
    commit_object,
    git_object,
    graft,
    objects_of_files,
    pack_of,
    parse_tree,
    tree_id_of_files,
    tree_object,
    trees_of_entries,
)

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
EMPTY_BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
SOMEBODY = Signature("Somebody", "somebody@example.com", 1_700_000_000)


def test_ids_are_those_that_git_gives() -> None:
    assert tree_object([]).id == EMPTY_TREE
    assert blob_id(b"") == EMPTY_BLOB
    assert blob_id(b"what is up, doc?") == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"


def test_folders_sort_as_if_they_ended_in_a_slash() -> None:
    entries = [
        TreeEntry(MODE_TREE, "a", EMPTY_TREE),
        TreeEntry(MODE_FILE, "a.b", EMPTY_BLOB),
        TreeEntry(MODE_FILE, "a-b", EMPTY_BLOB),
        TreeEntry(MODE_FILE, "a0", EMPTY_BLOB),
    ]
    names = [entry.name for entry in parse_tree(tree_object(entries).content)]
    assert names == ["a-b", "a.b", "a", "a0"]


def test_names_that_are_not_utf8_survive() -> None:
    raw = b"100644 caf\xe9\0" + bytes.fromhex(EMPTY_BLOB)
    [entry] = parse_tree(raw)
    assert tree_object([entry]).content == raw
    assert tree_object([*graft_siblings(entry)]).content == raw


def graft_siblings(entry: TreeEntry) -> tuple[TreeEntry, ...]:
    """The root's entries after a folder was added beside `entry` and removed again."""
    added = graft([(entry,)], "folder", EMPTY_TREE)[-1]
    return parse_tree(graft([parse_tree(added.content)], "folder", None)[-1].content)


def test_the_order_of_files_does_not_matter() -> None:
    files = {
        "b/two": (MODE_FILE, b"2"),
        "a": (MODE_EXECUTABLE, b"1"),
        "b/c/three": (MODE_FILE, b"3"),
        "b/again": (MODE_FILE, b"2"),
    }
    turned = dict(reversed(files.items()))
    assert tree_id_of_files(files) == tree_id_of_files(turned)
    objects = objects_of_files(files)
    assert len({item.id for item in objects}) == len(objects), "each object once"
    assert objects[-1].id == tree_id_of_files(files), "the root is the last"
    other = {**files, "a": (MODE_FILE, b"1")}
    assert tree_id_of_files(other) != tree_id_of_files(files), "a mode counts"


def test_no_files_are_the_empty_tree() -> None:
    assert [item.id for item in objects_of_files({})] == [EMPTY_TREE]


@pytest.mark.parametrize(
    "paths", [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")], ids=lambda paths: "+".join(paths)
)
def test_a_path_is_a_file_or_a_folder(paths: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="both a file and a folder"):
        trees_of_entries(dict.fromkeys(paths, (MODE_FILE, EMPTY_BLOB)))


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", "..", "a/../b", "./a", ".git/config", "a/.GIT/x", "a\0b"]
)
def test_a_path_that_leaves_the_work_tree_makes_no_tree(path: str) -> None:
    with pytest.raises(ValueError, match="plain relative path"):
        trees_of_entries({path: (MODE_FILE, EMPTY_BLOB)})


def root_of(files: dict[str, tuple[int, bytes]]) -> dict[str, tuple[TreeEntry, ...]]:
    """Folder → entries of every tree of `files`; the root is `''`."""
    trees = {o.id: parse_tree(o.content) for o in objects_of_files(files) if o.type == "tree"}
    found = {"": trees[tree_id_of_files(files)]}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for entry in found[folder]:
            if entry.is_tree:
                below = f"{folder}/{entry.name}".lstrip("/")
                found[below] = trees[entry.id]
                waiting.append(below)
    return found


FILES = {
    "README": (MODE_FILE, b"readme"),
    "env/dev/app/x": (MODE_FILE, b"old"),
    "env/dev/web/y": (MODE_FILE, b"y"),
}


def parents_of(folder: str) -> list[tuple[TreeEntry, ...]]:
    trees = root_of(FILES)
    parts = folder.split("/")
    above = ["/".join(parts[:depth]) for depth in range(len(parts))]
    return [trees[name] for name in above if name in trees]


@pytest.mark.parametrize("folder", ["env/dev/app", "env/dev/new", "env/prod/app", "fresh", "a/b/c"])
def test_graft_puts_a_folder_in_place_and_leaves_the_rest(folder: str) -> None:
    new = {"z": (MODE_FILE, b"new")}
    made = graft(parents_of(folder), folder, tree_id_of_files(new))
    kept = {p: f for p, f in FILES.items() if not p.startswith(f"{folder}/")}
    wanted = {**kept, **{f"{folder}/{path}": file for path, file in new.items()}}
    assert made[-1].id == tree_id_of_files(wanted)


def test_graft_removes_a_folder_and_parents_left_empty() -> None:
    made = graft(parents_of("env/dev/app"), "env/dev/app", None)
    assert made[-1].id == tree_id_of_files({p: f for p, f in FILES.items() if "app" not in p})
    alone = {"env/dev/app/x": (MODE_FILE, b"old")}
    trees = root_of(alone)
    made = graft([trees[""], trees["env"], trees["env/dev"]], "env/dev/app", None)
    assert made[-1].id == EMPTY_TREE


def test_a_commit_is_made_of_its_arguments_alone() -> None:
    made = commit_object(EMPTY_TREE, ["1" * 40, "2" * 40], "Say it\n", SOMEBODY, SOMEBODY)
    line = "Somebody <somebody@example.com> 1700000000 +0000"
    assert made.content.decode() == (
        f"tree {EMPTY_TREE}\nparent {'1' * 40}\nparent {'2' * 40}\n"
        f"author {line}\ncommitter {line}\n\nSay it\n"
    )
    again = commit_object(EMPTY_TREE, ["1" * 40, "2" * 40], "Say it\n", SOMEBODY, SOMEBODY)
    assert again == made


@pytest.mark.parametrize(
    ("name", "email"),
    [
        ("x\nparent " + "1" * 40, "a"),
        ("x", "a> 0 +0000\ncommitter y <b"),
        ("x <y>", "a"),
        ("x\0", "a"),
    ],
)
def test_a_name_cannot_write_another_header(name: str, email: str) -> None:
    with pytest.raises(ValueError, match="nobody signs"):
        commit_object(EMPTY_TREE, [], "m\n", Signature(name, email, 0), SOMEBODY)


def test_a_message_holds_no_nul() -> None:
    with pytest.raises(ValueError, match="NUL"):
        commit_object(EMPTY_TREE, [], "seen\0unseen", SOMEBODY, SOMEBODY)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 2047, 2048, 262_143, 262_144, 300_000])
def test_a_pack_holds_each_object_once_with_its_size(size: int) -> None:
    item = git_object("blob", b"x" * size)
    pack = pack_of([item, item])
    assert pack[:12] == b"PACK" + bytes([0, 0, 0, 2, 0, 0, 0, 1])
    assert hashlib.sha1(pack[:-20], usedforsecurity=False).digest() == pack[-20:]
    byte, at = pack[12], 13
    assert (byte >> 4) & 7 == 3, "a blob"
    told, shift = byte & 0x0F, 4
    while byte & 0x80:
        byte = pack[at]
        told |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
    assert told == size
    assert zlib.decompress(pack[at:-20]) == item.content
