"""The world shared by tests of GitOps repositories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gitops_attacker import drifting
from tests.support.story import Story


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Story]:
    """acme's draft runs in prod, and policy has drift put back."""
    found = drifting(tmp_path / "world")
    yield found
    found.close()
