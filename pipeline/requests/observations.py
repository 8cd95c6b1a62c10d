"""Observations from a file: a delivery tool's report, as a strict document. Pure.

Its shape: `kind: Observations` with a list `observations` of
`pipeline.models.evidence.Observation`. (An adapter to Argo CD gives the same values.)
"""

from __future__ import annotations

import json
from typing import Literal

from pydantic import Field, ValidationError

from pipeline.diagnostics import Finding
from pipeline.documents import findings_of_validation_error, parse_document, render_document
from pipeline.models.base import API_VERSION, ApiVersion, Model
from pipeline.models.evidence import Observation


class Observations(Model):
    """A report over any number of drafts and environments."""

    api_version: ApiVersion = Field(API_VERSION, alias="apiVersion")
    kind: Literal["Observations"]
    observations: tuple[Observation, ...] = ()


def parse_observations(
    file: str, content: bytes
) -> tuple[tuple[Observation, ...], tuple[Finding, ...]]:
    """The observations in a file's bytes, or none and the findings about it."""
    document = parse_document(file, content)
    if document.findings or document.value is None:
        return (), tuple(document.findings)
    try:
        report = Observations.model_validate_json(json.dumps(document.value))
    except ValidationError as error:
        return (), tuple(findings_of_validation_error(error, document, Observations))
    return report.observations, ()


def render_observations(observations: tuple[Observation, ...]) -> bytes:
    """The bytes of a file that `parse_observations` reads back."""
    report = Observations(kind="Observations", observations=observations)
    return render_document(report.model_dump(mode="json", by_alias=True))
