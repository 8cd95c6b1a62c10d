"""Everything rendered is as it was last reviewed: one folder per case in `cases/`.

`make golden` writes the cases anew; review the difference like code.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_snapshot.plugin import Snapshot

from tests.golden import findings, generated, requests, state

HERE = Path(__file__).resolve().parent
ALL = [findings.CASES, requests.CASES, state.CASES, generated.CASES]
CASES = {name: make for cases in ALL for name, make in cases.items()}


@pytest.mark.parametrize("name", CASES)
def test_rendered_as_before(name: str, snapshot: Snapshot) -> None:
    made = CASES[name]()
    assert made and not any(str(HERE.parents[1]) in text for text in made.values())
    snapshot.snapshot_dir = HERE / "cases"
    snapshot.assert_match_dir(made, name)


def test_each_folder_is_a_case() -> None:
    assert sum(map(len, ALL)) == len(CASES), "no two cases have one name"
    assert {folder.name for folder in (HERE / "cases").iterdir()} == {*CASES}
    assert len(CASES) >= 60
