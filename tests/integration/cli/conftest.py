"""Worlds shared by the tests of the command line: told once, copied by each test that writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import copy_world
from tests.support.story_by_commands import begin, quick_commands, tell


@pytest.fixture
def quick() -> Iterator[None]:
    """The clock stands still and every check passes at once."""
    with quick_commands():
        yield


@pytest.fixture(scope="session")
def fresh_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world before the story; tests that write take `fresh`."""
    return begin(tmp_path_factory.mktemp("fresh"))


@pytest.fixture
def fresh(fresh_world: Path, tmp_path: Path) -> Path:
    """A copy of the world before the story."""
    return copy_world(fresh_world, tmp_path / "world")


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world after the whole story; tests that write take a copy."""
    return tell(tmp_path_factory.mktemp("told"))
