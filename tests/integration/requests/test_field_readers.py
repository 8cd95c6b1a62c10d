"""Every field of a request has a reader.

mypy gives the type of every expression in `pipeline/`, so `tenant.name` never counts as a reader of
another model's `name`. A read is an attribute of an expression of that model's type, or a keyword
of a class pattern. This cannot tell whether the value changes anything. Writing out a whole model
(`model_dump`) counts as no read, so a field that is only written out needs a reader that names it.
A field with a single possible value (`kind`, `apiVersion`, `op`) is read by the reader of
documents.
"""

from __future__ import annotations

import ast
import functools
import sys
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

from mypy import build, nodes, types
from mypy.config_parser import parse_config_file
from mypy.find_sources import create_source_list
from mypy.options import Options
from pydantic import BaseModel

from pipeline.documents.shapes import models_in
from pipeline.requests.kinds import KINDS

TOP = Path(__file__).resolve().parents[3]
Field = tuple[str, str]  # full name of the model that declares it, name


def request_models() -> dict[str, type[BaseModel]]:
    """Full name → every model that a request is made of."""
    found: dict[str, type[BaseModel]] = {}
    left: list[type[BaseModel]] = [kind.model for kind in KINDS]
    while left:
        model = left.pop()
        name = f"{model.__module__}.{model.__qualname__}"
        if name not in found:
            found[name] = model
            for field in model.model_fields.values():
                left += models_in(field.annotation)
    return found


def declared_fields() -> set[Field]:
    """Every field of a request, by the model that declares it, but those whose type leaves a
    single value.
    """
    found = set()
    for name, model in request_models().items():
        for field, info in model.model_fields.items():
            if field not in model.__annotations__:
                continue  # inherited, and so found where it is declared
            values = typing.get_args(info.annotation)
            if not (typing.get_origin(info.annotation) is typing.Literal and len(values) == 1):
                found.add((name, field))
    return found


def _reads_in(known: Mapping[nodes.Expression, types.Type]) -> Iterator[Field]:
    """The fields read by others than the models' own methods; `known` holds all types."""
    for expression in known:
        if isinstance(expression, nodes.MemberExpr) and not _is_self(expression.expr):
            for info in _classes(known.get(expression.expr)):
                # The class and those it is made from: a field is the one's that declares it.
                yield from ((base.fullname, expression.name) for base in info.mro)


def _is_self(expression: nodes.Expression) -> bool:
    return isinstance(expression, nodes.NameExpr) and expression.name == "self"


def _named_in(text: str) -> Iterator[Field]:
    """Class, by its bare name, and field: of `case Model(field=…)`, and of `self.field`.

    Not in private methods: what only a validator looks at is checked, and read by nobody.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.MatchClass) and isinstance(node.cls, ast.Name):
            yield from ((node.cls.id, field) for field in node.kwd_attrs)
        if isinstance(node, ast.ClassDef):
            methods = (m for m in node.body if isinstance(m, ast.FunctionDef))
            for method in (m for m in methods if not m.name.startswith("_")):
                for inner in ast.walk(method):
                    if isinstance(inner, ast.Attribute) and ast.unparse(inner.value) == "self":
                        yield node.name, inner.attr


def _classes(of: types.Type | None) -> Iterator[nodes.TypeInfo]:
    proper = types.get_proper_type(of) if of is not None else None
    if isinstance(proper, types.Instance):
        yield proper.type
    elif isinstance(proper, types.UnionType):
        for item in proper.items:
            yield from _classes(item)
    elif isinstance(proper, types.TypeVarType):
        yield from _classes(proper.upper_bound)


@functools.cache
def read_fields(sources: tuple[tuple[str, str], ...] = ()) -> frozenset[Field]:
    """What `pipeline/` reads, or modules of these names and texts."""
    options = Options()
    parse_config_file(options, lambda: None, str(TOP / "pyproject.toml"), sys.stdout, sys.stderr)
    options.export_types = options.preserve_asts = True
    options.incremental = False
    options.follow_imports = "silent"
    options.python_executable = sys.executable
    if sources:
        wanted = [build.BuildSource(None, name, text) for name, text in sources]
    else:
        wanted = [
            source
            for source in create_source_list([str(TOP / "pipeline")], options)
            if not source.module.startswith(("pipeline.templates.", "pipeline.shared."))
        ]
    result = build.build(wanted, options)
    assert not result.errors, result.errors[:5]
    found = set(_reads_in(result.types))
    by_name = {name.rpartition(".")[2]: name for name in (*request_models(), "sample.Small")}
    for source in wanted:
        text = source.text or Path(str(source.path)).read_text()
        found.update((by_name.get(model, model), field) for model, field in _named_in(text))
    return frozenset(found)


def test_every_field_of_a_request_has_a_reader() -> None:
    declared = declared_fields()
    assert len(declared) > 60
    unread = sorted(f"{model}.{field}" for model, field in declared - read_fields())
    assert unread == []


SAMPLE = """
from pydantic import BaseModel
class Small(BaseModel):
    read: int
    matched: int
    unread: int
    checked: int
    def _validator(self) -> bool:
        return self.checked > 0
class Other(BaseModel):
    unread: int
def reader(one: Small | None, other: Other) -> int:
    match one:
        case Small(matched=3):
            return other.unread
    return one.read if one else 0
"""


def test_a_field_of_another_model_with_the_same_name_is_no_reader() -> None:
    found = read_fields((("sample", SAMPLE),))
    assert {
        ("sample.Small", "read"),
        ("sample.Small", "matched"),
        ("sample.Other", "unread"),
    } <= found
    assert {("sample.Small", "read"), ("sample.Small", "matched")} <= found
    assert ("sample.Other", "unread") in found
    assert not {("sample.Small", "unread"), ("sample.Small", "checked")} & found
