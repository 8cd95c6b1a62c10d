"""Who may do what to the branches of a control repo, on whichever forge it is. Pure."""

from __future__ import annotations

from pipeline.forges.port import BranchRule
from pipeline.models.requests import Platform


def control_rules(platform: Platform) -> tuple[BranchRule, ...]:
    """Who may do what in a control repo: people merge reviewed requests, the pipeline records."""
    people = tuple(sorted(a.id for a in platform.accounts if a.kind == "person"))
    return (
        BranchRule("main", push=(), merge=people, approvals=1),
        BranchRule("state/*", push=(platform.pipeline_account.id,)),
    )
