"""Delivery tools' reports with the promotions that they describe: values to judge and to show."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.diagnostics import Finding
from pipeline.models.evidence import Observation
from pipeline.models.status import PromotionRecord, RunRecord


@dataclass(frozen=True, slots=True)
class Sighting:
    """A report on one promoted release, and the overlay's tree at the reported commit.

    The tree is empty if the report names no commit or the GitOps repository lacks it.
    """

    told: Observation
    record: PromotionRecord
    tree: str
    run: RunRecord | None = None  # of the promotion
    soak_s: int = 0  # the longest soak that the environments after this one ask for


@dataclass(frozen=True, slots=True)
class JudgedReport:
    """A judged report: what is known about the release, and findings about what runs."""

    told: Observation
    known: Observation
    record: PromotionRecord | None  # None: no fact knows such a release
    findings: tuple[Finding, ...] = ()
    news: tuple[Observation, ...] = ()  # what is to be recorded of it
