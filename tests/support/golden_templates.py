"""The golden templates, each with odd but legal drafts of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.support.projects import Values, draft_values

# The worst that a description may hold; legal by each template's schema.
HOSTILE = (
    """"quoted" 'single' \\n \\ ${{ values.owner }} {{ .Values }} {% if %} {# # : - é 日本 <b>`"""
)
LONG: Values = {
    "primitive_id": "p" * 40,
    "instance": "t" * 11 + "--" + "p" * 40,
    "description": "d" * 500,
}
CLASS: Values = {"primitive_id": "class", "instance": "class", "owner": "1e3", "design_refs": []}
SHARED: Values = {
    "tenant_id": "platform",
    "code_origin": "platform",
    "instance": "json",
    "primitive_id": "json",
}


@dataclass(frozen=True)
class GoldenTemplate:
    """A built-in template: the parameters of a plain draft, and what odd drafts change."""

    name: str
    parameters: Values
    odd: Mapping[str, Values]

    def values(self, **changes: object) -> dict[str, object]:
        """What the plain draft renders with; `changes` replace single values."""
        return draft_values(self.name, **{**self.parameters, **changes})

    @property
    def cases(self) -> dict[str, Values]:
        """Name → values of every draft: the plain one, a hostile description, the odd ones."""
        changes = {"plain": {}, "hostile description": {"description": HOSTILE}, **self.odd}
        return {name: self.values(**changed) for name, changed in changes.items()}


AGENT = GoldenTemplate(
    "agent",
    {
        "owner": "acme-engineers",
        "description": "Helps with orders",
        "allowed_tools": ["current_time", "find_order", "cancel-order"],
        "risk_tier": "MEDIUM",
        "default_model": "anthropic:claude-sonnet-4",
        "definition_ref": "agent-definition/order-helper@3",
    },
    {
        "no tools": {"allowed_tools": [], "risk_tier": "LOW", "design_refs": []},
        "longest names": {
            **LONG,
            "tenant_id": "t" * 40,
            "allowed_tools": [f"{'t' * 61}_{number:02}" for number in range(50)],
            "risk_tier": "HIGH",
            "default_model": f"anthropic:{'m' * 90}",
            "definition_ref": f"agent-definition/{'d' * 90}@{'9' * 9}",
            "design_refs": [f"process-definition/{'r' * 90}@{number}" for number in range(20)],
        },
        "words of YAML and Python": {
            **CLASS,
            "allowed_tools": ["null", "true", "import", "y"],
            # Of a length that a formatter would wrap, were it let.
            "definition_ref": f"agent-definition/{'true' * 15}@1",
        },
        "shared platform code": SHARED,
    },
)

DOMAIN = GoldenTemplate(
    "domain",
    {
        "owner": "acme-engineers",
        "description": "Routes orders to the partner that can deliver first",
        "entities": ["order", "route"],
        "database_plan": "small",
    },
    {
        "longest names": {
            **LONG,
            "entities": [f"{'e' * 37}-{number:02}" for number in range(20)],
            "database_plan": "large",
        },
        "words of YAML and Python": {
            **CLASS,
            "entities": ["null", "true", "on", "import", "self", "n"],
            "database_plan": "ephemeral",
        },
        "shared platform code": SHARED,
    },
)

PROCESS = GoldenTemplate(
    "process",
    {
        "owner": "acme-engineers",
        "description": "Takes an order from basket to cash",
        "task_queue": "orders",
        "definition_ref": "process-definition/order-to-cash@3",
        "max_concurrency_per_tenant": 5,
    },
    {
        "longest names": {
            **LONG,
            "tenant_id": "t" * 40,
            "task_queue": "q" * 100,
            "definition_ref": f"process-definition/{'d' * 90}@{'9' * 9}",
            "max_concurrency_per_tenant": 100,
            "design_refs": [f"process-definition/{'r' * 90}@{number}" for number in range(20)],
        },
        "words of YAML and Python": {
            **CLASS,
            "task_queue": "null",
            "definition_ref": "process-definition/true@1",
            "max_concurrency_per_tenant": 1,
        },
        "shared platform code": SHARED,
    },
)

UI = GoldenTemplate(
    "ui",
    {
        "owner": "acme-engineers",
        "description": "Where people see the orders that wait for them",
        "host": "workspace.example.invalid",
        "path_prefix": "/acme/order-desk",
        "scopes": ["profile", "orders:read"],
    },
    {
        "longest names": {
            **LONG,
            "host": ".".join(["h" * 63] * 3) + ".invalid",
            "path_prefix": "/" + "/".join(["p" * 24] * 4),
            "scopes": [f"{'s' * 77}-{number:02}" for number in range(20)],
        },
        "words of YAML and TypeScript": {
            **CLASS,
            "path_prefix": "/null",
            "scopes": ["true", "null", "on"],
        },
        "shared platform code": {**SHARED, "scopes": []},
    },
)

TEMPLATES = {template.name: template for template in (AGENT, DOMAIN, PROCESS, UI)}
