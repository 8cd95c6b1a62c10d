"""Reports of delivery tools compared with facts, each judged by the tree at its commit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pipeline.delivery.forms import TEMPLATES
from pipeline.errors import CouldNotCheck
from pipeline.models.evidence import Observation
from pipeline.models.requests import Environment
from pipeline.models.status import DraftStatus, PromotionRecord
from pipeline.plan.sightings import JudgedReport
from pipeline.stages.observe import judge_all
from pipeline.world.repositories import OpenRepositories


@dataclass(frozen=True)
class Reports:
    """Judges reports as of one look; each GitOps repository is read once for a tenant's reports."""

    repositories: OpenRepositories
    environments: Mapping[str, Environment]

    def judged(
        self,
        statuses: Mapping[str, DraftStatus | None],
        observations: Collection[Observation],
        now_s: int,
    ) -> dict[str, tuple[JudgedReport, ...]]:
        """Draft → its judged reports.

        Raises what the forge raised for a repository that cannot be read.
        """
        by_draft: dict[str, list[Observation]] = {}
        for told in observations:
            if told.draft in statuses:
                by_draft.setdefault(told.draft, []).append(told)
        trees = self._read_trees(statuses, by_draft)
        return {
            draft: judge_all(
                statuses[draft],
                {told: trees.get(told, "") for told in reports},
                self.environments,
                now_s,
            )
            for draft, reports in by_draft.items()
        }

    def _read_trees(
        self, statuses: Mapping[str, DraftStatus | None], reports: Mapping[str, list[Observation]]
    ) -> dict[Observation, str]:
        """Report → the tree of its overlay, if the report names one that exists."""
        asked: dict[str, list[tuple[Observation, PromotionRecord]]] = {}
        for draft, told_of in reports.items():
            status = statuses[draft]
            for told in told_of if status else ():
                assert status is not None
                record = status.promotion(told.environment)
                if record is not None and (told.revision or told.chart):
                    asked.setdefault(status.gitops_repo, []).append((told, record))
        found: dict[Observation, str] = {}
        for repo, pairs in sorted(asked.items()):
            if self.repositories.view(repo) is None:
                raise CouldNotCheck(f"`{repo}` is gone, so no report on what runs can be judged")
            found |= self._read_trees_of(repo, pairs)
        return found

    def _read_trees_of(
        self, repo: str, pairs: Iterable[tuple[Observation, PromotionRecord]]
    ) -> dict[Observation, str]:
        pairs = list(pairs)
        # A tool that reports its installed chart means the sealed overlay's chart.
        specs = [
            f"{told.revision}:{record.overlay_folder}"
            if told.revision
            else f"{record.overlay_tree}:{TEMPLATES}"
            for told, record in pairs
        ]
        items = self.repositories.git(repo).read_objects(specs)
        found: dict[Observation, str] = {}
        for (told, record), item in zip(pairs, items, strict=True):
            if item is None or item.type != "tree":
                continue
            if told.revision:
                found[told] = item.id
            elif item.id == told.chart:
                found[told] = record.overlay_tree
        return found
