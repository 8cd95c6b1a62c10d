"""The allow-list of manifests, read from the data in `allowed/`: kinds, their fields, values. Pure.

Anything not listed is refused, so a new field of Kubernetes is refused until somebody adds it. The
data names every field once; `allowed/values.yaml` and `allowed/shapes.yaml` explain the format.
Fields of the platform's own kinds come from their definitions (`pipeline.crds`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files
from typing import cast

from pipeline.crds import GROUP, KINDS, VERSION
from pipeline.crds.kinds import Kind
from pipeline.documents import parse_document

_REQUIRED = " (required)"
VALUE_RULE, FIELD_RULE = "manifest-value", "manifest-field"


@dataclass(frozen=True, slots=True)
class AllowedValue:
    """The allowed values of a field. Exactly one condition is set; `any_of` holds other values."""

    name: str
    says: str
    refused_as: str = ""
    equals: object = None
    one_of: tuple[object, ...] | str = ()
    integer: tuple[int, int] | None = None
    text: str = ""
    longest: int = 0
    boolean: bool = False
    any_of: tuple[AllowedValue, ...] = ()


@dataclass(frozen=True, slots=True)
class Keyed:
    """A map with freely chosen keys."""

    keys: AllowedValue
    values: Node


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with these fields and no others; `name` is the shape's, if it is one."""

    fields: Mapping[str, Field]
    name: str = ""
    refused_as: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its allowed value, or that of each item of its list."""

    node: Node
    required: bool = False
    many: bool = False


Node = AllowedValue | Keyed | Fields


@dataclass(frozen=True, slots=True)
class AllowedKind:
    """One kind that an overlay may contain."""

    api_version: str
    kind: str
    about: str
    node: Fields
    from_platform: bool = False


@dataclass(frozen=True, slots=True)
class AllowList:
    """All that an overlay may contain: kinds by apiVersion and kind, and their shared parts."""

    kinds: Mapping[tuple[str, str], AllowedKind]
    values: Mapping[str, AllowedValue] = field(default_factory=dict)
    shapes: Mapping[str, Fields] = field(default_factory=dict)


# No parameter: one value per process.
@lru_cache(maxsize=1)
def load_allowed() -> AllowList:
    """The allow-list. Raises ValueError, naming the entry, for malformed data."""
    entries = _read("values.yaml")
    values = {name: _value(name, entry) for name, entry in entries.items()}
    for name, entry in entries.items():
        listed = cast("list[str]", entry.get("any_of", []))
        values[name] = replace(values[name], any_of=tuple(values[other] for other in listed))
    reader = _Reader(values, _read("shapes.yaml"))
    kinds = [reader.kind(kind, entry) for kind, entry in _read("kinds.yaml").items()]
    bound = _read("definitions.yaml")
    kinds += [reader.definition(kind, {**bound["every"], **bound[kind.kind]}) for kind in KINDS]
    shapes = {name: reader.shape(name) for name in _read("shapes.yaml")}
    return AllowList({(k.api_version, k.kind): k for k in kinds}, values, shapes)


# The files of `allowed/`; each has one or two readers.
@lru_cache(maxsize=8)
def _read(name: str) -> dict[str, dict[str, object]]:
    content = files("pipeline.releases").joinpath("allowed", name).read_bytes()
    document = parse_document(name, content)
    if not document.ok:
        raise ValueError(f"{name}: {document.findings[0].message}")
    return cast("dict[str, dict[str, object]]", document.value)


def _value(name: str, entry: Mapping[str, object]) -> AllowedValue:
    """The value of an entry; `any_of` is filled in later, once all values are known."""
    conditions = set(entry) - {"says", "refused_as"}
    known = {"equals", "one_of", "integer", "text", "boolean", "any_of"}
    if len(conditions) != 1 or not conditions <= known:
        raise ValueError(f"values.yaml: `{name}` needs one of {', '.join(sorted(known))}")
    one_of = entry.get("one_of", ())
    choices = tuple(one_of) if isinstance(one_of, list) else str(one_of or "")
    says = entry.get("says") or ", ".join(f"`{choice}`" for choice in choices)
    integer = entry.get("integer")
    text = str(entry.get("text", ""))
    re.compile(text)
    return AllowedValue(
        name=name,
        says=f"one of {choices}" if isinstance(choices, str) and choices else str(says),
        refused_as=str(entry.get("refused_as", "")),
        equals=_frozen(entry.get("equals")),
        one_of=choices,
        integer=cast("tuple[int, int]", tuple(integer)) if isinstance(integer, list) else None,
        text=text,
        boolean=bool(entry.get("boolean")),
    )


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class _Reader:
    """Reads fields, and resolves the names of values and shapes in them."""

    def __init__(
        self, values: Mapping[str, AllowedValue], shapes: Mapping[str, Mapping[str, object]]
    ):
        self._values = values
        self._entries = shapes
        self._shapes: dict[str, Fields] = {}
        if both := set(values) & set(shapes):
            raise ValueError(f"a value and a shape are both called `{min(both)}`")

    def shape(self, name: str) -> Fields:
        """The shape with this name."""
        if name not in self._shapes:
            entry = self._entries[name]
            found = self._fields(entry["fields"])
            refused_as = str(entry.get("refused_as", ""))
            self._shapes[name] = replace(found, name=name, refused_as=refused_as)
        return self._shapes[name]

    def kind(self, kind: str, entry: Mapping[str, object]) -> AllowedKind:
        """The kind of an entry of `kinds.yaml`."""
        fields = self._fields(entry["fields"]).fields
        api = str(entry["apiVersion"])
        return AllowedKind(
            api_version=api,
            kind=kind,
            about=str(entry["about"]),
            node=self._whole(api, kind, str(entry["name"]), fields),
            from_platform=entry.get("from") == "platform",
        )

    def definition(self, kind: Kind, bound: Mapping[str, object]) -> AllowedKind:
        """One of the platform's own kinds, with its fields bound to these values."""
        spec = _node_of_schema(kind.spec)
        for path, name in bound.items():
            spec = _put(spec, str(path).split("."), self._values[str(name)])
        api = f"{GROUP}/{VERSION}"
        fields = {"spec": Field(spec, required=True)}
        return AllowedKind(
            api, kind.kind, f"{kind.description}.", self._whole(api, kind.kind, "own name", fields)
        )

    def _whole(self, api: str, kind: str, name: str, fields: Mapping[str, Field]) -> Fields:
        metadata = Fields(
            {
                "name": Field(self._values[name], required=True),
                "namespace": Field(self._values["own namespace"], required=True),
                "labels": Field(self.shape("labels"), required=True),
                "annotations": Field(self.shape("annotations")),
            }
        )
        fixed = {
            "apiVersion": Field(AllowedValue("", f"`{api}`", equals=api), required=True),
            "kind": Field(AllowedValue("", f"`{kind}`", equals=kind), required=True),
            "metadata": Field(metadata, required=True),
        }
        return Fields({**fixed, **fields})

    def _fields(self, entries: object) -> Fields:
        if not isinstance(entries, Mapping):
            raise ValueError(f"not a mapping of fields: {entries!r}")
        found = {}
        for key, entry in entries.items():
            name = str(key).removesuffix(_REQUIRED)
            many = name.endswith("[]")
            found[name.removesuffix("[]")] = Field(
                self._node(entry), required=str(key).endswith(_REQUIRED), many=many
            )
        return Fields(found)

    def _node(self, entry: object) -> Node:
        if isinstance(entry, str):
            if entry in self._values:
                return self._values[entry]
            if entry in self._entries:
                return self.shape(entry)
            raise ValueError(f"`{entry}` is neither a value nor a shape")
        assert isinstance(entry, Mapping)
        if set(entry) == {"keys", "values"}:
            keys = self._values[str(entry["keys"])]
            return Keyed(keys, self._node(entry["values"]))
        if set(entry) == {"one_of"}:
            return _value("", entry)
        return self._fields(entry)


