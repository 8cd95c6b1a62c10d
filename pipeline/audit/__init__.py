"""Audit: proof from clones alone that everything running was requested, built once and approved.

`verify` reads a clone of the control repo and clones of the repositories with derived names; it
asks no forge and believes no fact. It recomputes every fact from what the fact names (the request
at its commit, policy, the source, the overlay) with the functions that made it. The history of a
state branch must be append-only; every commit and file of a GitOps repository must have an origin.
What clones cannot prove is counted as taken on trust, by who vouches for it
(docs/adr/0011-audit-recomputes.md).
Repositories vouch for each other: a commit's `Fact:` trailer names a hash that must be in the
chain, which exposes a rewritten state branch.
"""

from __future__ import annotations

from pipeline.audit.acknowledged import Acknowledged
from pipeline.audit.reading import OpenRepository, read_branches
from pipeline.audit.steps import STEP_NAMES
from pipeline.audit.verify import AuditReport, verify
from pipeline.models.trust import Trust

__all__ = [
    "STEP_NAMES",
    "Acknowledged",
    "AuditReport",
    "OpenRepository",
    "Trust",
    "read_branches",
    "verify",
]
