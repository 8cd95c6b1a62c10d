"""A template's inputs: Backstage's form pages as one JSON Schema, and plain-worded problems. Pure.

Source: JSON Schema draft-07; react-jsonschema-form's `ui:` hints.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jsonschema_rs import Draft7Validator, ValidationError

_PAGE_KEYS: Final = frozenset({"title", "description", "required", "properties"})


@dataclass(frozen=True, slots=True)
class ParameterProblem:
    """One problem: its path below `parameters`, and what is wrong, in plain words."""

    path: tuple[str | int, ...]
    message: str


def merge_pages(pages: object, reasons: list[str]) -> dict[str, object]:
    """The pages of `spec.parameters` as one closed JSON Schema, without `ui:` hints.

    Adds to `reasons` anything that cannot be merged or is not a valid schema.
    """
    properties: dict[str, object] = {}
    required: list[str] = []
    if not isinstance(pages, list) or not pages:
        reasons.append("template.yaml: spec.parameters is not a list of form pages")
        pages = []
    for number, page in enumerate(pages):
        where = f"template.yaml: spec.parameters[{number}]"
        if not isinstance(page, Mapping) or not isinstance(page.get("properties"), Mapping):
            reasons.append(f"{where} has no properties")
            continue
        reasons += [f"{where}: keyword {key!r} is not supported" for key in {*page} - _PAGE_KEYS]
        for name, schema in page["properties"].items():
            if name in properties:
                reasons.append(f"{where}: {name!r} is on another page too")
            if not isinstance(schema, Mapping) or not isinstance(schema.get("description"), str):
                reasons.append(f"{where}: {name!r} has no description")
            properties[name] = _without_hints(schema)
        required += [str(name) for name in page.get("required", [])]
    for name in sorted({*required} - {*properties}):
        reasons.append(f"template.yaml: {name!r} is required but not described")
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "required": sorted(required),
        "properties": properties,
    }
    if properties:
        # 11 ms; most runs render no template.
        import jsonschema_rs

        try:
            jsonschema_rs.meta.validate(schema)
            jsonschema_rs.Draft7Validator(schema)
        except (jsonschema_rs.ValidationError, ValueError) as error:
            first = str(getattr(error, "message", error)).splitlines()[0]
            reasons.append(f"template.yaml: spec.parameters is not a JSON Schema: {first}")
    return schema


def _without_hints(schema: object) -> object:
    if isinstance(schema, Mapping):
        return {
            key: _without_hints(value)
            for key, value in schema.items()
            if not str(key).startswith("ui:")
        }
    if isinstance(schema, list):
        return [_without_hints(item) for item in schema]
    return schema


@dataclass(frozen=True, slots=True)
class ParameterSchema:
    """The schema of a draft's own `parameters`, compiled once per template and process."""

    own: Mapping[str, object]  # inputs that the pipeline does not give
    judged: Mapping[str, object]
    validator: Draft7Validator


def compile_schema(schema: Mapping[str, object], given: Collection[str]) -> ParameterSchema:
    """The schema of the inputs without the `given` names."""
    # 11 ms; most runs render no template.
    import jsonschema_rs

    properties = schema["properties"]
    required = schema["required"]
    assert isinstance(properties, Mapping) and isinstance(required, list)  # `merge_pages` made them
    own = {name: value for name, value in properties.items() if name not in given}
    judged = {
        **schema,
        "properties": own,
        "required": [name for name in required if name in own],
        "additionalProperties": True,
    }
    return ParameterSchema(own, judged, jsonschema_rs.Draft7Validator(judged))


def check_against_schema(
    template: str,
    schema: ParameterSchema,
    given: Collection[str],
    values: Mapping[str, object],
) -> tuple[ParameterProblem, ...]:
    """The problems of `values` by a template's schema, sorted by path."""
    own, judged = schema.own, schema.judged
    problems = [
        ParameterProblem((name,), _unknown(template, name, own, given))
        for name in values
        if name not in own
    ]
    checked = {name: value for name, value in values.items() if name in own}
    for error in schema.validator.iter_errors(checked):
        path = tuple(error.instance_path)
        problems.append(ParameterProblem(path, _message(error, judged, path)))
    return tuple(sorted(problems, key=lambda p: ([str(part) for part in p.path], p.message)))


def _unknown(template: str, name: str, own: Collection[str], given: Collection[str]) -> str:
    if name in given:
        return f"`{name}` is given by the draft itself; take it out of `parameters`"
    close = difflib.get_close_matches(name, sorted(own), n=1)
    hint = f"did you mean `{close[0]}`?" if close else f"inputs are {_listed(sorted(own))}"
    return f"template `{template}` has no input `{name}`; {hint}"


def _message(
    error: ValidationError, schema: Mapping[str, object], path: tuple[str | int, ...]
) -> str:
    name = "`" + ".".join(str(part) for part in path) + "`"
    rule = _at(schema, error.schema_path)
    about = _at(schema, error.schema_path[:-1])
    meaning = about.get("description", "") if isinstance(about, Mapping) else ""
    match str(error.schema_path[-1]):
        case "required":
            present = error.instance if isinstance(error.instance, Mapping) else {}
            missing = (
                [item for item in rule if item not in present] if isinstance(rule, list) else []
            )
            needed = next((m for m in missing if f'"{m}"' in error.message), missing[0])
            described = _at(about, ["properties", needed, "description"])
            return f"`{needed}` is missing" + (f": {described}" if described else "")
        case "type":
            return f"{name} is {_kind(error.instance)}, expected {rule}"
        case "enum":
            return f"{name} is {_shown(error.instance)}, expected {_listed(rule)}"
        case "pattern":
            return f"{name} is {_shown(error.instance)}, which does not fit: {meaning}"
        case "minLength" | "minItems" | "minimum":
            return f"{name} is too short or too small: at least {rule}"
        case "maxLength" | "maxItems" | "maximum":
            return f"{name} is too long or too large: at most {rule}"
        case "uniqueItems":
            return f"{name} names something twice"
        case _:
            return f"{name}: {error.message}"


def _at(value: object, path: Collection[str | int]) -> object:
    for part in path:
        if isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif isinstance(value, Mapping):
            value = value.get(part)
        else:
            return None
    return value


def _kind(value: object) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "text"}
    if value is None:
        return "empty"
    if isinstance(value, Mapping):
        return "a mapping"
    return kinds.get(type(value), "a list")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _listed(names: object) -> str:
    if not isinstance(names, (list, tuple)):
        return str(names)
    return ", ".join(f"`{name}`" for name in names)
