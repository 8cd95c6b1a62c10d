"""Checkouts made by GitPython: the surrounding environment has no influence and is restored."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import GitFailed
from pipeline.git.checkouts import begin_checkout, clone_checkout
from pipeline.git.objects import RefUpdate, Signature, commit_object, objects_of_files
from pipeline.git.repository import GitRepository

SIGNATURE = Signature("a", "a@example.com", 1_767_225_600)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    git = GitRepository.init_bare(tmp_path / "one.git")
    objects = objects_of_files({"a": (0o100644, b"a\n")})
    commit = commit_object(objects[-1].id, [], "A\n", SIGNATURE, SIGNATURE)
    git.write_objects([*objects, commit])
    git.update_refs([RefUpdate("refs/heads/main", None, commit.id)])
    git.close()
    return tmp_path / "one.git"


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment as a hook of another repository hands it on, with a template that has one."""
    hook = tmp_path / "template" / "hooks" / "post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'hook-ran'}\n")
    hook.chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(
        f"[init]\n\ttemplateDir = {hook.parents[1]}\n[core]\n\thooksPath = {hook.parent}\n"
    )
    for name, value in {
        "GIT_DIR": "/nonexistent",
        "GIT_INDEX_FILE": "/nonexistent/index",
        "GIT_WORK_TREE": "/nonexistent",
        "GIT_CONFIG_GLOBAL": str(config),
    }.items():
        monkeypatch.setenv(name, value)
    return environment()


def environment() -> dict[str, str]:
    """What a process started here would get, but for pytest's own note."""
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


def test_a_clone_takes_nothing_from_the_environment(
    source: Path, hostile: dict[str, str], tmp_path: Path
) -> None:
    clone_checkout(str(source), tmp_path / "deep" / "clone")
    assert (tmp_path / "deep" / "clone" / "a").read_bytes() == b"a\n"
    assert not (tmp_path / "hook-ran").exists()
    assert not (tmp_path / "deep" / "clone" / ".git" / "hooks").exists()
    assert environment() == hostile


def test_a_first_checkout_takes_nothing_from_the_environment(
    hostile: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "control"
    folder.mkdir()
    (folder / "b").write_bytes(b"b\n")
    assert begin_checkout(folder, ["b"], origin="https://github.com/a/b.git")
    assert not begin_checkout(folder, ["b"], origin="https://github.com/c/d.git")
    assert not (folder / ".git" / "hooks").exists()
    git = GitRepository(folder)
    assert git.remote_url("origin") == "https://github.com/a/b.git"
    git.close()
    assert environment() == hostile


@pytest.mark.parametrize("address", ["no-such", "ext::sh -c 'touch hook-ran'", "--upload-pack=x"])
def test_a_failed_clone_is_our_own_error(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = environment()
    with pytest.raises(GitFailed):
        clone_checkout(address, tmp_path / "clone")
    assert environment() == before and not (tmp_path / "hook-ran").exists()