def _node_of_schema(schema: Mapping[str, object]) -> Node:
    """The node for a structural schema of `pipeline.crds`, without its CEL rules."""
    properties, more = schema.get("properties"), schema.get("additionalProperties")
    if isinstance(properties, Mapping):
        required = cast("list[str]", schema.get("required", []))
        return Fields({n: _field_of_schema(s, n in required) for n, s in properties.items()})
    if isinstance(more, Mapping):
        keys = AllowedValue("", "a name", text=r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,252}")
        return Keyed(keys, _node_of_schema(more))
    if choices := cast("list[object]", schema.get("enum", [])):
        return AllowedValue("", ", ".join(f"`{c}`" for c in choices), one_of=tuple(choices))
    match schema.get("type"):
        case "integer":
            least, most = cast("int", schema["minimum"]), cast("int", schema["maximum"])
            return AllowedValue("", f"{least} to {most}", integer=(least, most))
        case "boolean":
            return AllowedValue("", "`true` or `false`", boolean=True)
        case "string":
            longest, pattern = cast("int", schema["maxLength"]), str(schema.get("pattern", ""))
            says = f"text that matches `{pattern}`, of at most" if pattern else "text of at most"
            anything = "(?s).+" if schema.get("minLength") else "(?s).*"
            return AllowedValue(
                "", f"{says} {longest} characters", text=pattern or anything, longest=longest
            )
    raise ValueError(f"no node for the schema {schema!r}")


def _field_of_schema(schema: Mapping[str, object], required: bool) -> Field:
    items = schema.get("items")
    if isinstance(items, Mapping):
        return Field(_node_of_schema(items), many=True)
    return Field(_node_of_schema(schema), required=required)


def _put(node: Node, path: list[str], value: AllowedValue) -> Node:
    """The node with the value set at a path of fields; `[]` follows the name of a list."""
    if not path:
        return value
    assert isinstance(node, Fields)
    name = path[0].removesuffix("[]")
    there = node.fields[name]
    changed = replace(there, node=_put(there.node, path[1:], value))
    return replace(node, fields={**node.fields, name: changed})
