"""The rules, one module per subject; importing a module registers its rules."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from pipeline.diagnostics import RULES, Rule

# Every module that registers rules; listed, so that nothing depends on a folder's content.
RULE_MODULES: tuple[str, ...] = (
    "pipeline.documents.rules",
    "pipeline.documents.shape_rules",
    "pipeline.requests.identity",
    "pipeline.requests.policy",
    "pipeline.requests.windows",
    "pipeline.requests.stops",
    "pipeline.requests.waivers",
    "pipeline.requests.statements",
    "pipeline.requests.drafts",
    "pipeline.requests.groups",
    "pipeline.requests.patches",
    "pipeline.plan.bounds",
    "pipeline.releases.rules",
    "pipeline.checks.dockerfile",
    "pipeline.tools.rules",
    "pipeline.gate.rules",
    "pipeline.delivery.rules",
    "pipeline.gitops.sealed",
    "pipeline.gitops.proposals",
    "pipeline.stages.observe",
    "pipeline.plan.rules",
    "pipeline.audit.rules",
    "pipeline.gate.authority",
    "pipeline.world.policy_history",
    "pipeline.policy.casefiles",
    "pipeline.gate.standing",
    "pipeline.gate.running",
)


def load_rules() -> Mapping[str, Rule]:
    """All rules by id, in order of id; imports their modules on first use."""
    for module in RULE_MODULES:
        import_module(module)
    return dict(sorted(RULES.items()))
