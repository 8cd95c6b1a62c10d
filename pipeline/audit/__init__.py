"""Audit: proof from clones alone that what runs was asked for, built once and approved.

`verify` reads a clone of the control repo and clones of the repositories that facts name; it
asks no forge and trusts no status. It checks the chain and fold of every draft, that every
overlay on a GitOps default branch is a recorded promotion and the other way round, that one
source tree has one digest, that a trusted signer stated what each image was built from, that
causes and sources are there, and that nobody else wrote to what the pipeline owns (design §2).
Facts vouch for each other across repositories: a commit's `Fact:` trailer names a hash that must
be in the chain, so a rewritten state branch shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.audit.drafts import check_chain, check_provenance
from pipeline.audit.reading import (
    Audit,
    OpenRepository,
    check_strayed,
    read_branches,
    read_strayed,
)
from pipeline.audit.repositories import verify_repositories
from pipeline.audit.state import verify_state_branch
from pipeline.control import MAIN, read_snapshot
from pipeline.diagnostics import Finding, Verdict, sort_findings, verdict_of
from pipeline.errors import CouldNotCheck
from pipeline.gitcli import GitRepository

__all__ = ["AuditReport", "OpenRepository", "read_branches", "verify"]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was verified and what was found."""

    findings: tuple[Finding, ...]
    drafts: int
    facts: int
    overlays: int
    repositories: int

    @property
    def verdict(self) -> Verdict:
        """Valid only if everything could be read and added up."""
        return verdict_of(self.findings)


def verify(control: GitRepository, open_repository: OpenRepository) -> AuditReport:
    """The report over a control clone and the clones that `open_repository` finds by name.

    Raises CouldNotCheck when the control repo has no main or no valid platform file.
    """
    branches = read_branches(control)
    if MAIN not in branches:
        raise CouldNotCheck("the control clone has no branch `main`")
    snapshot = read_snapshot(control, branches[MAIN], paths=()).snapshot
    if snapshot.platform is None:
        raise CouldNotCheck("environments/platform.yaml is missing or invalid on main")
    main = control.list_commits(branches[MAIN])
    audit = Audit(control, open_repository, snapshot.platform, snapshot, main)
    strayed = read_strayed(control)
    audit.findings += check_strayed("control", strayed)
    for branch, head in sorted(branches.items()):
        if branch.startswith("state/"):
            verify_state_branch(audit, branch, head)
            if branch in strayed:
                # Judged too, so that the fact is named; what origin has stays what counts.
                aside = replace(audit, chains=[], facts=0)
                verify_state_branch(aside, branch, strayed[branch])
    repositories = verify_repositories(audit)
    for chain in audit.chains:
        audit.findings += check_chain(audit, chain)
    audit.findings += check_provenance(audit)
    return AuditReport(
        sort_findings(audit.findings), len(audit.chains), audit.facts, audit.overlays, repositories
    )
