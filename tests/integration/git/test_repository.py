"""The git adapter on real git: it ignores the user's setup and leaves nothing half done."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import GitFailed, NotFound, StalePlan
from pipeline.git.objects import (
    MODE_EXECUTABLE,
    MODE_FILE,
    GitObject,
    RefUpdate,
    git_object,
    objects_of_files,
    parse_tree,
    tree_object,
)
from pipeline.git.repository import GitRepository, ref_problem
from tests.support.repositories import MAIN, Files, plain_git, write_commit

# -- objects -----------------------------------------------------------------------------


def test_git_accepts_our_packs(git: GitRepository) -> None:
    sizes = (0, 1, 15, 16, 2047, 2048, 300_000)
    files: Files = {f"sizes/{size:06}": (MODE_FILE, os.urandom(size)) for size in sizes}
    files["run"] = (MODE_EXECUTABLE, b"#!/bin/sh\n")
    commit = write_commit(git, files)
    git.update_refs([RefUpdate(MAIN, None, commit)])
    plain_git(git.path, "fsck", "--strict")
    listed = plain_git(git.path, "ls-tree", "-r", commit).splitlines()
    assert len(listed) == len(files)
    assert listed[0].startswith("100755 blob ")
    assert git.read_files(commit) == files
    assert git.read_files(commit, "sizes").keys() == {f"{size:06}" for size in sizes}
    assert git.read_files(commit, "nowhere") == {}


ODD_NAMES = (
    "line\nbreak",
    'quo"te',
    "back\\slash",
    "caf\udce9",
    "-n",
    "tab\t",
    " space ",
    "é",
    "*",
)


def test_odd_path_names_are_read_unchanged(git: GitRepository) -> None:
    files: Files = {
        f"odd/{name}": (MODE_FILE, name.encode("utf-8", "surrogateescape")) for name in ODD_NAMES
    }
    old = write_commit(git, {})
    new = write_commit(git, files, old)
    assert git.read_files(new, "odd") == {p.removeprefix("odd/"): f for p, f in files.items()}
    assert set(git.diff_names(old, new)) == set(files)
    assert git.diff_names(old, new, "odd/*") == ("odd/*",), "a path is not a pattern"
    for path in files:
        assert git.commits_touching(new, path, limit=5) == (new,)
        if "\n" not in path:
            found = git.read_object(f"{new}:{path}")
            assert found is not None
            assert found.content == files[path][1]


def test_a_name_with_a_line_break_is_an_error(git: GitRepository, head: str) -> None:
    with pytest.raises(GitFailed, match="line break"):
        git.read_object(f"{head}:line\nbreak")


@pytest.mark.parametrize("spec", ["", " ", "a\0b", "\ud800", "0" * 40, "HEAD:none", "nothing here"])
def test_a_name_of_nothing_resolves_to_none(git: GitRepository, head: str, spec: str) -> None:
    assert git.read_objects([spec, "HEAD"])[0] is None
    following = git.read_object("HEAD")
    assert following is not None
    assert following.id == head, "the next answer belongs to the next question"


def test_a_large_batch_does_not_deadlock(git: GitRepository) -> None:
    blobs = [git_object("blob", os.urandom(2000)) for _ in range(200)]
    git.write_objects(blobs)
    # Names long enough that the questions alone fill a pipe, answers of 4 MB in all.
    names = [item.id for item in blobs] * 10 + ["missing" * 100] * 500
    done: list[list[GitObject | None]] = []
    reader = threading.Thread(target=lambda: done.append(git.read_objects(names)), daemon=True)
    reader.start()
    reader.join(timeout=60)
    assert done, "the batch came to an end"
    assert done[0] == blobs * 10 + [None] * 500


def loose(git: GitRepository, id: str) -> Path:
    return git.path / "objects" / id[:2] / id[2:]


def test_damage_is_noticed_and_later_answers_are_right(git: GitRepository) -> None:
    good, other = git_object("blob", b"good"), git_object("blob", b"other")
    bad = git_object("blob", b"what it was")
    git.write_objects([good, other, bad])
    # A whole and readable object of the same size under a name that is not its own.
    swapped = git_object("blob", b"what it is!")
    git.write_objects([swapped])
    loose(git, bad.id).chmod(0o644)
    loose(git, bad.id).write_bytes(loose(git, swapped.id).read_bytes())
    with pytest.raises(GitFailed, match="damaged"):
        git.read_objects([good.id, bad.id, other.id, good.id])
    assert git.read_objects([other.id, good.id]) == [other, good]


def test_damage_behind_a_name_is_noticed(git: GitRepository) -> None:
    commit = write_commit(git, {"a": (MODE_FILE, b"what it was")})
    git.update_refs([RefUpdate(MAIN, None, commit)])
    was, swapped = git_object("blob", b"what it was"), git_object("blob", b"what it is!")
    git.write_objects([swapped])
    loose(git, was.id).chmod(0o644)
    loose(git, was.id).write_bytes(loose(git, swapped.id).read_bytes())
    with pytest.raises(GitFailed, match="damaged"):
        git.read_object("HEAD:a")
    with pytest.raises(GitFailed, match="damaged"):
        git.read_files(commit)


def test_a_truncated_object_is_noticed_and_later_reads_work(git: GitRepository) -> None:
    good, bad = git_object("blob", b"good"), git_object("blob", os.urandom(5000))
    git.write_objects([good, bad])
    loose(git, bad.id).chmod(0o644)
    loose(git, bad.id).write_bytes(loose(git, bad.id).read_bytes()[:2000])
    with pytest.raises(GitFailed):
        git.read_objects([bad.id])
    assert git.read_object(good.id) == good


def test_a_missing_file_is_an_error(git: GitRepository, head: str) -> None:
    loose(git, git_object("blob", b"a").id).unlink()
    with pytest.raises(NotFound, match="lacks object"):
        git.read_files(head)


def test_an_object_that_names_a_missing_one_is_not_stored(git: GitRepository) -> None:
    tree = objects_of_files({"a": (MODE_FILE, b"never written")})[-1]
    with pytest.raises(GitFailed):
        git.write_objects([tree])
    assert git.read_object(tree.id) is None


def test_a_malformed_object_is_not_stored(git: GitRepository) -> None:
    blob = git_object("blob", b"")
    [entry] = parse_tree(objects_of_files({"x": (MODE_FILE, b"")})[-1].content)
    evil = git_object("tree", tree_object([entry]).content.replace(b"x\0", b".git\0"))
    with pytest.raises(GitFailed):
        git.write_objects([blob, evil])
    assert git.read_object(evil.id) is None


def test_a_running_reader_sees_new_objects(git: GitRepository) -> None:
    late = git_object("blob", b"late")
    assert git.read_object(late.id) is None
    GitRepository(git.path).write_objects([late])
    assert git.read_object(late.id) == late


def test_malformed_commits_are_an_error(git: GitRepository, head: str) -> None:
    raw = git_object("commit", f"tree {'0' * 40}\n\nno author\n".encode())
    assert (
        plain_git(
            git.path,
            "hash-object",
            "-t",
            "commit",
            "-w",
            "--stdin",
            "--literally",
            stdin=raw.content,
        )
        == raw.id
    )
    with pytest.raises(GitFailed, match="malformed"):
        git.read_commit(raw.id)
    with pytest.raises(NotFound):
        git.read_commit("1" * 40)
    with pytest.raises(NotFound):
        git.read_commit(git_object("blob", b"a").id)


# -- names --------------------------------------------------------------------------------


OPTIONS = ("--all", "-n1", "--output=marked", "--help", "-h")


@pytest.mark.parametrize("name", OPTIONS)
def test_a_name_with_a_leading_dash_is_not_an_option(
    git: GitRepository, head: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    calls: list[Callable[[], object]] = [
        lambda: git.diff_names(name, head),
        lambda: git.diff_names(head, name),
        lambda: git.commits_touching(name, "a"),
        lambda: list(git.log_commits(name)),
        lambda: git.is_ancestor(name, head),
        lambda: git.merge_base(name, head),
        lambda: git.merge_tree(name, head),
        lambda: git.resolve_commit(name),
        lambda: git.update_refs([RefUpdate(name, None, head)]),
        lambda: git.update_refs([RefUpdate(f"refs/heads/{name}", None, head)]),
        lambda: GitRepository.clone(name, tmp_path / "clone"),
    ]
    for call in calls:
        with pytest.raises((GitFailed, NotFound)):
            call()
    assert git.resolve(name) is None
    assert git.read_object(name) is None
    assert git.remote_url(name) is None
    assert git.list_files(name) == {}
    assert git.commits_touching(head, name) == ()
    assert git.diff_names(head, head, name) == ()
    assert not list(tmp_path.rglob("marked*"))


def test_impossible_arguments_are_an_error(git: GitRepository, head: str) -> None:
    for name in ("a\0b", "\ud800", "x" * 3_000_000):
        with pytest.raises((GitFailed, NotFound)):
            git.resolve_commit(name)
        with pytest.raises(GitFailed):
            git.commits_touching(head, name)


@pytest.mark.parametrize(
    "name",
    ["main", "draft/order-router/0123", "é", "a.b", "a@b", "state/acme", "x" * 200],
)
def test_git_accepts_the_ref_names_that_we_accept(name: str, git: GitRepository) -> None:
    assert ref_problem(f"refs/heads/{name}") == ""
    plain_git(git.path, "check-ref-format", f"refs/heads/{name}")


@pytest.mark.parametrize(
    "ref",
    [
        "main", "refs/", "refs/heads/", "refs/heads/a..b", "refs/heads/a.lock", "refs/heads/a.",
        "refs/heads/.a", "refs/heads/a/.b", "refs/heads//a", "refs/heads/a b", "refs/heads/a~1",
        "refs/heads/a^", "refs/heads/a:b", "refs/heads/a?", "refs/heads/a*", "refs/heads/a[b",
        "refs/heads/a\\b", "refs/heads/a@{1}", "refs/heads/a\nb", "refs/heads/a\x7f",
        "refs/heads/a.lock/b", "refs/../x", "HEAD", "refs/heads/a\0b",
    ],
)  # fmt: skip
def test_bad_ref_names_never_reach_git(ref: str, git: GitRepository, head: str) -> None:
    assert ref_problem(ref)
    with pytest.raises(GitFailed, match="not a ref name"):
        git.update_refs([RefUpdate(ref, None, head)])
    assert git.read_refs(("refs/",)) == {MAIN: head}


def test_a_ref_name_may_hold_marks_that_only_python_takes_for_line_ends(
    git: GitRepository, head: str
) -> None:
    name = "refs/heads/a\u2028b\x85c"
    git.update_refs([RefUpdate(name, None, head)])
    assert git.read_refs() == {MAIN: head, name: head}
    assert git.resolve(name) == head


# -- moving refs ----------------------------------------------------------------------------


@pytest.fixture
def second(git: GitRepository, head: str) -> str:
    return write_commit(git, {"a": (MODE_FILE, b"b")}, head)


def test_all_refs_move_or_none(git: GitRepository, head: str, second: str) -> None:
    with pytest.raises(StalePlan, match="refs/heads/b moved"):
        git.update_refs([RefUpdate(MAIN, head, second), RefUpdate("refs/heads/b", head, second)])
    assert git.read_refs() == {MAIN: head}
    git.update_refs([RefUpdate(MAIN, head, second), RefUpdate("refs/heads/b", None, second)])
    assert git.read_refs() == {MAIN: second, "refs/heads/b": second}


def test_moving_a_moved_ref_again_succeeds(git: GitRepository, head: str, second: str) -> None:
    both = [RefUpdate(MAIN, head, second), RefUpdate("refs/heads/b", None, second)]
    git.update_refs(both)
    git.update_refs(both)
    git.update_refs([*both, RefUpdate("refs/heads/c", None, head)])
    assert git.read_refs() == {MAIN: second, "refs/heads/b": second, "refs/heads/c": head}


def test_a_ref_that_moved_meanwhile_is_left_alone(
    git: GitRepository, head: str, second: str
) -> None:
    third = write_commit(git, {"a": (MODE_FILE, b"c")}, head)
    git.update_refs([RefUpdate(MAIN, head, third)])
    for update in (RefUpdate(MAIN, head, second), RefUpdate(MAIN, None, second)):
        with pytest.raises(StalePlan, match="moved"):
            git.update_refs([update])
    with pytest.raises(StalePlan, match="moved"):
        git.update_refs([RefUpdate("refs/heads/gone", head, second)])
    assert git.read_refs() == {MAIN: third}


def test_a_ref_locked_by_another_process_is_a_stale_plan(
    git: GitRepository, head: str, second: str
) -> None:
    lock = git.path / "refs" / "heads" / "main.lock"
    lock.touch()
    with pytest.raises(StalePlan, match="somebody else") as caught:
        git.update_refs([RefUpdate(MAIN, head, second)])
    assert ".lock" in caught.value.help
    assert git.resolve(MAIN) == head
    lock.unlink()
    git.update_refs([RefUpdate(MAIN, head, second)])


def test_an_impossible_update_is_not_a_stale_plan(git: GitRepository, head: str) -> None:
    for update in (
        RefUpdate("refs/heads/main/below", None, head),
        RefUpdate("refs/heads/x", None, "1" * 40),
        RefUpdate("refs/heads/x", None, git_object("blob", b"a").id),
        RefUpdate("refs/heads/x", None, head[:10]),
        RefUpdate("refs/heads/x", None, "HEAD"),
    ):
        with pytest.raises(GitFailed):
            git.update_refs([update])
    assert git.read_refs() == {MAIN: head}


def test_a_symbolic_ref_moves_no_other_branch(git: GitRepository, head: str, second: str) -> None:
    plain_git(git.path, "symbolic-ref", "refs/heads/alias", MAIN)
    git.update_refs([RefUpdate("refs/heads/alias", head, second)])
    assert git.resolve(MAIN) == head


def test_one_of_many_writers_from_one_head_wins(git: GitRepository, head: str) -> None:
    commits = [write_commit(git, {"a": (MODE_FILE, bytes([n]))}, head) for n in range(8)]
    won: list[str] = []
    errors: list[BaseException] = []

    def move(commit: str) -> None:
        try:
            GitRepository(git.path).update_refs([RefUpdate(MAIN, head, commit)])
            won.append(commit)
        except StalePlan:
            return
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=move, args=(commit,)) for commit in commits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not errors
    assert won == [git.resolve(MAIN)]


# -- merging and cloning --------------------------------------------------------------------


def test_a_merge_needs_no_work_tree_and_reports_a_conflict(git: GitRepository, head: str) -> None:
    ours = write_commit(git, {"a": (MODE_FILE, b"a"), "b": (MODE_FILE, b"b")}, head)
    theirs = write_commit(git, {"a": (MODE_FILE, b"a"), "c": (MODE_FILE, b"c")}, head)
    files = {name: (MODE_FILE, name.encode()) for name in "abc"}
    assert git.merge_tree(ours, theirs) == objects_of_files(files)[-1].id
    other = write_commit(git, {"a": (MODE_FILE, b"other")}, head)
    another = write_commit(git, {"a": (MODE_FILE, b"another")}, head)
    with pytest.raises(StalePlan, match="conflicts"):
        git.merge_tree(other, another)
    unrelated = write_commit(git, {"z": (MODE_FILE, b"z")})
    with pytest.raises(GitFailed, match="unrelated"):
        git.merge_tree(head, unrelated)
    assert git.merge_base(head, unrelated) is None


def test_a_clone_has_the_files_and_no_hook(git: GitRepository, head: str, tmp_path: Path) -> None:
    clone = GitRepository.clone(str(git.path), tmp_path / "deep" / "clone")
    assert (clone.path / "a").read_bytes() == b"a"
    assert clone.resolve_commit("HEAD") == head
    assert clone.remote_url("origin") == str(git.path)
    assert not (clone.path / ".git" / "hooks").exists()


def test_a_relative_source_starts_at_the_current_folder(
    git: GitRepository, head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clone = GitRepository.clone("one.git", Path("somewhere/else/clone"))
    assert clone.resolve_commit("HEAD") == head


@pytest.mark.parametrize(
    "source",
    ["ext::sh -c 'touch marked'", "ssh://127.0.0.1/x", "git://127.0.0.1/x", "http://127.0.0.1/x",
     "127.0.0.1:x", "file://127.0.0.1/x", "-u./x", "fd::17"],
)  # fmt: skip
def test_only_paths_and_https_are_cloned(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GitFailed):
        GitRepository.clone(source, tmp_path / "clone")
    assert not (tmp_path / "clone").exists()
    assert not (tmp_path / "marked").exists()
