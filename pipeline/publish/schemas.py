"""The published JSON Schemas: draft-07, which editors read, made from the models. Pure.

Pydantic gives schemas of 2020-12; the differences are rewritten here: `$defs`, tuples, and keywords
beside `$ref`, which draft-07 ignores. Source: JSON Schema draft-07.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import get_args

from pipeline.delivery.reports import Observations
from pipeline.jobs.work import DueWork, WorkEvidence
from pipeline.models.base import Model
from pipeline.models.facts import Fact
from pipeline.models.outputs import OUTPUTS
from pipeline.models.policy_cases import PolicyCases
from pipeline.models.status import DraftStatus
from pipeline.plan.effects import Plan
from pipeline.requests.kinds import KINDS

DRAFT_07 = "http://json-schema.org/draft-07/schema#"


def _kind_of(model: type[Model]) -> str:
    """The only value of a model's field `kind`."""
    return str(get_args(model.model_fields["kind"].annotation)[0])


def _stem_of(kind: str) -> str:
    """`DraftStatus` → `draft-status`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind).lower()


# Kind → its model: first the kinds that people write, then those that commands write.
_WRITTEN: tuple[type[Model], ...] = (
    *(Observations, Plan, DueWork, WorkEvidence, DraftStatus, Fact),
    *OUTPUTS,
)
_MODELS: dict[str, type[Model]] = {
    **{kind.name: kind.model for kind in KINDS},
    "PolicyCases": PolicyCases,
    **{_kind_of(model): model for model in _WRITTEN},
}
# Kind → the stem of its file `schemas/<stem>.schema.json`.
SCHEMAS: dict[str, str] = {kind: _stem_of(kind) for kind in _MODELS} | {
    kind.name: kind.schema_stem for kind in KINDS
}


def schema_of(kind: str) -> dict[str, object]:
    """The draft-07 schema of a kind. Raises KeyError for a kind that is not in `SCHEMAS`."""
    found = _converted(_MODELS[kind].model_json_schema(by_alias=True))
    if not isinstance(found, dict):
        raise TypeError(f"the schema of {kind} is not a mapping")
    found.pop("$schema", None)
    return {"$schema": DRAFT_07, **found, "title": kind}


def render_schema(schema: Mapping[str, object]) -> str:
    """A schema as the text of its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _field(node: object) -> object:
    """A field's schema, without the title, which only repeats the field's name."""
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
                # The keys here are field names, not keywords.
                found[key] = {name: _field(inner) for name, inner in value.items()}
            case "$ref" if isinstance(value, str):
                found["$ref"] = value.replace("#/$defs/", "#/definitions/")
            case "prefixItems":
                found["items"] = _converted(value)
                found["additionalItems"] = False
            case "discriminator":
                continue  # a keyword of OpenAPI; the branches differ by a const
            case "default" | "const" | "enum" | "examples":
                found[key] = value
            case _:
                found[key] = _converted(value)
    if "$ref" in found and len(found) > 1:
        reference = found.pop("$ref")
        return {"allOf": [{"$ref": reference}], **found}
    return found
