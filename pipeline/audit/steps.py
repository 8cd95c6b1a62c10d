"""The steps of an audit, each by its name: what it takes, and what it shows.

A new step is one more line here. `tests/integration/audit/test_mutants.py` leaves out each in turn,
and a forgery that then passes is the proof that the step was needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.audit import first_commits, promotions, repositories, requests, sources, state
from pipeline.audit.cases import FactCase
from pipeline.audit.chains import check_fold
from pipeline.audit.reading import Chain
from pipeline.audit.repositories import RepositoryCase
from pipeline.audit.state import StateBranch
from pipeline.diagnostics import Finding

C = TypeVar("C")


@dataclass(frozen=True)
class Step(Generic[C]):
    """One step: a stable name, and the function that gives its findings."""

    name: str
    check: Callable[[C], Iterator[Finding]]


@dataclass(frozen=True)
class BranchCase:
    """A state branch with the chains at its head, by primitive; broken ones are left out."""

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


BRANCH_STEPS: tuple[Step[BranchCase], ...] = (
    Step("state-files", _files),
    Step("state-append-only", _append_only),
    Step("state-authors", _authors),
    Step("state-trailers", _trailers),
)
# Of some of the chains at a time.
CHAIN_STEPS: tuple[Step[BranchCase], ...] = (Step("state-folds", _folds),)
FACT_STEPS: tuple[Step[FactCase], ...] = (
    Step("cause", requests.check_cause),
    Step("request", requests.check_request),
    Step("brought", requests.check_brought),
    Step("authority", requests.check_authority),
    Step("accepted", requests.check_accepted),
    Step("provisioned", requests.check_provisioned),
    Step("told", requests.check_told),
    Step("refusals", requests.check_refusals),
    Step("source-tree", sources.check_source_tree),
    Step("scaffold", sources.check_scaffold),
    Step("patch", sources.check_patch),
    Step("patch-refused", sources.check_patch_refused),
    Step("checked", sources.check_checked),
    Step("built", sources.check_built),
    Step("place", promotions.check_place),
    Step("decision", promotions.check_decision),
    Step("merge", promotions.check_merge),
)
REPOSITORY_STEPS: tuple[Step[RepositoryCase], ...] = (
    Step("first-commit", first_commits.check_first_commit),
    Step("overlay-commits", repositories.check_overlay_commits),
    Step("other-commits", repositories.check_other_commits),
    Step("modes", repositories.check_modes),
    Step("overlays", repositories.check_overlays),
    Step("blocked", repositories.check_blocked),
    Step("trailers", repositories.check_trailers),
    Step("folders", repositories.check_folders),
)
# What is not a function of one case: chains are read or are not, and heads descend or do not.
WHOLE_STEPS = ("chains", "clones", "descent", "objects")
STEP_NAMES: tuple[str, ...] = (
    *(step.name for step in BRANCH_STEPS),
    *(step.name for step in CHAIN_STEPS),
    *(step.name for step in FACT_STEPS),
    *(step.name for step in REPOSITORY_STEPS),
    *WHOLE_STEPS,
)
