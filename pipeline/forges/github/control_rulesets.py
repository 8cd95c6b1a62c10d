"""The rulesets of a control repo, in the form that GitHub's settings page imports. Pure."""

from __future__ import annotations

import re

from pipeline.forges.control_rules import control_rules
from pipeline.forges.github.rulesets import PREFIX, Ruleset, rulesets_of
from pipeline.models.requests import Platform

_NO_LETTERS = re.compile(r"[^a-z]+")


def control_rulesets(platform: Platform, app_id: int) -> dict[str, Ruleset]:
    """File stem → ruleset: the branch rules, and the checks required to merge.

    `app_id` is the number of the pipeline's App.
    """
    apps = {platform.pipeline_account.id: app_id}
    made = {r["name"]: r for r in rulesets_of(control_rules(platform), apps)}
    return {_stem(name): ruleset for name, ruleset in made.items()} | {
        "gate-main": _gate_ruleset(app_id)
    }


def _stem(name: str) -> str:
    return _NO_LETTERS.sub("-", name.partition(": ")[2]).strip("-")


def _gate_ruleset(app_id: int) -> Ruleset:
    return {
        "name": f"{PREFIX}: gate main",
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["refs/heads/main"], "exclude": []}},
        "bypass_actors": [],
        "rules": [
            {
                "type": "required_status_checks",
                "parameters": {
                    "required_status_checks": [
                        {"context": "gate"},
                        # From the App itself: no workflow in a pull request can report it.
                        {"context": "judged", "integration_id": app_id},
                    ],
                    "strict_required_status_checks_policy": False,
                },
            }
        ],
    }
