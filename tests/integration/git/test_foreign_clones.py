"""Clones handed over by others: their configuration runs nothing and hides nothing.

Each test first shows that plain git falls for it, so it cannot pass for another reason.
"""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
from pathlib import Path

import pytest

from pipeline.errors import GitFailed
from pipeline.git.history import read_newest_touching
from pipeline.git.objects import (
    MODE_FILE,
    RefUpdate,
    Signature,
    commit_object,
    git_object,
    objects_of_files,
)
from pipeline.git.repository import GitRepository

MAIN = "refs/heads/main"
NOBODY_HAS = "1" * 40
SOMEBODY = Signature("release-manager-1", "1501@users.noreply.pipeline.invalid", 1_767_225_600)


@pytest.fixture
def clone(tmp_path: Path) -> GitRepository:
    return GitRepository.init_bare(tmp_path / "clone.git")


@pytest.fixture
def history(clone: GitRepository) -> tuple[str, str, str]:
    """Three commits on main, oldest first."""
    objects = objects_of_files({"a": (MODE_FILE, b"a")})
    first = commit_object(objects[-1].id, [], "first\n", SOMEBODY, SOMEBODY)
    second = commit_object(objects[-1].id, [first.id], "second\n", SOMEBODY, SOMEBODY)
    third = commit_object(objects[-1].id, [second.id], "third\n", SOMEBODY, SOMEBODY)
    clone.write_objects([*objects, first, second, third])
    clone.update_refs([RefUpdate(MAIN, None, third.id)])
    return first.id, second.id, third.id


