"""The language of skeletons: the part that Jinja and Backstage's engine read alike. Pure.

Delimiters are Backstage's: `${{ }}` for values, `{% %}` for blocks, `{# #}` for comments. Allowed:
constants, `values.x.y`, `if`/`elif`/`else` (also inline), `for`, `and`/`or`/`not`, comparisons,
and the filters in `FILTERS`. There are no calls, no tests, no assignments, no imports and no
includes, so a template can neither loop for ever nor reach anything. What Backstage would turn
into something silently wrong (`a,b` for a list, `[object Object]`, nothing for a missing value)
is an error here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Final

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, UndefinedError, nodes
from jinja2 import Template as JinjaTemplate
from jinja2.exceptions import TemplateRuntimeError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipeline.templating.files import MARKS

FILTERS: Final = ("dump", "join", "lower", "replace", "upper")
_SAFE_INTEGER = 2**53 - 1
_ARRAY_INDEX_MAX = 2**32 - 2
_FAULTS = (UndefinedError, TemplateRuntimeError, TypeError, AttributeError, ValueError)
_ALLOWED: Final[tuple[type[nodes.Node], ...]] = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Const,
    nodes.Filter,
    nodes.If,
    nodes.For,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Tuple,
)
_LOOP_ATTRIBUTES = frozenset({"first", "last", "index", "index0", "length"})


class TemplateFault(ValueError):
    """One reason, with file and line, why something does not render.

    An inner signal: `pipeline.templating.TemplateError` is what leaves the core.
    """


class Object:
    """A JSON object as templates see it: keys are attributes, a loop over it gives pairs."""

    __slots__ = ("items_of",)

    def __init__(self, items_of: dict[str, object]) -> None:
        self.items_of = items_of

    def __iter__(self) -> Iterator[tuple[str, object]]:
        # As Backstage's engine does for `for key, value in object`. No `__len__`: an object is
        # true in a condition even when it is empty, as in JavaScript.
        return iter(self.items_of.items())


class List(tuple[object, ...]):
    """A JSON list as templates see it: it has a `length`, and is true even when it is empty."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return True


def context_of(values: Mapping[str, object]) -> dict[str, object]:
    """What every file is rendered with: `values`, copied and frozen.

    Raises TemplateFault for anything that JSON or JavaScript cannot hold exactly.
    """
    return {"values": _as_json(values, "values")}


def _as_json(value: object, where: str) -> object:
    match value:
        case None | bool():
            return value
        case str():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise TemplateFault(f"{where}: the text holds a lone surrogate") from error
            return str(value)
        case int():
            if abs(value) > _SAFE_INTEGER:
                raise TemplateFault(f"{where}: {value} is beyond what JSON numbers hold exactly")
            return value
        case float():
            if not math.isfinite(value) or not value.is_integer() or abs(value) > _SAFE_INTEGER:
                raise TemplateFault(f"{where}: {value} is not a whole number")
            return int(value)
        case Mapping():
            return Object(
                {
                    key: _as_json(value[key], f"{where}.{key}")
                    for key in _keys_in_order(value, where)
                }
            )
        case Sequence():
            return List(_as_json(item, f"{where}[{i}]") for i, item in enumerate(value))
        case _:
            raise TemplateFault(f"{where}: a {type(value).__name__} is no JSON value")


def _keys_in_order(value: Mapping[object, object], where: str) -> list[str]:
    """Keys as JavaScript lists them: array indices first and ascending, then as inserted."""
    for key in value:
        if not isinstance(key, str):
            raise TemplateFault(f"{where}: the key {key!r} is not text")
    keys = [str(key) for key in value]
    indices = [
        key for key in keys if re.fullmatch(r"0|[1-9][0-9]*", key) and int(key) <= _ARRAY_INDEX_MAX
    ]
    return sorted(indices, key=int) + [key for key in keys if key not in set(indices)]


def dump(value: object) -> str:
    """The value as JavaScript's JSON.stringify writes it; also a valid YAML and TOML scalar.

    That holds for text without control characters and line separators, which the schemas refuse.
    """
    if isinstance(value, Undefined):
        str(value)  # raises, and names what is missing
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Object):
        return value.items_of
    raise TemplateFault(f"a {type(value).__name__} is no JSON value")


def _written(value: object) -> object:
    """What an expression's value is written as; lists, objects and null are refused."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, Undefined)):
        return value
    what = {type(None): "null", Object: "an object"}.get(type(value), "a list")
    raise TemplateRuntimeError(f"{what} has no text; use `| dump` or `| join`")


def _replaced(text: str, old: str, new: str) -> str:
    return text.replace(old, new)


def _joined(items: Sequence[str], separator: str = "") -> str:
    return separator.join(str(_written(item)) for item in items)


class Engine(ImmutableSandboxedEnvironment):
    """Jinja with Backstage's delimiters, where attributes are keys of objects and nothing else."""

    def getattr(self, obj: object, attribute: str) -> object:
        """The key of an object or the state of a loop; anything else is undefined."""
        return self.getitem(obj, attribute)

    def getitem(self, obj: object, argument: object) -> object:
        """As `getattr`; lists take whole numbers."""
        if isinstance(obj, Object) and isinstance(argument, str) and argument in obj.items_of:
            return obj.items_of[argument]
        if isinstance(obj, List) and argument == "length":
            return len(obj)
        if isinstance(obj, List) and isinstance(argument, int) and 0 <= argument < len(obj):
            return obj[argument]
        if type(obj).__name__ == "LoopContext" and argument in _LOOP_ATTRIBUTES:
            return getattr(obj, str(argument))
        return self.undefined(obj=obj, name=str(argument))


