"""Large writes keep the promises of small ones; a reader that hangs is ended."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pipeline.errors import GitFailed
from pipeline.git import servers as gitservers
from pipeline.git.objects import (
    MODE_FILE,
    GitObject,
    TreeEntry,
    git_object,
    objects_of_files,
    tree_object,
)
from pipeline.git.repository import GitRepository

SMALL, LARGE = 3, 400


def many(count: int) -> tuple[GitObject, ...]:
    return objects_of_files({f"d{i % 7}/{i}": (MODE_FILE, f"{i}\n".encode()) for i in range(count)})


def stored(git: GitRepository) -> set[str]:
    """The object files of the repository: loose ones, or packs and their indices."""
    objects = git.path / "objects"
    return {str(f.relative_to(objects)) for f in objects.rglob("*") if f.is_file()}


@pytest.fixture
def git(tmp_path: Path) -> GitRepository:
    return GitRepository.init_bare(tmp_path / "one.git")


@pytest.mark.parametrize("count", [SMALL, LARGE])
def test_a_running_reader_sees_what_was_written(git: GitRepository, count: int) -> None:
    assert git.read_object("0" * 40) is None
    objects = many(count)
    git.write_objects(objects)
    assert git.read_objects([o.id for o in objects]) == list(objects)


@pytest.mark.parametrize("count", [SMALL, LARGE])
def test_writing_again_stores_nothing_more(git: GitRepository, count: int) -> None:
    git.write_objects(many(count))
    before = stored(git)
    git.write_objects(many(count))
    assert stored(git) == before


def test_a_large_write_is_one_pack(git: GitRepository) -> None:
    git.write_objects(many(LARGE))
    assert {Path(name).suffix for name in stored(git)} <= {".pack", ".idx", ".rev"}


@pytest.mark.parametrize("count", [SMALL, LARGE])
@pytest.mark.parametrize(
    "bad",
    [
        tree_object([TreeEntry(MODE_FILE, "f", "1" * 40)]),
        tree_object([TreeEntry(MODE_FILE, ".git", many(1)[0].id)]),
        git_object("commit", b"tree nothing\n\nno commit\n"),
    ],
    ids=["names what is not there", "a tree with .git", "malformed"],
)
def test_malformed_objects_are_not_stored(git: GitRepository, count: int, bad: GitObject) -> None:
    with pytest.raises(GitFailed):
        git.write_objects([*many(count), bad])
    assert git.read_object(bad.id) is None


@pytest.mark.parametrize(("failures", "written"), [(1, True), (4, True), (5, False)])
def test_a_write_survives_the_packing_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, written: bool
) -> None:
    git = GitRepository.init_bare(tmp_path / "some.git")
    real = shutil.which("git")
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
case "$*" in *unpack-objects*)
    echo >> {tmp_path}/called
    if [ $(wc -l < {tmp_path}/called) -le {failures} ]; then
        echo "fatal: failed to write object" >&2; exit 128
    fi
esac
exec {real} "$@"
"""
    )
    program.chmod(0o755)
    blob = git_object("blob", b"some")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        if written:
            git.write_objects([blob])
        else:
            with pytest.raises(GitFailed, match="failed to write object"):
                git.write_objects([blob])
    assert (git.read_object(blob.id) is not None) is written


def test_a_reader_that_hangs_is_ended(
    git: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = many(SMALL)
    git.write_objects(objects)
    hanging = tmp_path / "bin" / "git"
    hanging.parent.mkdir()
    hanging.write_text("#!/bin/sh\nexec sleep 600\n")
    hanging.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(gitservers, "TIMEOUT_S", 0.2)
        patch.setenv("PATH", f"{hanging.parent}{os.pathsep}{os.environ['PATH']}")
        with pytest.raises(GitFailed):
            git.read_object(objects[0].id)
        with pytest.raises(GitFailed):
            git.read_objects([o.id for o in objects] * 100)
    assert git.read_object(objects[0].id) == objects[0]
