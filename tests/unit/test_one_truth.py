"""What the source says exactly once: rules and codes, kinds and their schemas, the API version."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import pipeline
from pipeline.diagnostics import RULES, Rule
from pipeline.errors import ERRORS, PipelineError
from pipeline.models.base import API_VERSION, Model
from pipeline.publish.schemas import SCHEMAS
from pipeline.render.rules import render_error, render_rules_page
from pipeline.requests.acknowledgements import ABOUT_COMMITS, ABOUT_FACTS
from pipeline.rules import RULE_MODULES, load_rules

PACKAGE = Path(pipeline.__file__).parent
# Folders of code that is rendered or shipped, and is not the pipeline's own.
FOREIGN = ("templates/", "shared/", "starter/")
TREES = {
    path.relative_to(PACKAGE.parent).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
    if not path.relative_to(PACKAGE).as_posix().startswith(FOREIGN)
    or path.parent == PACKAGE / "templates"
}


def modules() -> Iterator[ModuleType]:
    """Every module of the pipeline, imported."""
    for path in TREES:
        name = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        if not name.endswith("__main__"):
            yield import_module(name)


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """The calls of plain and of dotted names in a tree, by the last part of the name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name):
                yield called.id, node
            elif isinstance(called, ast.Attribute):
                yield called.attr, node


# -- rules ---------------------------------------------------------------------------------


def test_a_rule_s_constant_has_the_rule_s_name() -> None:
    load_rules()
    named = {
        (module.__name__, name): value.id
        for module in modules()
        for name, value in vars(module).items()
        if isinstance(value, Rule)
    }
    assert {id.replace("-", "_").upper() for id in named.values()} == {name for _, name in named}
    wrong = {
        f"{module}.{name}": id
        for (module, name), id in named.items()
        if name != id.replace("-", "_").upper()
    }
    assert wrong == {}
    assert set(named.values()) == set(RULES), "a rule without a constant"


def test_every_module_that_registers_rules_is_listed() -> None:
    registering = {
        path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for path, tree in TREES.items()
        if any(isinstance(c.func, ast.Name) and n == "register" for n, c in calls(tree))
    }
    assert registering == set(RULE_MODULES)


# -- codes ---------------------------------------------------------------------------------


def code_arguments() -> Iterator[tuple[str, str]]:
    """Place and value of every literal that is given as a `code`, by name or by position."""
    places: dict[str, set[int]] = {}
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                names = [a.arg for a in node.args.args if a.arg not in ("self", "cls")]
                takes = node.name
            elif isinstance(node, ast.ClassDef):
                names = [
                    s.target.id
                    for s in node.body
                    if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)
                ]
                takes = node.name
            else:
                continue
            if "code" in names:
                places.setdefault(takes, set()).add(names.index("code"))
    for path, tree in TREES.items():
        for name, call in calls(tree):
            given = [k.value for k in call.keywords if k.arg == "code"]
            given += [call.args[i] for i in places.get(name, ()) if i < len(call.args)]
            for value in given:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield f"{path}:{value.lineno}", value.value
        for node in ast.walk(tree):
            # Reasons that are pairs of code and message.
            if isinstance(node, ast.keyword) and node.arg in ("reasons", "failures"):
                for pair in ast.walk(node.value):
                    if isinstance(pair, ast.Tuple) and len(pair.elts) == 2:
                        first = pair.elts[0]
                        if isinstance(first, ast.Constant) and isinstance(first.value, str):
                            yield f"{path}:{first.lineno}", first.value


def error_codes() -> dict[str, str]:
    """Class → code, of every error of the pipeline that names a code of its own."""
    for _ in modules():
        pass
    found: dict[str, str] = {}
    pending: list[type[PipelineError]] = [PipelineError]
    while pending:
        error = pending.pop()
        pending += error.__subclasses__()
        if "code" in vars(error) and error.__module__.startswith("pipeline."):
            found[error.__qualname__] = error.code
    return found


def test_every_code_in_the_source_can_be_explained() -> None:
    known = {*load_rules(), *ERRORS}
    assert {place: code for place, code in code_arguments() if code not in known} == {}


def test_every_error_s_code_can_be_explained() -> None:
    codes = error_codes()
    known = {*load_rules(), *ERRORS}
    assert {name: code for name, code in codes.items() if code not in known} == {}
    assert set(ERRORS) <= set(codes.values()), "an explanation of no error"
    # One code has one explanation.
    assert set(ERRORS) & set(load_rules()) == set()


def test_an_acknowledgement_may_name_audit_rules_only() -> None:
    audit = {code for code in load_rules() if code.startswith("audit-")}
    assert audit >= ABOUT_COMMITS | ABOUT_FACTS
    assert not ABOUT_COMMITS & ABOUT_FACTS


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_says_what_and_how(code: str) -> None:
    error = ERRORS[code]
    assert error.summary.endswith(".") and error.summary[0].isupper()
    assert error.fix and not error.fix.endswith(".")
    assert error.summary in render_error(code) and error.fix in render_error(code)
    assert f"### {code}\n" in render_rules_page(load_rules()).decode()


