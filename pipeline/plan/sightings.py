"""Reports of delivery tools beside what facts record: values to judge, to plan and to show."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.diagnostics import Finding
from pipeline.models.evidence import Observation
from pipeline.models.status import PromotionRecord


@dataclass(frozen=True, slots=True)
class Sighting:
    """A report on one promoted release, and the tree that the overlay has at its commit.

    The tree is empty where the GitOps repository has no such commit, or none is named.
    """

    told: Observation
    record: PromotionRecord
    tree: str


@dataclass(frozen=True, slots=True)
class JudgedReport:
    """What a report comes to: what is known of the release, and what is wrong with what runs."""

    told: Observation
    known: Observation
    record: PromotionRecord | None  # None: no fact knows such a release
    findings: tuple[Finding, ...] = ()

    @property
    def is_news(self) -> bool:
        """Whether something else than the newest recorded observation is known."""
        if self.record is None:
            return False
        return _substance(self.known) != _substance(self.record.observation)


def _substance(seen: Observation | None) -> tuple[object, ...]:
    """What makes an observation news when it changes; never seen is as good as unknown."""
    if seen is None:
        return ("Unknown", "Unknown", None, ())
    return (seen.health, seen.sync, seen.digest, seen.images)
