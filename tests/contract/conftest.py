"""The forges that the contract tests run against, empty and with one repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.forges.port import Forge
from tests.support.forge_contract import REPO, make, spec_of
from tests.support.forges import FORGES, stop_github


@pytest.fixture(params=FORGES)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Forge]:
    """A forge without repositories."""
    forge = make(request, tmp_path)
    yield forge
    forge.close()
    stop_github(tmp_path)


@pytest.fixture
def forge(empty: Forge) -> Forge:
    """A forge with one repository."""
    empty.ensure_repo(REPO, spec_of())
    return empty
