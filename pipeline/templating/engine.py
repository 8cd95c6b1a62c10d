"""The language of skeletons: the part that Jinja and Backstage's engine read alike. Pure.

Delimiters are Backstage's: `${{ }}` for values and `{% %}` for blocks; comments are refused, since
`{#` also occurs in other languages. Allowed:
constants, `values.x.y`, `if`/`elif`/`else` (also inline), `for`, `and`/`or`/`not`, comparisons,
and the filters in `FILTERS`. There are no calls, tests, assignments, imports or includes, so a
template can neither loop for ever nor reach anything. Values that Backstage would silently render
wrong (`a,b` for a list, `[object Object]`, nothing for a missing value) are errors here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Final

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, UndefinedError, nodes
from jinja2 import Template as JinjaTemplate
from jinja2.exceptions import TemplateRuntimeError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipeline.templating.files import MARKS
from pipeline.templating.values import FILTERS, List, Object, TemplateFault, json_text, written

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


def _finalized(value: object) -> object:
    # An undefined value raises when it becomes text, and names what is missing.
    return value if isinstance(value, Undefined) else written(value)


def _dumped(value: object) -> str:
    return str(value) if isinstance(value, Undefined) else json_text(value)


class BackstageJinja(ImmutableSandboxedEnvironment):
    """Jinja with Backstage's delimiters, where attributes are only keys of objects."""

    def getattr(self, obj: object, attribute: str) -> object:
        """A key's value or a loop's state; anything else is undefined."""
        return self.getitem(obj, attribute)

    def getitem(self, obj: object, argument: object) -> object:
        """Like `getattr`; lists also take whole numbers."""
        if isinstance(obj, Object) and isinstance(argument, str) and argument in obj.items_of:
            return obj.items_of[argument]
        if isinstance(obj, List) and argument == "length":
            return len(obj)
        if isinstance(obj, List) and isinstance(argument, int) and 0 <= argument < len(obj):
            return obj[argument]
        if type(obj).__name__ == "LoopContext" and argument in _LOOP_ATTRIBUTES:
            return getattr(obj, str(argument))
        return self.undefined(obj=obj, name=str(argument))


# No parameter: one value per process.
@lru_cache(maxsize=1)
def _engine() -> BackstageJinja:
    environment = BackstageJinja(
        variable_start_string="${{",
        variable_end_string="}}",
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        finalize=_finalized,
        cache_size=0,
    )
    environment.filters = {**FILTERS, "dump": _dumped}
    environment.tests = {}
    environment.globals = {}
    return environment


@dataclass(frozen=True, slots=True)
class Program:
    """One compiled text; faults name `file`."""

    file: str
    template: JinjaTemplate = field(repr=False)

    def render(self, context: Mapping[str, object]) -> str:
        """The text rendered with `context`. Raises TemplateFault with file and line."""
        try:
            return "".join(self.template.root_render_func(self.template.new_context(dict(context))))
        except (
            UndefinedError,
            TemplateRuntimeError,
            TypeError,
            AttributeError,
            ValueError,
        ) as error:
            line = _line_of(error.__traceback__, self.template, self.file)
            raise TemplateFault(f"{self.file}:{line}: {error}") from error


def _line_of(traceback: TracebackType | None, template: JinjaTemplate, file: str) -> int:
    line = 1
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == file:
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


# Size as for `compile_text`, for the texts that need a program.
@lru_cache(maxsize=4096)
def compile_program(file: str, text: str) -> Program:
    """The text as a Jinja program; `check_text` has passed it."""
    environment = _engine()
    code = environment.compile(text, name=file, filename=file)
    return Program(file, JinjaTemplate.from_code(environment, code, environment.globals))


def check_text(file: str, text: str, declared: Collection[str]) -> list[str]:
    """The reasons against the text in a skeleton, each with file and line."""
    if not any(mark.decode() in text for mark in MARKS):
        return []
    if "\r" in text:
        return [f"{file}:{text[: text.index(chr(13))].count(chr(10)) + 1}: line ends must be LF"]
    if "{#" in text:
        line = text[: text.index("{#")].count("\n") + 1
        return [f"{file}:{line}: `{{#` opens a comment, which swallows text; write it otherwise"]
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
                yield line, f"`values.{attribute}` is not passed on by the step fetch:template"
        case nodes.Getitem(arg=argument):
            if not isinstance(argument, nodes.Const) or isinstance(node.node, nodes.Name):
                yield line, "brackets take a constant, and `values` is read with a dot"
        case nodes.Filter(name=name):
            if name not in FILTERS:
                yield line, f"filter `{name}` is not one of {', '.join(sorted(FILTERS))}"
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
