"""Checks responses against GitHub's OpenAPI description (`make setup-dev` fetches it)."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path

import jsonschema_rs

from worlds.github_server.state import Json

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTION = Path(os.environ.get("PIPELINE_TOOLS", ROOT / ".tools")) / "github" / "openapi.json"


@lru_cache(maxsize=1)
def read_description() -> Json:
    """GitHub's description, as set-up wrote it: every schema as plain JSON Schema."""
    found: Json = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    return found


def responses_of(method: str, template: str) -> Json | None:
    """Status → described response of one operation; None if there is no such operation."""
    operation = read_description()["paths"].get(template, {}).get(method.lower())
    return None if operation is None else operation["responses"]


@lru_cache(maxsize=256)
def _validator(method: str, template: str, status: str) -> jsonschema_rs.Validator | None:
    responses = responses_of(method, template) or {}
    described = responses.get(status)
    if described is None:
        return None
    schema = described.get("schema")
    if schema is None:
        return jsonschema_rs.validator_for(False)
    return jsonschema_rs.validator_for({**schema, "components": _needed_by(schema)})


def _needed_by(schema: Json) -> Json:
    """The components that a schema refers to, directly or through others."""
    all_schemas = read_description()["components"]["schemas"]
    needed: Json = {}
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            name = str(value.get("$ref", "")).rpartition("/")[2]
            if name and name not in needed:
                needed[name] = all_schemas[name]
                waiting.append(all_schemas[name])
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return {"schemas": needed}


def problem_of(method: str, template: str, status: int, body: object) -> str | None:
    """How a response violates GitHub's description; None if it does not."""
    if responses_of(method, template) is None:
        return f"GitHub has no {method} {template}"
    if status in (401, 429) or (status == 403 and _is_error(body)):
        return None if _is_error(body) else f"{status} without a message"
    if status in (500, 502, 503):
        return None  # a fault on demand; no operation describes it
    validator = _validator(method, template, str(status))
    if validator is None:
        if status == 404 and _is_error(body):
            return None  # not described everywhere, but possible everywhere
        return f"{method} {template} never answers {status}"
    if body is None:
        return None
    error = next(validator.iter_errors(body), None)
    return None if error is None else f"{method} {template} {status}: {error}"


def _is_error(body: object) -> bool:
    return isinstance(body, dict) and isinstance(body.get("message"), str)
