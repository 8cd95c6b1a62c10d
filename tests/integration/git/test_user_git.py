"""The user's own git has no influence: no configuration, hook, graft or replacement."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pipeline.errors import GitFailed
from pipeline.git.objects import MODE_FILE, RefUpdate
from pipeline.git.repository import GitRepository
from tests.support.repositories import MAIN, plain_git, write_commit


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment and configuration of a user that would change everything."""
    marks = tmp_path / "marks"
    marks.mkdir()
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    touch = f"#!/bin/sh\ntouch {marks}/hook-$(basename $0)\n"
    for hook in ("reference-transaction", "post-checkout", "pre-receive", "update"):
        (hooks / hook).write_text(touch)
        (hooks / hook).chmod(0o755)
    home = tmp_path / "hostile-home"
    home.mkdir()
    config = home / ".gitconfig"
    config.write_text(
        f"[core]\n\thooksPath = {hooks}\n\tfsmonitor = touch {marks}/fsmonitor\n"
        f"\tpager = touch {marks}/pager\n\tautocrlf = true\n\tquotePath = true\n"
        f"[user]\n\tname = The User\n[init]\n\tdefaultBranch = theirs\n\ttemplateDir = {hooks}\n"
        f"[merge]\n\trenames = false\n[alias]\n\tls-tree = !touch {marks}/alias\n"
        f'[url "{tmp_path}/elsewhere"]\n\tinsteadOf = {tmp_path}/one.git\n'
        f"[color]\n\tui = always\n[log]\n\tshowSignature = true\n"
    )
    other = GitRepository.init_bare(tmp_path / "other.git")
    for name, value in {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": str(hooks),
        "GIT_CONFIG_PARAMETERS": f"'core.hooksPath={hooks}'",
        "GIT_DIR": str(other.path),
        "GIT_WORK_TREE": str(home),
        "GIT_INDEX_FILE": str(home / "index"),
        "GIT_OBJECT_DIRECTORY": str(other.path / "objects"),
        "GIT_NAMESPACE": "theirs",
        "GIT_REPLACE_REF_BASE": "refs/theirs/",
        "GIT_EXTERNAL_DIFF": f"touch {marks}/diff",
        "GIT_TRACE": str(marks / "trace"),
        "GIT_EXEC_PATH": str(hooks),
        "GIT_SSH_COMMAND": f"touch {marks}/ssh",
        "PAGER": f"touch {marks}/pager",
        "LC_ALL": "de_DE.UTF-8",
    }.items():
        monkeypatch.setenv(name, value)
    return marks


def story(path: Path) -> list[object]:
    """Every kind of call, and what it gave."""
    git = GitRepository.init_bare(path)
    first = write_commit(git, {"a": (MODE_FILE, b"a\r\n"), "é": (MODE_FILE, b"b\n")})
    ours = write_commit(git, {"b": (MODE_FILE, b"a\r\n"), "é": (MODE_FILE, b"b\n")}, first)
    theirs = write_commit(
        git, {"a": (MODE_FILE, b"a\r\nmore\r\n"), "é": (MODE_FILE, b"b\n")}, first
    )
    git.update_refs([RefUpdate(MAIN, None, ours)])
    git.update_refs([RefUpdate("refs/heads/theirs", None, theirs)])
    clone = GitRepository.clone(str(path), path.parent / f"clone of {path.name}")
    seen: list[object] = [
        git.read_refs(("refs/",)),
        git.resolve(MAIN),
        git.resolve_commit("HEAD"),
        git.resolve_commit("main~1"),
        git.list_files(ours),
        git.read_files(theirs),
        git.diff_names(first, ours),
        git.commits_touching(ours, "b"),
        [commit.id for commit in git.log_commits(ours)],
        git.is_ancestor(first, ours),
        git.is_ancestor(theirs, ours),
        git.merge_base(ours, theirs),
        git.merge_tree(ours, theirs),
        git.remote_url("origin"),
        clone.resolve_commit("HEAD"),
        (clone.path / "b").read_bytes(),
        sorted(p.name for p in (clone.path / ".git" / "hooks").glob("*")),
    ]
    git.close()
    clone.close()
    return seen


