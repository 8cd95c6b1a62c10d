"""What a draft's facts tell of one source tree, though its status may list it no more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.models.evidence import BuildRecord, CheckReport
from pipeline.models.facts import Built, ChecksRecorded, Fact
from pipeline.models.status import DraftStatus, RunRecord
from pipeline.state.runs import listed_runs, lists_all_runs, runs_of


@dataclass(frozen=True, slots=True)
class TreeHistory:
    """One source tree in the facts of its draft."""

    tree: str
    report: CheckReport | None = None  # the newest
    builds: tuple[BuildRecord, ...] = ()  # with their statements, in order
    # Its runs, and of those of other trees the ones that a status lists; by fact.
    runs: tuple[RunRecord, ...] = ()


def history_of(facts: Sequence[Fact], tree: str) -> TreeHistory:
    """What all facts of a draft tell of a source tree."""
    return history_from(facts, runs_of(facts), tree)


def history_from(facts: Iterable[Fact], runs: Sequence[RunRecord], tree: str) -> TreeHistory:
    """What facts tell of a source tree, given the runs that there were."""
    report: CheckReport | None = None
    builds: list[BuildRecord] = []
    for fact in facts:
        body = fact.body
        if isinstance(body, ChecksRecorded) and body.report.tree == tree:
            report = body.report
        elif isinstance(body, Built) and body.build.source_tree == tree:
            builds.append(body.build)
    listed = {run.fact for run in listed_runs(tuple(runs))}
    kept = tuple(r for r in runs if r.fact in listed or r.release.source_tree == tree)
    return TreeHistory(tree, report, tuple(builds), kept)


def with_all_runs(status: DraftStatus, facts: Iterable[Fact]) -> DraftStatus:
    """The status with every run, taken from the facts if it lists only the newest."""
    if lists_all_runs(status):
        return status
    return status.model_copy(update={"runs": runs_of(facts)})


def with_evidence(status: DraftStatus, history: TreeHistory) -> DraftStatus:
    """The status with a source tree's checks, build and runs, taken from history if unlisted."""
    if not lists_all_runs(status):
        status = status.model_copy(update={"runs": history.runs})
    checks, builds = status.checks, status.builds
    if history.report and not status.checks_of_tree(history.tree):
        checks = (history.report, *checks)
    if history.builds and not status.build_of_tree(history.tree):
        # There is one image for each source tree; the status lists no statements.
        builds = (history.builds[0].model_copy(update={"bundle": ""}), *builds)
    if checks is status.checks and builds is status.builds:
        return status
    return status.model_copy(update={"checks": checks, "builds": builds})
