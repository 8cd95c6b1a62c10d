"""Imports stand at the top of a module, except those whose cost was measured.

A figure is the CPU time in milliseconds that an import adds to what its module needs, in a fresh
process (`time.process_time`, the least of several). Commands import what they need when they are
called, so that `--help` is fast: `pipeline/cli/commands.py` has that figure.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pipeline

ROOT = Path(pipeline.__file__).parent
_FIGURE = re.compile(r"#.*\b[0-9]+(?:\.[0-9])? ms\b")


def _modules() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*.py")):
        inside = path.relative_to(ROOT)
        if "skeleton" not in inside.parts and inside.parts[0] not in {"shared", "cli"}:
            yield path


def without_figure(source: str) -> list[int]:
    """The lines of imports in functions that have no figure: beside them, or above their block."""
    lines = source.splitlines()
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        for node in ast.walk(function):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            first = node.lineno - 1
            while _is_import(lines[first - 1]):
                first -= 1
            if not (_FIGURE.search(lines[node.lineno - 1]) or _FIGURE.search(lines[first - 1])):
                found.append(node.lineno)
    return sorted(set(found))


def _is_import(line: str) -> bool:
    return line.strip().startswith(("import ", "from "))


@pytest.mark.parametrize("path", sorted(_modules()), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_an_import_in_a_function_states_its_cost(path: Path) -> None:
    lines = without_figure(path.read_text())
    assert not lines, f"{path.relative_to(ROOT)}: lines {lines}: move to the top, or measure"


def test_an_import_without_a_cost_is_found() -> None:
    assert without_figure("import a\n") == []
    assert without_figure("def f():\n    import a\n") == [2]
    assert without_figure("def f():\n    import a  # slow\n") == [2]
    assert without_figure("def f():\n    import a  # 12 ms: rarely needed\n") == []
    block = "def f():\n    # 0.2 ms: rarely there\n    import a\n    from b import c\n"
    assert without_figure(block) == []
    assert without_figure(block + "\n    import d\n") == [6]
