"""The repositories that tests of git start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.git.objects import MODE_FILE, RefUpdate
from pipeline.git.repository import GitRepository
from tests.support.repositories import MAIN, write_commit


@pytest.fixture
def git(tmp_path: Path) -> GitRepository:
    return GitRepository.init_bare(tmp_path / "one.git")


@pytest.fixture
def head(git: GitRepository) -> str:
    """A repository whose main holds one file."""
    commit = write_commit(git, {"a": (MODE_FILE, b"a")})
    git.update_refs([RefUpdate(MAIN, None, commit)])
    return commit
