"""Values to try a template with: one set with the defaults, then one change at a time. Pure.

A parameter's own `default` and `examples` come first; then the edge cases of its schema: every
choice, minimum and maximum, an empty and a full list, text that other languages read as syntax.
Every set obeys the schema, so every result must be sound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.templating import Template, TemplateError, check_parameters, complete_parameters

# The first that fits is the usual value of a string without a default.
_WORDS = (
    "acme",
    "Keeps what was ordered",
    "process-definition/order-to-cash@3",
    "agent-definition/order-helper@1",
    "/orders",
    "orders.example.invalid",
    "provider:model",
    "read:orders",
)
# Text that other languages read as syntax, or as something other than text.
_EDGES = (
    'It\'s "quoted": {{ x }} ${{ y }} {% z %} #1 & <b> \\ `id` $(id)',
    "ünïcödé 漢字",
    "null",
    "1e3",
)
_GIVEN: Mapping[str, object] = {
    "code_origin": "tenant",
    "cost_centre": "cc-1",
    "design_refs": ["process-definition/order-to-cash@3"],
    "image_repository": "images.example.invalid/tenant-acme/order-router",
    "instance": "order-router",
    "namespaces": {env: f"tenant-acme-{env}-cust" for env in ("dev", "staging", "prod")},
    "platform": "ameide",
    "primitive_id": "order-router",
    "sku": "Shared",
    "target_repo": "tenant-acme-controllers",
    "tenant_id": "acme",
}
_GIVEN_CHANGES: tuple[tuple[str, Mapping[str, object]], ...] = (
    ("no design", {"design_refs": []}),
    (
        "the platform's own, shared",
        {"code_origin": "platform", "tenant_id": "platform", "target_repo": "ameide-platform"},
    ),
    ("dedicated", {"sku": "Private"}),
    ("the shortest name", {"primitive_id": "a", "instance": "a"}),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One set of values; `name` says what is special about it."""

    name: str
    values: Mapping[str, object]


def sample_values(template: Template) -> tuple[Sample, ...]:
    """The sets of values to render a template with, the default one first.

    Raises TemplateError naming each required parameter without a known value.
    """
    given = {
        **_GIVEN,
        "primitive_type": template.name,
        "template": f"{template.name}@{template.version}",
    }
    properties = _properties(template)
    reasons = []
    plain: dict[str, object] = {}
    for name, schema in properties.items():
        fitting = list(_fitting(template, name, schema))
        if fitting:
            plain[name] = fitting[0]
        elif "default" not in schema:
            reasons.append(f"template.yaml: no value for {name!r} is known; give it `examples`")
    if reasons:
        raise TemplateError(template.name, reasons)
    samples = [Sample("as it comes", complete_parameters(template, {**plain, **given}))]
    for name, schema in properties.items():
        for value in list(_fitting(template, name, schema))[1:]:
            text = str(value)
            told = text if len(text) <= 40 else f"{text[:37]}…"
            values = complete_parameters(template, {**plain, **given, name: value})
            samples.append(Sample(f"{name}: {told}", values))
    for told, change in _GIVEN_CHANGES:
        values = complete_parameters(template, {**plain, **given, **change})
        samples.append(Sample(told, values))
    return tuple(samples)


def _properties(template: Template) -> dict[str, Mapping[str, object]]:
    found = template.parameters["properties"]
    assert isinstance(found, Mapping)  # `merge_pages` made it
    given = {*_GIVEN, "primitive_type", "template"}
    return {name: schema for name, schema in found.items() if name not in given}


def _fitting(template: Template, name: str, schema: Mapping[str, object]) -> Iterator[object]:
    """Values that the parameter's schema accepts, each once, the usual one first."""
    seen: list[object] = []
    for value in _candidates(schema):
        problems = check_parameters(template, {name: value})
        if value not in seen and not any(p.path[:1] == (name,) for p in problems):
            seen.append(value)
            yield value


def _candidates(schema: Mapping[str, object]) -> Iterator[object]:
    if "default" in schema:
        yield schema["default"]
    examples = schema.get("examples")
    yield from examples if isinstance(examples, list) else ()
    choices = schema.get("enum")
    if isinstance(choices, list):
        yield from choices
        return
    match schema.get("type"):
        case "boolean":
            yield from (False, True)
        case "integer":
            yield from (schema.get("minimum", 1), schema.get("maximum", 100))
        case "array":
            items = schema.get("items")
            inner = [*_candidates(items)] if isinstance(items, Mapping) else []
            fitting = [value for value in inner if _matches(items, value)]
            yield fitting[:1]
            yield []
            yield fitting[: int(str(schema.get("maxItems", 3)))]
        case "string":
            yield from [word for word in _WORDS if _matches(schema, word)][:1]
            yield from _EDGES
            most = schema.get("maxLength")
            if isinstance(most, int):
                yield "x" * most


def _matches(schema: object, value: object) -> bool:
    """Whether an item matches its pattern; the whole schema judges the list afterwards."""
    pattern = schema.get("pattern", "") if isinstance(schema, Mapping) else ""
    return not isinstance(value, str) or re.search(str(pattern), value) is not None
