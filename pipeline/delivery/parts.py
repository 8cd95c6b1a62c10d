"""Shared parts of several kinds of object: lenient models, images, times and messages. Pure.

Objects made by others keep fields that are not read here; fields that are read must have their type
or the object is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pipeline.characters import visible
from pipeline.delivery.belonging import Claims, Place
from pipeline.delivery.rules import (
    APPLICATION_AMBIGUOUS,
    APPLICATION_UNPLACED,
    REPORT_OBJECT_INCOMPLETE,
)
from pipeline.diagnostics import Finding, Location
from pipeline.models.base import CommitId, ImageDigest, Moment, first_problem
from pipeline.models.evidence import MOST_IMAGES, Observation

MOST_CHARACTERS = 300  # per message
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_DIGESTED = re.compile(r".+@(sha256:[0-9a-f]{64})\Z", re.DOTALL)
_MOMENT = TypeAdapter(Moment)


class ManifestPart(BaseModel):
    """A part of an object made by others: unread fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class ObjectMetadata(ManifestPart):
    """The metadata of an object."""

    name: str
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    generation: int | None = None

    @property
    def full_name(self) -> str:
        """The namespace and name."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Condition(ManifestPart):
    """One entry of `status.conditions`, in Kubernetes' common form."""

    type: str
    status: str
    reason: str | None = None
    message: str | None = None
    lastTransitionTime: str | None = None  # noqa: N815 # Kubernetes' name
    observedGeneration: int | None = None  # noqa: N815 # Kubernetes' name


def condition(conditions: Iterable[Condition] | None, type: str) -> Condition | None:
    """The condition with this type; None if it is missing or occurs twice."""
    found = [c for c in conditions or () if c.type == type]
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Seen:
    """One application as its tool reports it, before its draft is known.

    `claims` are its claims on a place; `images` are all that run in it, None if the tool reports
    none.
    """

    label: str  # kind and full name
    claims: Claims
    observation: Observation
    images: tuple[str, ...] | None = None


def location_of(file: str, label: str) -> Location:
    """The location of an object, without a line, since nobody wrote it by hand."""
    return Location(f"{file}#{visible(label)}")


def incomplete(file: str, label: str, error: ValidationError) -> Finding:
    """The finding for an object without the form of its kind."""
    message = visible(first_problem(error))[:MOST_CHARACTERS]
    return REPORT_OBJECT_INCOMPLETE.finding(message, location_of(file, label))


def told(*texts: str | None) -> str:
    """A tool's text on one line, cut to size, with nothing that could control a terminal."""
    text = "; ".join(" ".join(t.split()) for t in texts if t)
    return visible(text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…")


def moment(text: str | None) -> Moment | None:
    """A moment from Kubernetes' form of times; None for any other text."""
    try:
        return _MOMENT.validate_python(text) if text else None
    except ValidationError:
        return None


def newest(*moments: Moment | None) -> Moment | None:
    """The latest of the known moments."""
    return max((m for m in moments if m), default=None)


def commit(text: str) -> CommitId | None:
    """A full commit id; None for a tag, a branch or a chart's version."""
    return CommitId(text) if _COMMIT.match(text) else None


def with_images(seen: Observation, images: Iterable[str], place: Place) -> Observation:
    """The observation with the running images of the primitive itself, from any registry.

    Images from other repositories belong to the cluster, such as sidecars.
    """
    own = f"/tenant-{place.draft.tenant}/{place.draft.primitive}"
    mine = sorted({image for image in images if _repository(image).endswith(own)})
    digests = sorted({found[1] for image in mine if (found := _DIGESTED.match(image))})
    if not mine:
        return seen.model_copy(
            update={
                "health": "Unknown",
                "message": told(f"nothing of {own[1:]} runs", seen.message),
            }
        )
    if len(digests) == 1 and all(_DIGESTED.match(image) for image in mine):
        return seen.model_copy(update={"digest": ImageDigest(digests[0])})
    return seen.model_copy(update={"images": tuple(map(told, mine[:MOST_IMAGES]))})


def _repository(image: str) -> str:
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def placed(
    file: str, seen: Iterable[Seen]
) -> tuple[tuple[Observation, ...], tuple[Finding, ...], int]:
    """Observations of drafts, findings about applications, and the number of foreign ones.

    Two applications with the same place give no observation of it; one that looks like the
    pipeline's but has no place gives an observation without a draft.
    """
    found: dict[Place, list[Seen]] = {}
    strangers: list[Observation] = []
    findings: list[Finding] = []
    foreign = 0
    for item in seen:
        place, at = item.claims.place, location_of(file, item.label)
        if place is not None:
            found.setdefault(place, []).append(item)
        elif item.claims.is_ambiguous:
            findings.append(APPLICATION_AMBIGUOUS.finding(told(str(item.claims)), at))
        elif item.claims.is_ours:
            findings.append(APPLICATION_UNPLACED.finding("it runs no overlay", at))
            strangers.append(item.observation)
        else:
            foreign += 1
    observations = []
    for place, items in sorted(found.items(), key=lambda pair: str(pair[0])):
        if len(items) > 1:
            others = told(", ".join(sorted(item.label for item in items)))
            at = location_of(file, items[0].label)
            message = f"{len(items)} applications run {place}: {others}"
            findings.append(APPLICATION_AMBIGUOUS.finding(message, at))
            continue
        [item] = items
        here = {"draft": place.draft, "environment": place.environment}
        observation = item.observation.model_copy(update=here)
        if item.images is not None:
            observation = with_images(observation, item.images, place)
        observations.append(observation)
    return (*observations, *strangers), tuple(findings), foreign
