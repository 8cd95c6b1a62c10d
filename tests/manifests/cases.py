"""Hostile manifests, each one change to an object of a real overlay; mutants of the allow-list."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from pipeline.releases.allowlist import (
    AllowedKind,
    AllowedValue,
    AllowList,
    Field,
    Fields,
    Keyed,
    Node,
)
from pipeline.releases.judge import Bound
from tests.support import custom_resources
from tests.support.bindings import Object, in_overlay

HERE = Path(__file__).resolve().parent
ABSENT = "(absent)"
_STEP = re.compile(r"\[([^\]]*)\]|([^.\[]+)")
# What the letters of the table stand for, by kind.
_PODS = {"CronJob": "spec.jobTemplate.spec.template.spec"}
_POD = "spec.template.spec"


@dataclass(frozen=True, slots=True)
class Hostile:
    """One change of an object, and the rule that refuses what comes of it."""

    kind: str
    path: str
    value: object
    rule: str

    def __str__(self) -> str:
        return f"{self.kind} {self.path} {self.value}"[:90]


def read_hostile() -> tuple[Hostile, ...]:
    """All hostile changes of the table."""
    table = yaml.safe_load((HERE / "hostile.yaml").read_text(encoding="utf-8"))
    return tuple(Hostile(kind, *entry) for kind, entries in table.items() for entry in entries)


def hostile_object(objects: Mapping[str, Object], case: Hostile) -> Object:
    """The object of the case's kind with its change."""
    made = copy.deepcopy(objects[case.kind])
    steps = _steps(case)
    last = steps[-1]
    node: Any = made
    for step, following in pairwise(steps):
        if isinstance(step, str):
            node = node.setdefault(step, [] if isinstance(following, int) else {})
        else:
            node = node[step]
    if last == -1:
        node.append(copy.deepcopy(case.value))
    elif case.value == ABSENT:
        del node[last]
    else:
        node[last] = copy.deepcopy(case.value)
    return made


def _steps(case: Hostile) -> list[str | int]:
    """The keys and indexes of a path; -1 is one item more."""
    pod = _PODS.get(case.kind, _POD)
    path = re.sub(r"^P\b", pod, case.path)
    path = re.sub(r"^C\b", f"{pod}.containers[0]", path)
    path = re.sub(r"^V\Z", f"{pod}.volumes[+]", path)
    steps: list[str | int] = []
    for inside, plain in _STEP.findall(path):
        if inside == "+":
            steps.append(-1)
        else:
            steps.append(int(inside) if inside.isdigit() else inside or plain)
    return steps


def objects_by_kind(built: Sequence[Object], bound: Bound) -> dict[str, Object]:
    """Kind → object: those of a built overlay, and of the kinds that its chart does not have."""
    found = {item["kind"]: item for item in built}
    template = found["Deployment"]["spec"]["template"]
    instance = bound.get("instance")
    service = {"selector": found["Deployment"]["spec"]["selector"], "template": template}
    once = copy.deepcopy(template)
    once["spec"]["restartPolicy"] = "Never"
    once["spec"].pop("topologySpreadConstraints")
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    labels = dict(found["Deployment"]["metadata"]["labels"])
    job = {"template": once, "backoffLimit": 3}
    more = [
        _object("apps/v1", "StatefulSet", f"{instance}", {
            **service,
            "serviceName": instance,
            "volumeClaimTemplates": [
                {"metadata": {"name": "data", "labels": labels}, "spec": claim}
            ],
        }),
        _object("batch/v1", "Job", f"{instance}-once", job),
        _object("batch/v1", "CronJob", f"{instance}-nightly", {
            "schedule": "0 3 * * *",
            "jobTemplate": {"spec": job},
        }),
        _object("v1", "PersistentVolumeClaim", f"{instance}-data", claim),
        *(_custom_resource(kind, bound) for kind in custom_resources.VALID),
    ]  # fmt: skip
    return {**found, **{item["kind"]: item for item in in_overlay(more, bound)}}


def _object(api: str, kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "labels": {}}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": copy.deepcopy(spec)}


