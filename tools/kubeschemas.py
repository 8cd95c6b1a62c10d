"""Prepares Kubernetes JSON schemas for kubeconform, from a wheel that contains them.

The wheel's schemas point into one 1.5 MB file of definitions by absolute reference, which
kubeconform cannot follow offline and would parse again for every kind. Here each kind becomes one
file with exactly the definitions it needs, under the name that kubeconform's default template
expects: `v1.34.0-standalone-strict/deployment-apps-v1.json`. Strict means that an object's unknown
fields are errors; the published strict schemas already say so.

Plain standard library: this runs before the project's virtual environment exists.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The newest release that every supported cluster already serves.
KUBERNETES_VERSION = "1.34.0"

# kubeconform is given this with `-schema-location`, below the folder of prepared schemas.
FOLDER = f"v{KUBERNETES_VERSION}-standalone-strict"

_SOURCE = f"kubernetes_validate/kubernetes-json-schema/v{KUBERNETES_VERSION}-local-strict/"
# The prefixes with which a kind and a definition refer to a definition.
_REFERENCES = ("/api/_definitions.json#/$defs/", "#/$defs/")


def read_schemas(wheel: Path) -> dict[str, dict[str, Any]]:
    """Self-contained schemas by file name, for every kind that an API server accepts.

    Raises KeyError if the wheel lacks this version, ValueError if a schema refers to another file.
    """
    with zipfile.ZipFile(wheel) as archive:
        definitions = json.loads(archive.read(_SOURCE + "_definitions.json"))["$defs"]
        schemas = {}
        for member in archive.namelist():
            name = member.removeprefix(_SOURCE)
            if member == name or name.startswith("_") or name == "all.json":
                continue
            schema = json.loads(archive.read(member))
            if _is_kind(schema):
                schemas[name] = render_schema(schema, definitions)
    return schemas


def render_schema(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema with every definition that it needs inside it, and no prose."""
    reached: dict[str, Any] = {}
    waiting = [schema]
    while waiting:
        for name in _references(waiting.pop()):
            if name not in reached:
                reached[name] = definitions[name]
                waiting.append(definitions[name])
    whole = {key: value for key, value in schema.items() if key not in ("$id", "id")}
    whole["$defs"] = {name: reached[name] for name in sorted(reached)}
    rendered: dict[str, Any] = _localised(whole)
    return rendered


def write_schemas(wheel: Path, target: Path) -> int:
    """The number of schema files written to `target`, which is replaced as a whole."""
    schemas = read_schemas(wheel)
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    folder = fresh / FOLDER
    folder.mkdir(parents=True)
    for name, schema in schemas.items():
        text = json.dumps(schema, separators=(",", ":"), sort_keys=True)
        (folder / name).write_text(text, encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    fresh.replace(target)
    return len(schemas)


def _is_kind(schema: dict[str, Any]) -> bool:
    properties = schema.get("properties", {})
    return all("enum" in properties.get(field, {}) for field in ("apiVersion", "kind"))


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str):
            yield _definition(reference)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _definition(reference: str) -> str:
    for prefix in _REFERENCES:
        if reference.startswith(prefix):
            return reference.removeprefix(prefix)
    raise ValueError(f"a schema refers outside its definitions: {reference}")


def _localised(node: Any) -> Any:
    """The node with references into the same file, without descriptions.

    A property may itself be called `description`; only strings beside keywords are prose.
    """
    if isinstance(node, dict):
        return {
            key: "#/$defs/" + _definition(value)
            if key == "$ref" and isinstance(value, str)
            else _localised(value)
            for key, value in node.items()
            if not (key == "description" and isinstance(value, str))
        }
    if isinstance(node, list):
        return [_localised(value) for value in node]
    return node
