"""Audit: proof from clones alone that what runs was asked for, built once and approved.

`verify` reads a clone of the control repo and clones of the repositories that names give; it asks
no forge and believes no fact. Every fact is computed again from what it names (the request at its
commit, policy, the source, the overlay as it lies there) by the functions that made it. State
branches are append-only by their history; every commit and file of a GitOps repository has an
origin. What clones cannot show is counted as taken on trust, by who vouches for it
(docs/adr/0011-audit-recomputes.md).
Facts vouch for each other across repositories: a commit's `Fact:` trailer names a hash that must
be in the chain, so a rewritten state branch shows.
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
