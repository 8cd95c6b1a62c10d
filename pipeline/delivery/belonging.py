"""The draft and environment of an application, from all of its claims. Pure.

The claims are its source (an overlay's folder in a GitOps repository), its name, and its labels and
annotations. A place counts only if all of them agree: anybody who may write one object can make any
one claim.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline import names
from pipeline.models.draft_id import DraftId

PREFIX = "ameide.io/"
DRAFT_ANNOTATION = f"{PREFIX}draft"
_ID = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_DRAFT = re.compile(rf"({_ID})/({_ID})\Z")
# The namespaces that a tenant's code may run in (docs/model.md §4.1).
_NAMESPACE = re.compile(r"tenant-.+-(?:base|cust)\Z")


@dataclass(frozen=True, slots=True)
class Place:
    """A draft in an environment."""

    draft: DraftId
    environment: str

    @classmethod
    def of(cls, tenant: str, primitive: str, environment: str) -> Place:
        """The place of a tenant's primitive in an environment."""
        return cls(DraftId(f"{tenant}/{primitive}"), environment)

    def __str__(self) -> str:
        return f"{self.draft} in {self.environment}"


@dataclass(frozen=True, slots=True)
class Claims:
    """An application's claims on its place: each way that it uses → the place.

    None: that way is used but names no place. `is_ours`: it still looks like the pipeline's.
    """

    places: Mapping[str, Place | None]
    is_ours: bool

    @property
    def place(self) -> Place | None:
        """The place that all claims agree on; None without claims, or if they differ."""
        found = set(self.places.values())
        return next(iter(found)) if len(found) == 1 else None

    @property
    def is_ambiguous(self) -> bool:
        """Whether two claims differ."""
        return len(set(self.places.values())) > 1

    def __str__(self) -> str:
        return ", ".join(f"{way}: {place or 'no overlay'}" for way, place in self.places.items())


def claims_of(
    name: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    *,
    sources: Sequence[tuple[str, str]],
    namespace: str,
) -> Claims:
    """An application's claims on its place.

    `sources` are repositories, by address or name, and paths in them; `namespace` is the one of its
    objects.
    """
    places: dict[str, Place | None] = {}
    parts = names.parse_application(name)
    if parts is not None:
        places["name"] = Place.of(*parts)
    labelled = _place_of_labels(labels, annotations)
    if labelled is not None:
        places["labels"] = labelled
    overlays = [_place_of_source(*source) for source in sources]
    if any(overlays) or (places and sources):
        # If the application makes any other claim, its sources count as one too.
        places["source"] = overlays[0] if len(set(overlays)) == 1 else None
    marked = any(key.startswith(PREFIX) for key in (*labels, *annotations))
    return Claims(places, bool(places) or marked or bool(_NAMESPACE.match(namespace)))


def repository_of(address: str) -> str:
    """The name of the repository at an address: its last part, without `.git`."""
    return re.split(r"[/:]", address.rstrip("/"))[-1].removesuffix(".git")


def folder_of(path: str) -> str:
    """A path in the form of overlay folders: without leading `./` and trailing `/`."""
    return path.removeprefix("./").rstrip("/")


def _place_of_source(address: str, path: str) -> Place | None:
    parts = names.parse_overlay_folder(repository_of(address), folder_of(path))
    return Place.of(*parts) if parts else None


def _place_of_labels(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Place | None:
    environment = labels.get(f"{PREFIX}environment", "")
    draft = _DRAFT.match(annotations.get(DRAFT_ANNOTATION, ""))
    if draft and environment:
        return Place(DraftId(draft[0]), environment)
    return place_of_object(labels)


def place_of_object(labels: Mapping[str, str]) -> Place | None:
    """The draft and environment from the labels of every object in an overlay."""
    environment = labels.get(f"{PREFIX}environment", "")
    instance = labels.get(f"{PREFIX}primitive", "")
    tenant = labels.get(f"{PREFIX}tenant-id", "")
    if not (environment and instance):
        return None
    parts = instance.split("--")
    if len(parts) == 1:
        parts = [tenant or names.PLATFORM_TENANT, *parts]
    draft = "/".join(parts)
    return Place(DraftId(draft), environment) if _DRAFT.match(draft) else None
