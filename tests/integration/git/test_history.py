"""Which commit introduced each of many paths, in one walk."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import GitFailed
from pipeline.git.history import read_newest_touching, read_was_tree
from pipeline.git.objects import MODE_FILE, Signature, commit_object, objects_of_files
from pipeline.git.repository import GitRepository

SIGNATURE = Signature("platform-engineer-1", "1101@users.noreply.pipeline.invalid", 1_767_225_600)


def commit(
    git: GitRepository, files: dict[str, bytes], *parents: str, message: str = "Change\n"
) -> str:
    objects = objects_of_files({path: (MODE_FILE, content) for path, content in files.items()})
    made = commit_object(objects[-1].id, parents, message, SIGNATURE, SIGNATURE)
    git.write_objects([*objects, made])
    return made.id


@pytest.fixture
def git(tmp_path: Path) -> GitRepository:
    return GitRepository.init_bare(tmp_path / "control.git")


def test_each_path_gets_the_newest_commit_that_changed_it(git: GitRepository) -> None:
    one = commit(git, {"t/a": b"1", "t/b": b"1", "u/c": b"1"})
    two = commit(git, {"t/a": b"1", "t/b": b"2", "u/c": b"1"}, one)
    three = commit(git, {"t/a": b"1", "t/b": b"2", "u/c": b"3"}, two)
    found = read_newest_touching(git.path, three, "t", ["t/a", "t/b", "t/never"])
    assert found == {"t/a": one, "t/b": two}
    for path in ("t/a", "t/b", "u/c"):
        alone = read_newest_touching(git.path, three, path, [path])
        assert alone == {path: git.commits_touching(three, path)[0]}


def test_a_merge_introduces_what_it_merges(git: GitRepository) -> None:
    base = commit(git, {"t/a": b"1"})
    side = commit(git, {"t/a": b"2"}, base, message="commit " + "0" * 40 + "\n")
    merge = commit(git, {"t/a": b"2", "t/b": b"1"}, base, side)
    assert read_newest_touching(git.path, merge, "t", ["t/a", "t/b"]) == {
        "t/a": merge,
        "t/b": merge,
    }


def test_a_missing_head_is_an_error(git: GitRepository) -> None:
    with pytest.raises(GitFailed):
        read_newest_touching(git.path, "1" * 40, "t", ["t/a"])


def tree_of(git: GitRepository, commit: str, folder: str) -> str:
    found = git.read_object(f"{commit}:{folder}")
    assert found is not None
    return found.id


def test_a_tree_was_on_main_if_main_held_it_whatever_came_since(git: GitRepository) -> None:
    base = commit(git, {"p/x/a": b"1", "q": b"1"})
    on_the_way = commit(git, {"p/x/a": b"2", "q": b"1"}, base)
    done = commit(git, {"p/x/a": b"3", "q": b"1"}, on_the_way)
    merged = commit(git, {"p/x/a": b"3", "q": b"1"}, base, done)
    # A squashed branch leaves its tree on main, and no commit of its own.
    branch = commit(git, {"p/x/a": b"4", "q": b"1"}, merged)
    squashed = commit(git, {"p/x/a": b"4", "q": b"1"}, merged)
    head = commit(git, {"p/x/a": b"5", "q": b"1"}, squashed)
    for _ in range(60):
        head = commit(git, {"p/x/a": f"{head}".encode(), "q": b"1"}, head)
    last = commit(git, {"q": b"2"}, head)
    for there in (base, done, merged, branch, head):
        assert read_was_tree(git, last, "p/x", tree_of(git, there, "p/x"))
        assert read_was_tree(git, head, "p/x", tree_of(git, there, "p/x"))
    assert not read_was_tree(git, last, "p/x", tree_of(git, on_the_way, "p/x"))
    assert not read_was_tree(git, base, "p/x", tree_of(git, done, "p/x"))
    assert not read_was_tree(git, last, "p/y", tree_of(git, base, "p/x"))
