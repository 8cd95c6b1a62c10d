"""Attacks that are not stopped yet: attack → the branch that brings what stops it.

Each is run, and must fail until then: one that passes is taken off this list.
"""

from __future__ import annotations

PENDING: dict[str, str] = {
    "writer-of-all-but-one/03-forges-a-promotion-caused-by-staging-s-request": "wt-audit",
    "writer-of-all-but-one/04-forges-approvals-of-one-team": "wt-audit",
    "writer-of-all-but-one/06-forges-the-shared-namespace": "wt-audit",
    "writer-of-all-but-one/08-takes-draft-and-overlays-away": "wt-audit",
    "writer-of-one-repository/16-begins-the-promotion-s-branch": "wt-gitops",
}