def _custom_resource(kind: str, bound: Bound) -> Object:
    """An object of the platform's own kind, as one of this primitive."""
    spec = yaml.safe_dump(custom_resources.VALID[kind])
    spec = spec.replace(custom_resources.IMAGE, bound.get("image") or "")
    instance = str(bound.get("instance"))
    spec = re.sub(r"\borders-(?=[a-z])", f"{instance}-", spec)
    spec = re.sub(r"(?m)(serviceAccountName: )orders$", rf"\g<1>{instance}", spec)
    schema = str(bound.get("schema"))
    spec = re.sub(r"(?m)(schema: (projection_)?)orders$", rf"\g<1>{schema}", spec)
    return _object("ameide.io/v1", kind, instance, yaml.safe_load(spec))


# -- mutants ------------------------------------------------------------------------------

INSIDE = " > "
ANYTHING: Any = object()  # no node: nothing in it is looked at


class _Open(dict[str, Field]):
    """Fields beside which any other may stand; they equal none, so that the mutant is seen."""

    __hash__ = None  # type: ignore[assignment]  # as of a dict

    def __eq__(self, other: object) -> bool:
        return self is other

    def get(self, key: str, default: object = None) -> Any:
        return super().get(key) or Field(ANYTHING)


Change = Callable[[str, Node], Node]


def read_mutants(allowed: AllowList) -> Iterator[tuple[str, AllowList]]:
    """What is loosened, and the allow-list with it: every value, shape and required field."""
    for name in allowed.values:
        yield f"value {name}", _changed(allowed, _loosen_value(name))
    places = dict.fromkeys(_places(allowed))
    for place, required in places:
        if required:
            yield f"{place} (required)", _changed(allowed, _make_optional(place))
        else:
            yield f"no other fields in {place}", _changed(allowed, _open(place))


def _loosen_value(name: str) -> Change:
    def change(_: str, node: Node) -> Node:
        return ANYTHING if isinstance(node, AllowedValue) and node.name == name else node

    return change


def _make_optional(place: str) -> Change:
    record, _, name = place.rpartition(INSIDE)

    def change(path: str, node: Node) -> Node:
        if path != record or not isinstance(node, Fields):
            return node
        kept = replace(node.fields[name], required=False)
        return replace(node, fields={**node.fields, name: kept})

    return change


def _open(place: str) -> Change:
    def change(path: str, node: Node) -> Node:
        if path != place or not isinstance(node, Fields):
            return node
        return replace(node, fields=_Open(node.fields))

    return change


def _places(allowed: AllowList) -> Iterator[tuple[str, bool]]:
    """Each record, and each required field of one, once, by the shape or kind that it is of.

    Fields of the platform's own kinds are those of their definitions, which have tests of their
    own; metadata is the same in every kind, so it counts once.
    """
    for kind in allowed.kinds.values():
        if kind.kind == "Deployment" or not kind.api_version.startswith("ameide.io/"):
            yield from _places_below(kind.kind, kind.node)
    for name, shape in allowed.shapes.items():
        if not name.startswith(("kustomization", "platform labels")):
            yield from _places_below(name, shape)


def _places_below(path: str, node: Node) -> Iterator[tuple[str, bool]]:
    if not isinstance(node, Fields):
        return
    yield path, False
    for name, field in node.fields.items():
        if name in ("apiVersion", "kind", "metadata") and INSIDE not in path and path[0].isupper():
            continue
        if field.required:
            yield f"{path}{INSIDE}{name}", True
        if not (isinstance(field.node, Fields) and field.node.name):
            yield from _places_below(f"{path}{INSIDE}{name}", field.node)


def _changed(allowed: AllowList, change: Change) -> AllowList:
    kinds = {
        key: replace(kind, node=_mapped(kind.kind, kind.node, change))
        for key, kind in allowed.kinds.items()
    }
    assert all(isinstance(kind, AllowedKind) for kind in kinds.values())
    return replace(allowed, kinds=kinds)


def _mapped(path: str, node: Node, change: Change) -> Any:
    """The node with the change at every place in it; a shape begins a path of its own."""
    if isinstance(node, AllowedValue) and node.any_of:
        listed = tuple(_mapped(path, other, change) for other in node.any_of)
        node = ANYTHING if ANYTHING in listed else node
    if isinstance(node, Keyed):
        keys = _mapped(path, node.keys, change)
        values = _mapped(path, node.values, change)
        return ANYTHING if ANYTHING is keys else replace(node, values=values)
    if isinstance(node, Fields):
        own = node.name or path
        fields = {
            name: replace(field, node=_mapped(f"{own}{INSIDE}{name}", field.node, change))
            for name, field in node.fields.items()
        }
        return change(own, replace(node, fields=fields))
    return change(path, node) if isinstance(node, AllowedValue) else node
