"""Where the release of a promotion has run. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from pipeline.models.status import RunRecord

if TYPE_CHECKING:
    from pipeline.gate.authorise import Evidence  # whose clauses ask this


def runs_of_release(e: Evidence, environments: Collection[str]) -> tuple[RunRecord, ...]:
    """The runs of the release in some environments, by its digest, else by its source."""
    wanted = e.promotion.release.digest
    return tuple(
        run
        for run in e.status.runs_in(environments)
        if (run.release.digest == wanted if wanted else run.release.source_tree == e.source_tree)
    )