def believing_git(path: Path, *arguments: str) -> str:
    """What git answers that believes the clone; its exit code does not matter."""
    done = subprocess.run(
        ["git", f"--git-dir={path}", *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout


def log(git: GitRepository) -> list[str]:
    return [commit.id for commit in git.log_commits(MAIN)]


def test_reading_what_a_clone_lacks_runs_no_command_of_its_configuration(
    clone: GitRepository, history: tuple[str, str, str], tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\ntouch '{mark}'\nexit 1\n")
    command.chmod(0o755)
    with (clone.path / "config").open("a") as config:
        config.write(
            "[core]\n\trepositoryformatversion = 1\n"
            "[extensions]\n\tpartialClone = origin\n"
            '[remote "origin"]\n\tpromisor = true\n'
            f"\turl = file://{clone.path}\n\tuploadpack = {command}\n"
        )
    believing_git(clone.path, "cat-file", "-p", NOBODY_HAS)
    assert mark.exists()
    mark.unlink()
    assert clone.read_objects([NOBODY_HAS, history[0]])[0] is None
    with pytest.raises(GitFailed):
        list(clone.log_commits(NOBODY_HAS))
    assert not mark.exists()


def test_walking_a_clone_runs_no_checker_of_signatures(
    clone: GitRepository, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\ntouch '{mark}'\nexit 1\n")
    command.chmod(0o755)
    objects = objects_of_files({"d/a": (MODE_FILE, b"a")})
    plain = commit_object(objects[-1].id, [], "signed\n", SOMEBODY, SOMEBODY).content
    signature = b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n"
    signed = git_object("commit", plain.replace(b"\n\n", b"\n" + signature + b"\n", 1))
    clone.write_objects([*objects, signed])
    with (clone.path / "config").open("a") as config:
        config.write(f"[log]\n\tshowSignature = true\n[gpg]\n\tprogram = {command}\n")
    believing_git(clone.path, "log", signed.id)
    assert mark.exists()
    mark.unlink()
    assert read_newest_touching(clone.path, signed.id, "d", ["d/a"]) == {"d/a": signed.id}
    assert not mark.exists()


def test_grafts_hide_no_commit(clone: GitRepository, history: tuple[str, str, str]) -> None:
    first, second, third = history
    (clone.path / "info").mkdir()
    (clone.path / "info" / "grafts").write_text(f"{third} {first}\n")
    assert second not in believing_git(clone.path, "rev-list", MAIN)
    assert log(clone) == [third, second, first]


def test_a_shallow_mark_hides_no_commit(
    clone: GitRepository, history: tuple[str, str, str]
) -> None:
    first, second, third = history
    (clone.path / "shallow").write_text(f"{third}\n")
    assert second not in believing_git(clone.path, "rev-list", MAIN)
    assert log(clone) == [third, second, first]
    assert clone.is_ancestor(first, third)


def test_a_really_shallow_clone_is_an_error(
    clone: GitRepository, history: tuple[str, str, str], tmp_path: Path
) -> None:
    """A history cut short is not a history: an error, and never a shorter answer."""
    shallow = tmp_path / "shallow"
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", f"file://{clone.path}", str(shallow)], check=True
    )
    git = GitRepository(shallow)
    assert git.read_files("HEAD") == {"a": (MODE_FILE, b"a")}
    for walk in (log, lambda git: git.is_ancestor(history[0], history[2])):
        with pytest.raises(GitFailed):
            walk(git)
    with pytest.raises(GitFailed, match="shallow") as caught:
        git.list_new_commits([MAIN])
    assert "git fetch --unshallow" in caught.value.help


def test_a_forged_commit_graph_hides_no_commit(
    clone: GitRepository, history: tuple[str, str, str]
) -> None:
    first, second, third = history
    believing_git(clone.path, "commit-graph", "write", "--reachable")
    graph = clone.path / "objects" / "info" / "commit-graph"
    forged = forge_parent(
        graph.read_bytes(), sorted(history).index(third), sorted(history).index(first)
    )
    graph.chmod(0o644)
    graph.write_bytes(forged)
    assert second not in believing_git(clone.path, "rev-list", MAIN)
    assert log(clone) == [third, second, first]


def forge_parent(graph: bytes, commit: int, parent: int) -> bytes:
    """The commit-graph with another first parent of one commit (gitformat-commit-graph)."""
    chunks = {
        graph[at : at + 4]: struct.unpack(">Q", graph[at + 4 : at + 12])[0]
        for at in range(8, 8 + 12 * graph[6], 12)
    }
    forged = bytearray(graph)
    at = chunks[b"CDAT"] + 36 * commit + 20
    forged[at : at + 4] = struct.pack(">I", parent)
    forged[-20:] = hashlib.sha1(bytes(forged[:-20]), usedforsecurity=False).digest()
    return bytes(forged)


@pytest.mark.parametrize("elsewhere", ["refs/heads/", "refs/tags/", "refs/", "refs/remotes/"])
def test_a_missing_ref_is_not_replaced_by_another(
    clone: GitRepository, history: tuple[str, str, str], elsewhere: str
) -> None:
    missing = "refs/heads/state/acme"
    believing_git(clone.path, "update-ref", f"{elsewhere}{missing}", history[0])
    assert believing_git(clone.path, "cat-file", "-p", f"{missing}:a") == "a"
    assert clone.resolve(missing) is None
    assert clone.read_object(missing) is None
    assert clone.read_object(f"{missing}:a") is None
    assert clone.read_files(missing) == {}
    assert clone.read_object(f"{MAIN}:a") is not None
    believing_git(clone.path, "update-ref", f"{elsewhere}{MAIN}", history[0])
    assert clone.resolve(MAIN) == history[2]
    assert clone.read_objects([f"{MAIN}~1", f"{MAIN}^{{tree}}"]) == [
        clone.read_object(history[1]),
        clone.read_object(f"{history[2]}^{{tree}}"),
    ]


def test_a_missing_ref_is_not_replaced_by_a_tag(
    clone: GitRepository, history: tuple[str, str, str]
) -> None:
    missing = "refs/heads/state/acme"
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    believing_git(clone.path, *identity, "tag", "-a", "-m", "t", missing, history[0])
    assert believing_git(clone.path, "cat-file", "-p", f"{missing}:a") == "a"
    assert clone.read_object(f"{missing}:a") is None


def test_a_path_ending_in_a_carriage_return_is_its_own_path(clone: GitRepository) -> None:
    objects = objects_of_files({"a": (MODE_FILE, b"a"), "a\r": (MODE_FILE, b"other")})
    clone.write_objects(objects)
    spec = f"{objects[-1].id}:a\r"
    done = subprocess.run(
        ["git", f"--git-dir={clone.path}", "cat-file", "--batch"],
        input=os.fsencode(f"{spec}\n"),
        capture_output=True,
        check=True,
    )
    assert done.stdout.endswith(b"\na\n")
    with pytest.raises(GitFailed, match="line break"):
        clone.read_object(spec)
    assert clone.read_files(objects[-1].id)["a\r"] == (MODE_FILE, b"other")
