"""Building blocks of structural OpenAPI v3 schemas, as an API server accepts them. Pure.

Every text, list and map has a bound: without one the API server cannot estimate the cost of a CEL
rule, and refuses the definition. Sources: Kubernetes "Extend the Kubernetes API with
CustomResourceDefinitions" (structural schemas) and "Common Expression Language in Kubernetes".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Schema = dict[str, object]

IDENTIFIER = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
DNS_LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_QUANTITY = r"^(0\.[0-9]*[1-9][0-9]*|[1-9][0-9]*(\.[0-9]+)?)(m|k|[KMG]i?)?$"
_IMAGE = r"^[a-z0-9][A-Za-z0-9.:_/-]*@sha256:[0-9a-f]{64}$"
_SEMANTIC = r"v?[0-9]+\\.[0-9]+\\.[0-9]+(-[0-9A-Za-z.-]+)?"


def text(
    description: str,
    *,
    pattern: str = "",
    longest: int = 253,
    choices: Sequence[str] = (),
    default: str | None = None,
) -> Schema:
    """A string, never empty; with `choices`, one of them."""
    schema: Schema = {"type": "string", "description": description}
    if choices:
        schema["enum"] = list(choices)
    else:
        schema |= {"minLength": 1, "maxLength": longest}
    if pattern:
        schema["pattern"] = pattern
    return schema if default is None else {**schema, "default": default}


def whole(description: str, least: int, most: int, *, default: int | None = None) -> Schema:
    """An integer within bounds."""
    schema: Schema = {
        "type": "integer",
        "format": "int32",
        "description": description,
        "minimum": least,
        "maximum": most,
    }
    return schema if default is None else {**schema, "default": default}


def flag(description: str, *, default: bool) -> Schema:
    """A boolean."""
    return {"type": "boolean", "description": description, "default": default}


def record(
    description: str,
    properties: Mapping[str, Schema],
    *,
    required: Sequence[str] = (),
    rules: Sequence[Schema] = (),
    default: Mapping[str, object] | None = None,
) -> Schema:
    """An object with these properties and no others."""
    schema: Schema = {"type": "object", "description": description}
    if required:
        schema["required"] = list(required)
    schema["properties"] = dict(properties)
    if rules:
        schema["x-kubernetes-validations"] = list(rules)
    return schema if default is None else {**schema, "default": dict(default)}


def names(description: str, *, pattern: str = IDENTIFIER, longest: int = 63) -> Schema:
    """A set of names: no duplicates, and the order has no meaning."""
    return {
        "type": "array",
        "description": description,
        "maxItems": 100,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "minLength": 1, "maxLength": longest, "pattern": pattern},
    }


def records(description: str, item: Schema, *, keys: Sequence[str] = (), most: int = 50) -> Schema:
    """A list of objects; with `keys`, each combination of their values occurs once."""
    schema: Schema = {"type": "array", "description": description, "maxItems": most}
    if keys:
        schema |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}
    else:
        schema["x-kubernetes-list-type"] = "atomic"
    return {**schema, "items": item}


def mapping(description: str, value: Schema, *, most: int = 100) -> Schema:
    """A map from names to values of one kind."""
    return {
        "type": "object",
        "description": description,
        "maxProperties": most,
        "additionalProperties": value,
    }


def rule(expression: str, message: str) -> Schema:
    """A CEL rule that an API server evaluates on `self`, and on `oldSelf` if it names that."""
    return {"rule": expression, "message": message}


def image(description: str) -> Schema:
    """A reference by digest; an additional tag only if it cannot move.

    The pattern applies wherever the schema is read; the rule only with CEL.
    """
    tag = rf"self.matches(':({_SEMANTIC}|[0-9a-f]{{40}})@')"
    return {
        **text(description, pattern=_IMAGE, longest=512),
        "x-kubernetes-validations": [
            rule(
                f"!self.matches('^[^@]*/[^/@]*:[^/@]*@') || {tag}",
                "a tag beside the digest is a semantic version or a commit id",
            )
        ],
    }


def quantities(description: str) -> Schema:
    """Amounts of a container's resources."""
    return record(
        description,
        {
            name: text(f"Amount of {name}", pattern=_QUANTITY, longest=20)
            for name in ("cpu", "memory", "ephemeral-storage")
        },
    )


def strict(schema: Schema) -> Schema:
    """The same schema as plain JSON Schema that refuses unknown fields, at any depth."""
    plain = {
        key: value
        for key, value in schema.items()
        if not key.startswith("x-kubernetes-") and key != "description"
    }
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        plain["properties"] = {name: strict(inner) for name, inner in properties.items()}
        plain["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        inner = plain.get(key)
        if isinstance(inner, Mapping):
            plain[key] = strict(dict(inner))
    return plain
