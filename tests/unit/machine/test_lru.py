"""Caches in memory: each has a bound and drops what was used longest ago."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import pipeline
from pipeline.control.parsed import ParsedRequests
from pipeline.machine.lru import LruCache
from tests.support.samples import sample_files

ROOT = Path(pipeline.__file__).parent
# Collections of a module that are filled while modules are imported, and never again.
FILLED_AT_IMPORT = {"pipeline.diagnostics.RULES"}
# What the names of the standard library's caches are, however they are imported.
CACHES = {"cache", "lru_cache"}


def test_the_least_recently_used_entry_is_dropped() -> None:
    kept = LruCache[str, bytes](10, len)
    kept.put("a", b"1234")
    kept.put("b", b"1234")
    assert kept.get("a") == b"1234"
    kept.put("c", b"1234")
    assert (kept.get("b"), kept.get("a"), kept.get("c")) == (None, b"1234", b"1234")
    assert (len(kept), kept.size_bytes) == (2, 8)


def test_a_key_put_again_counts_once() -> None:
    kept = LruCache[str, bytes](10, len)
    kept.put("a", b"12345678")
    kept.put("a", b"1234")
    assert (len(kept), kept.size_bytes) == (1, 4)


def test_an_entry_larger_than_the_bound_is_not_kept() -> None:
    kept = LruCache[str, bytes](10, len)
    assert kept.put("a", b"x" * 11) == b"x" * 11
    assert (kept.get("a"), len(kept), kept.size_bytes) == (None, 0, 0)


def test_parsed_requests_are_kept_within_the_bound() -> None:
    path, content = next((p, c) for p, c in sample_files().items() if p.endswith("draft.yaml"))
    parsed = ParsedRequests(most_bytes=3 * len(content))
    for number in range(100):
        parsed.parse(path, f"{number:040x}", content)
    assert len(parsed) == 3
    newest = parsed.find(path, f"{99:040x}")
    assert newest is not None and newest[0] is not None
    assert parsed.find(path, f"{0:040x}") is None
    assert parsed.parse(path, f"{99:040x}", b"is not looked at") is newest


def _sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        if "skeleton" not in path.parts and not path.is_relative_to(ROOT / "shared"):
            yield path, ast.parse(path.read_text())


def _cache_decorators() -> Iterator[tuple[str, str, ast.expr, ast.FunctionDef]]:
    for path, tree in _sources():
        lines = path.read_text().splitlines()
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            for decorator in function.decorator_list:
                named = decorator.func if isinstance(decorator, ast.Call) else decorator
                if ast.unparse(named).rsplit(".", 1)[-1] in CACHES:
                    where = f"{path.relative_to(ROOT)}:{function.name}"
                    yield where, lines[decorator.lineno - 2].strip(), decorator, function


def test_every_cached_function_has_a_bound_and_a_reason_for_it() -> None:
    found = list(_cache_decorators())
    assert len(found) >= 15
    for where, above, decorator, function in found:
        assert isinstance(decorator, ast.Call), f"{where}: no maxsize"
        sizes = [k.value for k in decorator.keywords if k.arg == "maxsize"]
        assert sizes and isinstance(sizes[0], ast.Constant), f"{where}: no maxsize"
        assert isinstance(sizes[0].value, int), f"{where}: without a bound"
        assert above.startswith("#"), f"{where}: no reason for its size above it"
        if sizes[0].value == 1:
            assert not function.args.args, f"{where}: keeps one of many"


def _modules() -> Iterator[str]:
    for module in pkgutil.walk_packages([str(ROOT)], "pipeline."):
        if ".skeleton" not in module.name and not module.name.startswith("pipeline.shared"):
            yield module.name


@pytest.mark.parametrize("name", sorted(_modules()))
def test_no_module_holds_a_cache_without_a_bound(name: str) -> None:
    if name == "pipeline.__main__":
        return
    for attribute, value in vars(importlib.import_module(name)).items():
        parameters = getattr(value, "cache_parameters", None)
        if parameters is not None:
            assert parameters()["maxsize"] is not None, f"{name}.{attribute}"


def test_no_module_keeps_a_growing_collection() -> None:
    empty = set()
    for path, tree in _sources():
        module = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        for node in tree.body:
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            target = node.target if isinstance(node, ast.AnnAssign) else target
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if target is not None and value is not None and _is_empty(value):
                empty.add(f"{module}.{ast.unparse(target)}")
    constants = {name for name in empty if name.rsplit(".", 1)[1].startswith("_NO_")}
    assert empty - constants == FILLED_AT_IMPORT


def _is_empty(value: ast.expr) -> bool:
    if isinstance(value, ast.Dict):
        return not value.keys
    if isinstance(value, ast.List):
        return not value.elts
    if not isinstance(value, ast.Call):
        return False
    named = ast.unparse(value.func).rsplit(".", 1)[-1].partition("[")[0]
    makers = {"dict", "list", "set", "defaultdict", "OrderedDict", "deque", "WeakValueDictionary"}
    return named in makers and (not value.args or named == "defaultdict")
