"""The audit findings that an acknowledgement can settle, and how it names them.

History can be investigated but not undone; present content must be fixed instead.
"""

from __future__ import annotations

# Named by the commit they concern.
ABOUT_COMMITS = frozenset(
    {
        "audit-foreign-commit",
        "audit-state-history",
        "audit-state-file",
        "audit-status-fold",
        "audit-fact-anchor",
    }
)
# Named by the fact they concern.
ABOUT_FACTS = frozenset(
    {
        "audit-accepted-differs",
        "audit-approvals",
        "audit-authority",
        "audit-brought-differs",
        "audit-cause-missing",
        "audit-cause-other",
        "audit-digest-differs",
        "audit-evidence-later",
        "audit-gate",
        "audit-name-differs",
        "audit-promotion-differs",
        "audit-provenance",
        "audit-refusal-misfit",
        "audit-source-differs",
        "audit-source-missing",
        "audit-time-order",
        "audit-told-misfit",
    }
)
