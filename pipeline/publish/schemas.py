"""The published JSON Schemas: draft-07, made from the models, as editors read them. Pure.

Pydantic gives schemas of 2020-12; what differs in draft-07 is rewritten here: `$defs`, tuples,
and keywords beside `$ref`, which draft-07 ignores. Source: JSON Schema draft-07.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipeline.jobs.work import DueWork, Evidence
from pipeline.models.base import Model
from pipeline.models.facts import Fact
from pipeline.models.outputs import OUTPUT_KINDS, OUTPUT_STEMS
from pipeline.models.requests import REQUEST_KINDS, SCHEMA_STEMS
from pipeline.models.status import DraftStatus
from pipeline.plan.effects import Plan
from pipeline.requests.observations import Observations

DRAFT_07 = "http://json-schema.org/draft-07/schema#"
# Kind → the stem of its file `schemas/<stem>.schema.json`: what people write, then what we write.
SCHEMAS: dict[str, str] = {
    **SCHEMA_STEMS,
    "Observations": "observations",
    "Plan": "plan",
    "DueWork": "due-work",
    "Evidence": "evidence",
    "DraftStatus": "draft-status",
    "Fact": "fact",
    **OUTPUT_STEMS,
}
_MODELS: dict[str, type[Model]] = {
    **REQUEST_KINDS,
    "Observations": Observations,
    "Plan": Plan,
    "DueWork": DueWork,
    "Evidence": Evidence,
    "DraftStatus": DraftStatus,
    "Fact": Fact,
    **OUTPUT_KINDS,
}


def schema_of(kind: str) -> dict[str, object]:
    """The draft-07 schema of a kind. Raises KeyError for a kind that is not in `SCHEMAS`."""
    found = _converted(_MODELS[kind].model_json_schema(by_alias=True))
    if not isinstance(found, dict):
        raise TypeError(f"the schema of {kind} is no mapping")
    found.pop("$schema", None)
    return {"$schema": DRAFT_07, **found, "title": kind}


def render_schema(schema: Mapping[str, object]) -> str:
    """A schema as the text of its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _field(node: object) -> object:
    """A field's schema, without the title that only repeats the field's name."""
    if isinstance(node, dict):
        node = {key: value for key, value in node.items() if key != "title"}
    return _converted(node)


def _converted(node: object) -> object:
    if isinstance(node, list):
        return [_converted(item) for item in node]
    if not isinstance(node, dict):
        return node
    found: dict[str, object] = {}
    for key, value in node.items():
        match key:
            case "$defs" if isinstance(value, dict):
                found["definitions"] = {name: _converted(inner) for name, inner in value.items()}
            case "properties" if isinstance(value, dict):
                # The keys in here are names of fields and not keywords.
                found[key] = {name: _field(inner) for name, inner in value.items()}
            case "$ref" if isinstance(value, str):
                found["$ref"] = value.replace("#/$defs/", "#/definitions/")
            case "prefixItems":
                found["items"] = _converted(value)
                found["additionalItems"] = False
            case "discriminator":
                continue  # a keyword of OpenAPI; the branches tell themselves apart by a const
            case "default" | "const" | "enum" | "examples":
                found[key] = value
            case _:
                found[key] = _converted(value)
    if "$ref" in found and len(found) > 1:
        reference = found.pop("$ref")
        return {"allOf": [{"$ref": reference}], **found}
    return found