# -- documents -----------------------------------------------------------------------------


def test_every_written_kind_has_a_schema() -> None:
    written: dict[str, str] = {}
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Dict):
                continue
            fields = {
                key.value: value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant)
            }
            version, kind = fields.get("apiVersion"), fields.get("kind")
            if isinstance(version, ast.Name) and isinstance(kind, ast.Constant):
                written[str(kind.value)] = f"{path}:{node.lineno}"
    assert len(written) > 3
    assert {kind: place for kind, place in written.items() if kind not in SCHEMAS} == {}


def test_every_document_has_a_schema() -> None:
    for _ in modules():
        pass
    pending, lacking = [Model], []
    while pending:
        model = pending.pop()
        pending += model.__subclasses__()
        fields = model.model_fields
        if {"api_version", "kind"} <= set(fields) and model.__module__.startswith("pipeline."):
            [kind] = fields["kind"].annotation.__args__  # type: ignore[union-attr]  # a Literal
            if kind not in SCHEMAS:
                lacking.append(model.__name__)
    assert lacking == []


def test_the_api_version_is_written_once() -> None:
    places = [
        (path, node.lineno)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and API_VERSION in node.value
    ]
    assert [path for path, _ in places] == ["pipeline/__init__.py"]


# -- names ---------------------------------------------------------------------------------

# Names that stand in two packages of the pipeline, and why.
TWICE = {
    "main": "what a program starts with",
    "verify": "the command `audit verify`, beside the function that it calls",
}
# What a `check_*` may give: things that were found, or in words what is wrong.
FOUND = ("Finding", "Problem", "Refusal", "Setting", "str")
# Functions whose name starts with the noun.
NOUNS = {
    "check_files": "the files that hold a check of a forge",
    "check_runner": "what runs checks",
}


def definitions() -> Iterator[tuple[str, str, ast.FunctionDef | ast.ClassDef]]:
    """Package, path and node of every public class and function at the top of a module."""
    for path, tree in TREES.items():
        parts = path.split("/")
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                yield parts[1], path, node


def test_one_public_name_stands_for_one_thing() -> None:
    packages: dict[str, set[str]] = {}
    for package, _, node in definitions():
        packages.setdefault(node.name, set()).add(package)
    twice = {name: sorted(found) for name, found in packages.items() if len(found) > 1}
    assert {name: where for name, where in twice.items() if name not in TWICE} == {}
    assert set(TWICE) <= set(twice), "a name that is no longer in two packages"


def test_a_check_function_returns_findings() -> None:
    wrong, seen = {}, 0
    for _, path, node in definitions():
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("check_"):
            continue
        returns = ast.unparse(node.returns) if node.returns else ""
        many = returns.startswith(("Iterator[", "Iterable[", "tuple[", "list[", "Sequence["))
        seen += 1
        is_one = returns in ("Setting", "str | None")
        if not ((many or is_one) and any(name in returns for name in FOUND)):
            wrong[node.name] = f"{path} gives {returns}"
    assert seen > 40
    assert {name: where for name, where in wrong.items() if name not in NOUNS} == {}
    assert set(NOUNS) <= set(wrong), "a noun that is no longer there"


# -- types ---------------------------------------------------------------------------------


def annotations() -> Iterator[tuple[str, str]]:
    """Place and text of every annotation, and of what a name stands for."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            found: list[ast.expr | None] = []
            if isinstance(node, ast.FunctionDef):
                found = [node.returns, *(a.annotation for a in node.args.args)]
                found += [a.annotation for a in node.args.kwonlyargs]
            elif isinstance(node, ast.AnnAssign):
                found = [node.annotation]
            elif isinstance(node, ast.Assign):
                found = [node.value]
            for expression in found:
                if isinstance(expression, ast.Subscript):
                    yield path, ast.unparse(expression)


def test_files_and_failures_have_their_own_types() -> None:
    spelled = {path for path, text in annotations() if "str, tuple[int, bytes]" in text}
    assert spelled == set(), "write `Files`, or `dict[str, File]`"
    written = {path for path, text in annotations() if text == "tuple[int, bytes]"}
    assert written <= {"pipeline/git/objects.py", "pipeline/forges/http/connection.py"}
    triples = {
        path
        for path, text in annotations()
        if "tuple[str, str, str]" in text and path != "pipeline/git/process.py"
    }
    assert {path for path in triples if "templating" not in path} == set(), "write `Failure`"


def test_draft_ids_are_split_in_one_place() -> None:
    taken = [
        f"{path}:{call.lineno}"
        for path, tree in TREES.items()
        for name, call in calls(tree)
        if name in ("split", "partition")
        and isinstance(call.func, ast.Attribute)
        and ast.unparse(call.func.value).split(".")[-1].lower() in ("draft", "draft_id")
        and ast.unparse(call.args[0]) == "'/'"
    ]
    assert taken == [], "use `tenant` and `primitive` of `DraftId`"
