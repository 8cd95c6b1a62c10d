"""The steps of an audit, by name.

A new step is one more line here. `tests/integration/audit/test_mutants.py` leaves out each in turn;
a forgery that then passes proves that the step is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.audit import (
    first_commits,
    groups,
    promotions,
    queue,
    refusals,
    repositories,
    requests,
    retirements,
    sources,
    state,
    times,
)
from pipeline.audit.cases import FactCase
from pipeline.audit.chains import check_fold
from pipeline.audit.reading import Chain
from pipeline.audit.repositories import RepositoryCase
from pipeline.audit.state import StateBranch
from pipeline.diagnostics import Finding

C = TypeVar("C")


@dataclass(frozen=True)
class AuditStep(Generic[C]):
    """One step: a stable name, and the function that returns its findings."""

    name: str
    check: Callable[[C], Iterator[Finding]]


@dataclass(frozen=True)
class BranchCase:
    """A state branch with the unbroken chains at its head, by primitive."""

    state: StateBranch
    chains: Mapping[str, Chain]


def _files(case: BranchCase) -> Iterator[Finding]:
    return state.check_state_files(case.state)


def _append_only(case: BranchCase) -> Iterator[Finding]:
    return state.check_append_only(case.state)


def _authors(case: BranchCase) -> Iterator[Finding]:
    return state.check_state_authors(case.state)


def _trailers(case: BranchCase) -> Iterator[Finding]:
    hashes = {primitive: chain.hashes for primitive, chain in case.chains.items()}
    return state.check_state_trailers(case.state, hashes)


def _folds(case: BranchCase) -> Iterator[Finding]:
    for chain in case.chains.values():
        yield from check_fold(case.state, chain)


BRANCH_STEPS: tuple[AuditStep[BranchCase], ...] = (
    AuditStep("state-files", _files),
    AuditStep("state-append-only", _append_only),
    AuditStep("state-authors", _authors),
    AuditStep("state-trailers", _trailers),
)
# Steps that run on some of the chains at a time.
CHAIN_STEPS: tuple[AuditStep[BranchCase], ...] = (AuditStep("state-folds", _folds),)
FACT_STEPS: tuple[AuditStep[FactCase], ...] = (
    AuditStep("cause", requests.check_cause),
    AuditStep("request", requests.check_fact_request),
    AuditStep("brought", requests.check_brought),
    AuditStep("authority", requests.check_authority),
    AuditStep("accepted", requests.check_accepted),
    AuditStep("provisioned", requests.check_provisioned),
    AuditStep("told", requests.check_told),
    AuditStep("ended", retirements.check_ended),
    AuditStep("retired", retirements.check_retired),
    AuditStep("superseded", queue.check_superseded),
    AuditStep("lifted", queue.check_lifted),
    AuditStep("refusals", requests.check_refusals),
    AuditStep("merge-times", times.check_merge_times),
    AuditStep("time-order", times.check_time_order),
    AuditStep("told-times", times.check_told_times),
    AuditStep("source-tree", sources.check_source_tree),
    AuditStep("scaffold", sources.check_scaffold),
    AuditStep("patch", sources.check_patch_commit),
    AuditStep("patch-refused", sources.check_patch_refused),
    AuditStep("checked", sources.check_checked),
    AuditStep("built", sources.check_built),
    AuditStep("place", promotions.check_place),
    AuditStep("policy", promotions.check_policy),
    AuditStep("decision", promotions.check_decision),
    AuditStep("group", groups.check_group_decision),
    AuditStep("refused", refusals.check_refused),
    AuditStep("merge", promotions.check_merge_commit),
)
REPOSITORY_STEPS: tuple[AuditStep[RepositoryCase], ...] = (
    AuditStep("first-commit", first_commits.check_first_commit),
    AuditStep("overlay-commits", repositories.check_overlay_commits),
    AuditStep("other-commits", repositories.check_other_commits),
    AuditStep("modes", repositories.check_modes),
    AuditStep("overlays", repositories.check_overlays),
    AuditStep("blocked", repositories.check_running_digests),
    AuditStep("trailers", repositories.check_trailers),
    AuditStep("folders", repositories.check_folders),
)
# Steps that are not a function of one case, such as reading chains and checking descent.
WHOLE_STEPS = ("chains", "clones", "descent", "objects")
STEP_NAMES: tuple[str, ...] = (
    *(step.name for step in BRANCH_STEPS),
    *(step.name for step in CHAIN_STEPS),
    *(step.name for step in FACT_STEPS),
    *(step.name for step in REPOSITORY_STEPS),
    *WHOLE_STEPS,
)
