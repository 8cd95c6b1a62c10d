"""Delivery tools' reports with the promotions that they describe: values to judge and to show."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.diagnostics import Finding
from pipeline.models.evidence import Observation
from pipeline.models.status import PromotionRecord


@dataclass(frozen=True, slots=True)
class Sighting:
    """A report on one promoted release, and the overlay's tree at the reported commit.

    The tree is empty if the report names no commit or the GitOps repository lacks it.
    """

    told: Observation
    record: PromotionRecord
    tree: str


@dataclass(frozen=True, slots=True)
class JudgedReport:
    """A judged report: what is known about the release, and findings about what runs."""

    told: Observation
    known: Observation
    record: PromotionRecord | None  # None: no fact knows such a release
    findings: tuple[Finding, ...] = ()

    @property
    def is_news(self) -> bool:
        """Whether what is known differs from the newest recorded observation."""
        if self.record is None:
            return False
        return _substance(self.known) != _substance(self.record.observation)


def _substance(seen: Observation | None) -> tuple[object, ...]:
    """The values that make an observation news when they change; never seen equals unknown."""
    if seen is None:
        return ("Unknown", "Unknown", None, ())
    return (seen.health, seen.sync, seen.digest, seen.images)
