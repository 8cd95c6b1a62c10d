"""What tests bind the words of the allow-list to, and objects as an overlay makes them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline.releases.judge import Bound

NAMESPACE = "tenant-acme-dev-cust"
IMAGE = "registry.example.com/ameide/tenant-acme/order-router@sha256:" + "ab" * 32
Object = dict[str, Any]


def bound_of(
    instance: str = "order-router",
    *,
    primitive: str = "",
    tenant: str = "acme",
    namespace: str = NAMESPACE,
    image: str = IMAGE,
    **labels: str,
) -> Bound:
    """The bound words of a primitive in dev; `labels` are further ones of `ameide.io/`."""
    id = primitive or instance
    shown = {
        "environment": "dev",
        "primitive": instance,
        "tenant-kind": "shared",
        "tenant-id": tenant,
        "tier": "backend",
        "cost-centre": "CC-1042",
        **labels,
    }
    return Bound.of(
        {
            "instance": instance,
            "primitive": id,
            "tenant": tenant,
            "schema": id.replace("-", "_"),
            "namespace": namespace,
            "image": image,
            "namespaces": "gateway,kube-system,postgres",
            "service types": "ClusterIP",
            **{f"label ameide.io/{name}": value for name, value in shown.items()},
        }
    )


def in_overlay(items: Iterable[Mapping[str, Any]], bound: Bound) -> list[Object]:
    """The objects of a base with the namespace and labels that kustomize adds."""
    labels = {
        word.removeprefix("label "): value
        for word, value in bound.words
        if word.startswith("label ")
    }
    made = []
    for item in items:
        built = copy.deepcopy(dict(item))
        built["metadata"]["namespace"] = bound.get("namespace")
        for metadata in _labelled(built):
            metadata.setdefault("labels", {}).update(labels)
        made.append(built)
    return made


def _labelled(item: Object) -> Iterator[Object]:
    yield item["metadata"]
    spec = item.get("spec") or {}
    for template in (spec.get("template"), spec.get("jobTemplate")):
        if template:
            yield template.setdefault("metadata", {})
            yield from _labelled({"metadata": {}, "spec": template["spec"]})