def test_the_user_s_git_has_no_influence(tmp_path: Path, hostile: Path) -> None:
    seen = story(tmp_path / "one.git")
    assert list(hostile.iterdir()) == [], "nothing of the user's ran"
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith(("GIT_", "XDG_", "PAGER"))]:
            patch.delenv(name)
        patch.setenv("HOME", "/nonexistent")
        patch.setenv("LC_ALL", "C")
        assert story(tmp_path / "two.git") == seen
    assert not list((tmp_path / "other.git" / "refs").rglob("*/*")), "GIT_DIR was not written to"


def test_plain_git_falls_for_the_hostile_configuration(tmp_path: Path, hostile: Path) -> None:
    # Else the test above could not fail.
    git = GitRepository.init_bare(tmp_path / "one.git")
    first = write_commit(git, {"a": (MODE_FILE, b"a")})
    environment = {n: v for n, v in os.environ.items() if n not in {"GIT_EXEC_PATH", "GIT_DIR"}}
    subprocess.run(
        ["git", "--git-dir", str(git.path), "update-ref", "refs/heads/x", first],
        env={**environment, "GIT_OBJECT_DIRECTORY": str(git.path / "objects")},
        check=True,
    )
    names = {path.name for path in hostile.iterdir()}
    assert {"hook-reference-transaction", "trace"} <= names


def test_a_replacement_object_is_ignored(git: GitRepository, head: str) -> None:
    other = write_commit(git, {"a": (MODE_FILE, b"forged")})
    plain_git(git.path, "update-ref", f"refs/replace/{head}", other)
    assert git.read_commit(head).id == head
    assert git.read_files(head) == {"a": (MODE_FILE, b"a")}
    assert git.commits_touching(head, "a") == (head,)


def test_grafts_and_hooks_of_the_repository_are_ignored(
    git: GitRepository, head: str, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    hook = git.path / "hooks" / "reference-transaction"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    git.update_refs([RefUpdate("refs/heads/x", None, head)])
    assert not mark.exists()


def test_a_damaged_repository_is_not_replaced_by_the_one_around_it(tmp_path: Path) -> None:
    outer = GitRepository.init_bare(tmp_path / "outer" / ".git")
    commit = write_commit(outer, {"a": (MODE_FILE, b"a")})
    outer.update_refs([RefUpdate(MAIN, None, commit)])
    inner = GitRepository.init_bare(tmp_path / "outer" / "forge" / "inner.git")
    (inner.path / "HEAD").unlink()
    with pytest.raises(GitFailed):
        inner.read_refs()
    with pytest.raises(GitFailed):
        inner.read_object("HEAD")
    with pytest.raises(GitFailed):
        inner.update_refs([RefUpdate("refs/heads/x", None, commit)])
    assert outer.read_refs() == {MAIN: commit}


def test_a_work_tree_of_another_checkout_is_read_too(tmp_path: Path) -> None:
    GitRepository.init_bare(tmp_path / "main" / ".git")
    git = GitRepository(tmp_path / "main")
    commit = write_commit(git, {"a": (MODE_FILE, b"a")})
    git.update_refs([RefUpdate(MAIN, None, commit)])
    plain_git(
        tmp_path / "main", "worktree", "add", "-q", "--detach", str(tmp_path / "second"), commit
    )
    assert (tmp_path / "second" / ".git").is_file()
    assert GitRepository(tmp_path / "second").resolve_commit("HEAD") == commit


def test_a_missing_git_is_could_not_check(
    git: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GitFailed, match="no `git`"):
        git.read_refs()
    with pytest.raises(GitFailed, match="cannot be started"):
        git.read_object("HEAD")
