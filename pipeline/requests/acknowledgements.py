"""Which findings of an audit people can settle by an acknowledgement, and what names one.

History can be looked into, but not be made undone; what is there now can be put right instead.
"""

from __future__ import annotations

# Named by the commit that they are about.
ABOUT_COMMITS = frozenset(
    {
        "audit-foreign-commit",
        "audit-state-history",
        "audit-state-file",
        "audit-status-fold",
        "audit-fact-anchor",
    }
)
# Named by the fact that they are about.
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
