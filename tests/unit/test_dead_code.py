"""Every public function, class and constant of the product is used outside the tests."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pipeline

ROOT = Path(pipeline.__file__).parent
TOP = ROOT.parent
# What tests alone use, and why it is there.
ALLOWED = {
    "edit_document": "edits of people's files, for commands to come",
    "log_commits": "what the writers of forged histories read them with",
    "run_helm_lint": "what charts of the templates are held to",
    "STEP_NAMES": "what the audit's steps are called: each has a mutant",
}


def _sources(folder: Path) -> Iterator[ast.Module]:
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder)
        if "skeleton" not in inside.parts and inside.parts[0] != "shared":
            yield ast.parse(path.read_text())


def _defined(tree: ast.Module) -> Iterator[str]:
    """Public names of a module and methods of its classes, but for what a decorator takes up."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from (t.id for t in node.targets if isinstance(t, ast.Name) and not _rule(node))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.FunctionDef) and not node.decorator_list:
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield node.name
            # Methods of a class with a base can be that base's own.
            for method in node.body if not node.bases else ():
                if isinstance(method, ast.FunctionDef):
                    yield method.name


def _rule(node: ast.Assign) -> bool:
    """Whether it is a rule, which registers itself: its id is what names it."""
    return isinstance(node.value, ast.Call)


def _used(tree: ast.Module) -> Iterator[str]:
    exported = [n for n in tree.body if isinstance(n, ast.Assign) and _is_all(n)]
    listed = {id(node) for statement in exported for node in ast.walk(statement)}
    for node in ast.walk(tree):
        if id(node) in listed:
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.rsplit(":", 1)[-1]  # `module:attribute`, and annotations as text


def _is_all(node: ast.Assign) -> bool:
    """Whether it is `__all__`, which exports a name and does not use it."""
    return any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)


def test_no_public_name_is_used_by_tests_alone() -> None:
    used = Counter(
        name
        for folder in (ROOT, TOP / "bench", TOP / "tools")
        for tree in _sources(folder)
        for name in _used(tree)
    )
    defined = {name for tree in _sources(ROOT) for name in _defined(tree)}
    dead = {name for name in defined if not name.startswith("_") and not used[name]}
    assert len(defined) > 1000
    assert dead - set(ALLOWED) == set()


def test_an_unused_name_is_found() -> None:
    tree = ast.parse(
        "A = 1\nB: int = A\nclass C:\n    def m(self): ...\n    @property\n    def p(self): ...\n"
        "@click.command()\ndef c(): ...\ndef f(): ...\nRULE = register()\n__all__ = ['f']\n"
    )
    assert set(_defined(tree)) - set(_used(tree)) == {"B", "C", "m", "p", "f", "__all__"}
