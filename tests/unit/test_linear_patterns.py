"""Every regular expression of ours takes linear time, by counted steps."""

import ast
import importlib
import pkgutil
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import pipeline
from tests.support.backtracking import _SEARCHING, Counter, attacks

# Patterns over text that nobody else writes.
OURS = {
    "pipeline.publish.starter": "the workflows that come with this package",
    "pipeline.cli.main": "the command line's own help",
}
# Four times the text takes four times the steps, and sixteen times if it is quadratic. On short
# texts what is bounded may look like it: then longer ones decide.
SIZES = (40, 160, 640)
AT_MOST = 8
# Only ever matched at the start of a text, in a way that the source doesn't show by itself.
MATCHED = {
    "pipeline.documents.yaml12._PLAIN_IN_FLOW[0]",
    "pipeline.documents.yaml12._PLAIN_IN_BLOCK[0]",
}
# Of a few lines that git writes about itself.
SHORT = {"pipeline.git.repository._LOCKED[0]"}
# Of one header that GitHub sends, which the client's own library bounds.
BOUNDED = {"pipeline.forges.github.client._NEXT[0]"}


def patterns() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes], bool]]:
    """Name, pattern, and whether it is looked for anywhere in a text, of each in the package."""
    for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
        inner = module.name.split(".")
        if module.name in OURS or "__main__" in inner or inner[1] in {"templates", "shared"}:
            continue
        loaded = importlib.import_module(module.name)
        path = Path(str(loaded.__file__))
        used = _methods(ast.parse(path.read_text()))
        for name, value in vars(loaded).items():
            found = value if isinstance(value, tuple) else (value,)
            for number, item in enumerate(found):
                if isinstance(item, re.Pattern):
                    methods = used.get(name, set())
                    label = f"{module.name}.{name}[{number}]"
                    searched = not methods or bool(methods & _SEARCHING)
                    if label not in SHORT | BOUNDED:
                        yield label, item, searched and label not in MATCHED


def _methods(tree: ast.Module) -> dict[str, set[str]]:
    """By name of a variable, the methods that are called on it."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.setdefault(node.value.id, set()).add(node.attr)
    return found


def worst_growth(
    pattern: re.Pattern[str] | re.Pattern[bytes], small: int, large: int, *, everywhere: bool
) -> float:
    """How many times the steps grow from texts of one size to those of the other, at worst."""
    counter = Counter(pattern)
    before, after = (
        [counter.search(text, everywhere=everywhere) for text in attacks(pattern, size)]
        for size in (small, large)
    )
    return max(b / max(a, small) for a, b in zip(before, after, strict=True))


ALL = {name: (pattern, anywhere) for name, pattern, anywhere in patterns()}


@pytest.fixture(autouse=True)
def deep() -> Iterator[None]:
    """Room for a matcher that recurses."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(limit)


def test_the_regular_expressions_are_found() -> None:
    assert len(ALL) > 60


@pytest.mark.parametrize("name", ALL)
def test_a_regular_expression_takes_linear_time(name: str) -> None:
    pattern, anywhere = ALL[name]
    assert any(
        worst_growth(pattern, small, large, everywhere=anywhere) <= AT_MOST
        for small, large in pairwise(SIZES)
    )


@pytest.mark.parametrize(
    "pattern",
    [
        re.compile(r"^\s*not ok \d+ - (.*)$", re.MULTILINE),
        re.compile(rb"\{\{.*?\}\}", re.DOTALL),
        re.compile(r"x(?:\s*;\s*(?P<marker>[A-Za-z ]+?))?(?P<hashes>(?:\s+--hash)*)\Z"),
        re.compile(r"\{%(-?) *(if|for)\b([^{}%\n]*?) *(-?)%\}"),
        re.compile(r"(a+)+\Z"),
    ],
    ids=["line breaks", "open braces", "a requirement", "a block", "nested"],
)
def test_a_quadratic_regular_expression_is_found(pattern: re.Pattern[str]) -> None:
    counter = Counter(pattern)
    small, large = (
        max(counter.search(text, everywhere=True) for text in attacks(pattern, size))
        for size in ((8, 16) if "a+" in str(pattern.pattern) else (60, 120))
    )
    assert large / small > 3
