"""The published schemas: draft-07, in step with the models, and useful to editors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import pytest

from pipeline.documents import parse_document
from pipeline.publish.schemas import DRAFT_07, SCHEMAS, render_schema, schema_of
from pipeline.requests.kinds import REQUEST_KINDS, request_path
from pipeline.requests.layout import REQUEST_ROOTS

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = [
    path.relative_to(ROOT).as_posix()
    for root in REQUEST_ROOTS
    for path in sorted((ROOT / root).rglob("*.yaml"))
]


def nodes(value: object) -> Iterator[dict[str, object]]:
    """Every mapping in a schema."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_schema_is_valid_draft_07(kind: str) -> None:
    schema = schema_of(kind)
    assert schema["$schema"] == DRAFT_07
    assert (schema["title"], schema["type"]) == (kind, "object")
    assert schema["description"]
    assert "$id" not in schema
    jsonschema_rs.meta.validate(schema)
    jsonschema_rs.Draft7Validator(schema)
    for node in nodes(schema):
        newer = {"$defs", "prefixItems", "discriminator", "unevaluatedProperties"} & set(node)
        assert not newer
        # Draft-07 ignores what stands beside a reference.
        assert "$ref" not in node or len(node) == 1


@pytest.mark.parametrize("kind", SCHEMAS)
def test_unknown_fields_are_refused(kind: str) -> None:
    properties = schema_of(kind)["properties"]
    assert isinstance(properties, dict)
    assert properties["kind"] == {**properties["kind"], "const": kind}
    assert schema_of(kind)["additionalProperties"] is False


def test_there_is_exactly_one_file_per_kind() -> None:
    files = {path.name for path in (ROOT / "schemas").iterdir()}
    assert files == {f"{stem}.schema.json" for stem in SCHEMAS.values()}


@pytest.mark.parametrize("path", SAMPLES)
def test_samples_are_valid_and_name_their_schema(path: str) -> None:
    meaning = request_path(path)
    assert meaning is not None
    content = (ROOT / path).read_bytes()
    value = parse_document(path, content).value
    validator = jsonschema_rs.Draft7Validator(schema_of(meaning.kind))
    assert [e.message for e in validator.iter_errors(value)] == []
    assert isinstance(value, dict)
    assert not validator.is_valid({**value, "surprise": 1})
    assert not validator.is_valid({**value, "kind": "Surprise"})
    header = content.decode().splitlines()[0]
    named = header.removeprefix("# yaml-language-server: $schema=")
    stem = REQUEST_KINDS[meaning.kind].schema_stem
    whole = (ROOT / path).parent / named
    assert whole.resolve() == ROOT / "schemas" / f"{stem}.schema.json"


def test_tuples_become_fixed_lists() -> None:
    validator = jsonschema_rs.Draft7Validator(schema_of("Plan"))
    waiting = {"draft": "a/b", "request": "x", "reasons": [["code", "message"]]}
    plan = {
        "kind": "Plan",
        "tool_version": "1",
        "control_commit": "0" * 40,
        "made_at": "2026-11-02T09:00:00Z",
        "tenants": [{"tenant": "a", "state_head": None, "waiting": [waiting]}],
    }
    assert validator.is_valid(plan)
    waiting["reasons"] = [["code", "message", "more"]]
    assert not validator.is_valid(plan)


def test_the_schema_text_is_readable_and_repeatable() -> None:
    text = render_schema(schema_of("PrimitiveImplementationDraft"))
    assert "§" in text and text.endswith("}\n")
    assert json.loads(text) == schema_of("PrimitiveImplementationDraft")