@lru_cache(maxsize=1)
def _engine() -> Engine:
    environment = Engine(
        variable_start_string="${{",
        variable_end_string="}}",
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        finalize=_written,
        cache_size=0,
    )
    environment.filters = {
        "dump": dump,
        "join": _joined,
        "lower": str.lower,
        "replace": _replaced,
        "upper": str.upper,
    }
    environment.tests = {}
    environment.globals = {}
    return environment


@dataclass(frozen=True, slots=True)
class Compiled:
    """One text, compiled; `file` is what faults name."""

    file: str
    text: str
    program: JinjaTemplate | None = field(repr=False)

    def render(self, context: Mapping[str, object]) -> str:
        """The text with the values of `context` in it. Raises TemplateFault with file and line."""
        if self.program is None:
            return self.text
        try:
            return "".join(self.program.root_render_func(self.program.new_context(dict(context))))
        except (
            UndefinedError,
            TemplateRuntimeError,
            TypeError,
            AttributeError,
            ValueError,
        ) as error:
            line = _line_of(error.__traceback__, self.program, self.file)
            raise TemplateFault(f"{self.file}:{line}: {error}") from error


def _line_of(traceback: TracebackType | None, program: JinjaTemplate, file: str) -> int:
    line = 1
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == file:
            line = program.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


@lru_cache(maxsize=4096)
def compile_text(file: str, text: str) -> Compiled:
    """The text ready to be rendered; it has been through `check_text` before."""
    if not any(mark.decode() in text for mark in MARKS):
        return Compiled(file, text, None)
    environment = _engine()
    code = environment.compile(text, name=file, filename=file)
    program = JinjaTemplate.from_code(environment, code, environment.globals)
    return Compiled(file, text, program)


def check_text(file: str, text: str, declared: Collection[str]) -> list[str]:
    """Reasons why the text may not be in a skeleton, each with file and line."""
    if not any(mark.decode() in text for mark in MARKS):
        return []
    if "\r" in text:
        return [f"{file}:{text[: text.index(chr(13))].count(chr(10)) + 1}: line ends must be LF"]
    try:
        tree = _engine().parse(text, name=file, filename=file)
    except TemplateSyntaxError as error:
        return [f"{file}:{error.lineno}: {error.message}"]
    return [f"{file}:{line}: {reason}" for line, reason in _check_node(tree, declared, frozenset())]


def _check_node(
    node: nodes.Node, declared: Collection[str], local: frozenset[str]
) -> Iterator[tuple[int, str]]:
    line = node.lineno
    if not isinstance(node, _ALLOWED):
        yield line, f"{type(node).__name__} is not part of the language of skeletons"
        return
    match node:
        case nodes.Name(name=name):
            if name not in local and name != "values":
                yield line, f"`{name}` is unknown; inputs are called `values.{name}`"
        case nodes.Getattr(node=nodes.Name(name="values"), attr=attribute):
            if attribute not in declared:
                yield line, f"`values.{attribute}` is neither a parameter nor given by the pipeline"
        case nodes.Getitem(arg=argument):
            if not isinstance(argument, nodes.Const) or isinstance(node.node, nodes.Name):
                yield line, "brackets take a constant, and `values` is read with a dot"
        case nodes.Filter(name=name):
            if name not in FILTERS:
                yield line, f"filter `{name}` is not one of {', '.join(FILTERS)}"
            if node.kwargs or node.dyn_args or node.dyn_kwargs:
                yield line, f"filter `{name}` takes plain arguments only"
        case nodes.CondExpr(expr2=None):
            yield line, "an inline `if` needs its `else`"
        case nodes.For():
            if node.recursive or node.test is not None or node.else_:
                yield line, "a loop takes neither a condition, `else` nor `recursive`"
            yield from _check_node(node.iter, declared, local)
            names = {name.name for name in node.target.find_all(nodes.Name)}
            if isinstance(node.target, nodes.Name):
                names.add(node.target.name)
            for child in node.body:
                yield from _check_node(child, declared, local | names | {"loop"})
            return
        case nodes.Compare():
            if len(node.ops) != 1 or node.ops[0].op not in ("eq", "ne"):
                yield line, "comparisons are `==` and `!=`, one at a time"
    for child in node.iter_child_nodes():
        yield from _check_node(child, declared, local)
