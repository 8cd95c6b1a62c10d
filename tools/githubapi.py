"""Extracts GitHub's OpenAPI description from its npm package, for the tests' own GitHub.

Only one file is used, and of it only what a validator of responses needs; nothing is installed.
Schemas are converted to JSON Schema, since OpenAPI 3.0 expresses `nullable` differently.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

PACKAGE = "@octokit/openapi@23.0.2"
SHA512 = "pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg=="
_FILE = "package/generated/api.github.com.json"
# Keywords that a validator does not read.
_DROPPED = frozenset({"description", "example", "examples", "externalDocs", "title", "xml"})


def write_description(tarball: Path, target: Path) -> int:
    """The number of operations written to `target`. Raises ValueError for another package."""
    content = tarball.read_bytes()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != SHA512:
        raise ValueError(f"{tarball.name} is not {PACKAGE}")
    with tarfile.open(tarball) as archive:
        member = archive.extractfile(_FILE)
        if member is None:
            raise ValueError(f"{tarball.name} has no {_FILE}")
        description = json.load(member)
    components = description["components"]
    paths = {
        path: {
            method: {"responses": _responses(operation["responses"], components["responses"])}
            for method, operation in operations.items()
        }
        for path, operations in description["paths"].items()
    }
    schemas = {name: _plain(schema) for name, schema in components["schemas"].items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(".new")
    written = {"paths": paths, "components": {"schemas": schemas}}
    fresh.write_text(json.dumps(written, separators=(",", ":")), encoding="utf-8")
    fresh.replace(target)
    return sum(map(len, paths.values()))


def _responses(responses: Any, shared: Any) -> Any:
    found = {}
    for status, response in responses.items():
        if "$ref" in response:
            response = shared[response["$ref"].rpartition("/")[2]]
        media = response.get("content", {})
        schema = media.get("application/json", next(iter(media.values()), {})).get("schema")
        found[status] = {} if schema is None else {"schema": _plain(schema)}
    return found


def _plain(value: Any) -> Any:
    """A schema as plain JSON Schema. Property names are never taken for keywords."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {
        key: {name: _plain(item) for name, item in inner.items()}
        if key == "properties"
        else inner
        if key in ("enum", "required", "default", "const")
        else _plain(inner)
        for key, inner in value.items()
        if key not in _DROPPED and not key.startswith("x-")
    }
    if not made.pop("nullable", False):
        return made
    if "enum" in made and None not in made["enum"]:
        made["enum"] = [*made["enum"], None]
    if isinstance(made.get("type"), str):
        return {**made, "type": [made["type"], "null"]}
    return {"anyOf": [made, {"type": "null"}]}
