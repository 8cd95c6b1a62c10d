"""The worlds that engine tests start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clocks import SetClock
from tests.support.story import Story, story_at


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "world"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def scaffolded(root: Path) -> Iterator[Story]:
    world = story_at("scaffolded", root)
    yield world
    world.close()


@pytest.fixture
def patched(root: Path) -> Iterator[Story]:
    world = story_at("patched", root)
    yield world
    world.close()


@pytest.fixture
def in_prod(root: Path) -> Iterator[Story]:
    world = story_at("in prod", root)
    yield world
    world.close()
