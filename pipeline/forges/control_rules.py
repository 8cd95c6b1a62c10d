"""The branch rules of a control repo, on any forge. Pure."""

from __future__ import annotations

from pipeline.forges.port import BranchRule
from pipeline.models.requests import Platform


def control_rules(platform: Platform) -> tuple[BranchRule, ...]:
    """The branch rules of a control repo: people merge reviewed requests, the pipeline records."""
    people = tuple(sorted(a.id for a in platform.accounts if a.kind == "person"))
    return (
        BranchRule("main", push=(), merge=people, approvals=1),
        BranchRule("state/*", push=(platform.pipeline_account.id,)),
    )
