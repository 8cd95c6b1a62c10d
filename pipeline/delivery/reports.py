"""Reports on what runs: the document that a run reads, made from any tool's objects. Pure.

`kind: Observations` holds a `pipeline.models.evidence.Observation` for any number of drafts and
environments. `pipeline observe` writes it; adapters for other tools may write it too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field, ValidationError

from pipeline.delivery import argocd, flux, pods
from pipeline.delivery.belonging import Place
from pipeline.delivery.objects import Object, parse_objects
from pipeline.delivery.parts import Seen, incomplete, location_of, placed, told
from pipeline.delivery.rules import REPORT_KIND_UNKNOWN
from pipeline.diagnostics import Finding
from pipeline.documents import findings_of_validation_error, parse_document, render_document
from pipeline.models.base import API_VERSION, ApiVersion, Model, Moment
from pipeline.models.evidence import Observation

MAX_OBSERVATIONS = 20_000


class Observations(Model):
    """A report over any number of drafts and environments."""

    api_version: ApiVersion = Field(API_VERSION, alias="apiVersion")
    kind: Literal["Observations"]
    observations: tuple[Observation, ...] = Field((), max_length=MAX_OBSERVATIONS)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A report's observations of drafts, its findings, and the number of foreign objects."""

    observations: tuple[Observation, ...] = ()
    findings: tuple[Finding, ...] = ()
    foreign: int = 0


def parse_report(file: str, content: bytes, read_at: Moment) -> DeliveryReport:
    """The content of a delivery tool's report. Never raises, whatever the content.

    `read_at` is when its objects were read, for tools that report no time. An object without the
    form of its kind is a finding, and all others count.
    """
    objects, findings = parse_objects(file, content)
    if findings:
        return DeliveryReport(findings=findings)
    if any(item.get("kind") == "Observations" for item in objects):
        observations, findings = parse_observations(file, content)
        return DeliveryReport(observations, findings)
    return delivery_report_of(file, objects, read_at)


def delivery_report_of(file: str, objects: Iterable[Object], read_at: Moment) -> DeliveryReport:
    """The report in the objects of delivery tools."""
    makers: dict[tuple[str, str], Callable[[Object], Seen]] = {
        (argocd.API_VERSION, argocd.KIND): argocd.application_of,
        flux.KUSTOMIZATION: lambda item: flux.kustomization_of(item, read_at),
        flux.HELM_RELEASE: lambda item: flux.helm_release_of(item, read_at),
    }
    seen: list[Seen] = []
    found_pods: list[tuple[Place | None, pods.Pods]] = []
    findings: list[Finding] = []
    lists_pods = False
    for number, item in enumerate(objects):
        kind = (_text(item.get("apiVersion")), _text(item.get("kind")))
        label = _label_of(item, number)
        try:
            if kind in makers:
                seen.append(makers[kind](item))
            elif kind == (pods.API_VERSION, pods.KIND):
                lists_pods = True
                found_pods.append(pods.pod_of(item))
            else:
                message = f"of `{told('/'.join(kind))}` it is not known what it says"
                at = location_of(file, label)
                findings.append(REPORT_KIND_UNKNOWN.finding(message, at))
        except ValidationError as error:
            findings.append(incomplete(file, label, error))
    if lists_pods:
        running = pods.by_place(found_pods)
        seen = [_with_pods(item, running) for item in seen]
    else:
        seen = [_without_pods(item) for item in seen]
    observations, wrong, foreign = placed(file, seen)
    return DeliveryReport(observations, (*findings, *wrong), foreign)


def _with_pods(item: Seen, running: Mapping[Place, pods.Pods]) -> Seen:
    """The application with its pods' images and readiness, if the tool reports no images."""
    place = item.claims.place
    if item.images is not None or place is None:
        return item
    found = running.get(place, pods.Pods((), ()))
    observation = item.observation
    if found.unready and observation.health == "Healthy":
        message = told(f"not ready: {', '.join(found.unready[:5])}", observation.message)
        observation = observation.model_copy(update={"health": "Progressing", "message": message})
    return replace(item, observation=observation, images=found.images)


def _without_pods(item: Seen) -> Seen:
    """The application without listed pods: a Helm release does not describe what runs now."""
    observation = item.observation
    if item.images is not None or not item.label.startswith(flux.HELM_RELEASE[1]):
        return item
    if observation.health != "Healthy":
        return item
    message = told("how it does now only its pods say: list them too", observation.message)
    unknown = observation.model_copy(update={"health": "Unknown", "message": message})
    return replace(item, observation=unknown)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _label_of(item: Object, number: int) -> str:
    metadata = item.get("metadata")
    name = _text(metadata.get("name")) if isinstance(metadata, dict) else ""
    return f"{_text(item.get('kind')) or 'object'} {name or number + 1}"


def parse_observations(
    file: str, content: bytes
) -> tuple[tuple[Observation, ...], tuple[Finding, ...]]:
    """The observations in a file's bytes, or none and the findings about it.

    JSON may be as large as a tool's own report; YAML is read like the files that people write.
    """
    if content.lstrip()[:1] == b"{":
        objects, findings = parse_objects(file, content)
        document: object = objects[0] if objects else None
        if findings:
            return (), findings
    else:
        parsed = parse_document(file, content)
        if parsed.findings:
            return (), parsed.findings
        document = parsed.value
    try:
        report = Observations.model_validate_json(json.dumps(document))
    except ValidationError as error:
        told_at = parse_document(file, content)
        if told_at.findings:  # too large for positions
            return (), (incomplete(file, "Observations", error),)
        return (), findings_of_validation_error(error, told_at, Observations)
    return report.observations, ()


def render_observations(observations: tuple[Observation, ...]) -> bytes:
    """The bytes of a file that `parse_observations` reads back."""
    report = Observations(kind="Observations", observations=observations)
    return render_document(report.model_dump(mode="json", by_alias=True))
