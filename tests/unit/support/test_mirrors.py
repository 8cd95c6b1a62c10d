"""Tests mirror the packages, and every test module is short enough to read in one sitting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

TESTS = ROOT / "tests"
LINES_MAXIMUM = 500
# Folders that mirror what is not a package of `pipeline`, and where that lies.
ELSEWHERE = {
    "project_tools": ROOT / "tools",
    "sdk": ROOT / "pipeline" / "shared" / "sdk-python" / "primitive_sdk",
    "support": TESTS / "support",
}


def folders_of(kind: str) -> list[str]:
    """The folders below tests/unit or tests/integration that hold tests, such as `forges/http`."""
    top = TESTS / kind
    return sorted({p.parent.relative_to(top).as_posix() for p in top.rglob("test_*.py")} - {"."})


def modules() -> Iterator[Path]:
    """Every module of tests; what attackers and cases bring is data."""
    return (path for path in TESTS.rglob("*.py") if "golden" not in path.parts)


@pytest.mark.parametrize("kind", ["unit", "integration"])
def test_every_test_folder_mirrors_a_package(kind: str) -> None:
    folders = folders_of(kind)
    assert len(folders) > 10
    strays = [f for f in folders if not ELSEWHERE.get(f, ROOT / "pipeline" / f).is_dir()]
    assert strays == [], f"tests/{kind}/ mirrors pipeline/, which has no such folder"


def test_no_module_of_tests_is_too_long() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in modules()
    }
    assert len(lengths) > 200
    long = {path: lines for path, lines in lengths.items() if lines > LINES_MAXIMUM}
    assert long == {}, f"split by subject what has more than {LINES_MAXIMUM} lines"


def test_no_test_uses_product_code_as_fixtures() -> None:
    """The demo is a product: it has its own test, and a launcher over GitHub; nothing else."""
    users = {
        path.relative_to(TESTS).as_posix()
        for path in modules()
        if "from pipeline.demo" in path.read_text(encoding="utf-8")
    }
    allowed = {"integration/test_kept_world.py", "support/github_demo/__main__.py"}
    assert users - {"unit/support/test_mirrors.py"} == allowed
