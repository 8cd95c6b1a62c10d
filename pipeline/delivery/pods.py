"""Pods in addition to Flux's objects: which images run, and whether they are ready. Pure.

Flux reports neither; `kubectl get kustomizations,helmreleases,pods -A -o json` has both. A pod
belongs to the draft in its labels (`pipeline.releases.overlays.labels_of`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.delivery.belonging import Place, place_of_object
from pipeline.delivery.objects import Object
from pipeline.delivery.parts import Condition, ManifestPart, ObjectMetadata, condition

API_VERSION, KIND = "v1", "Pod"
_ENDED = ("Succeeded", "Failed")


class _Container(ManifestPart):
    image: str


class _PodSpec(ManifestPart):
    containers: list[_Container]
    initContainers: list[_Container] | None = None  # noqa: N815 # Kubernetes' name


class _PodMetadata(ObjectMetadata):
    deletionTimestamp: str | None = None  # noqa: N815 # Kubernetes' name


class _PodStatus(ManifestPart):
    phase: str | None = None
    conditions: list[Condition] | None = None


class _Pod(ManifestPart):
    metadata: _PodMetadata
    spec: _PodSpec
    status: _PodStatus = _PodStatus()


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of one draft in one environment."""

    images: tuple[str, ...]
    unready: tuple[str, ...]  # names


def pod_of(item: Object) -> tuple[Place | None, Pods]:
    """A pod's place, and what it runs. Raises ValidationError for an object of another form."""
    pod = _Pod.model_validate(item)
    place = place_of_object(pod.metadata.labels or {})
    if pod.status.phase in _ENDED:
        return place, Pods((), ())
    containers = (*pod.spec.containers, *(pod.spec.initContainers or ()))
    ready = condition(pod.status.conditions, "Ready")
    counts = pod.metadata.deletionTimestamp is None  # a terminating pod need not be ready
    unready = counts and not (ready and ready.status == "True")
    names = (pod.metadata.full_name,) if unready else ()
    return place, Pods(tuple(c.image for c in containers), names)


def by_place(pods: Iterable[tuple[Place | None, Pods]]) -> Mapping[Place, Pods]:
    """Place → all its pods; pods without a place are ignored."""
    found: dict[Place, Pods] = {}
    for place, pod in pods:
        if place is not None:
            before = found.get(place, Pods((), ()))
            found[place] = Pods(before.images + pod.images, before.unready + pod.unready)
    return found
