"""Objects of each kind of `ameide.io/v1`: a valid one, and changes that make it invalid.

`AGAINST_SCHEMA` breaks what any reader of the schema sees; `AGAINST_RULE` what only CEL rules see,
so the schema alone accepts it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

DIGEST = "sha256:" + "ab" * 32
IMAGE = f"registry.example.com/ameide/tenant-acme/orders@{DIGEST}"
Object = dict[str, Any]
Change = tuple[str, object]  # dotted path below `spec`, and its new value; None takes it away

_PROCESS = {"id": "process-definition/order-to-cash@3", "tenantId": "acme"}
_AGENT = {"id": "agent-definition/triage@2", "tenantId": "acme"}
VALID: Mapping[str, Object] = {
    "Domain": {
        "image": IMAGE,
        "proto": {"module": "ameide/orders", "version": "v1"},
        "db": {
            "clusterRef": "tenant-data",
            "schema": "orders",
            "migrationJobImage": IMAGE,
            "migrationCommand": ["python", "-m", "primitive_sdk.migrate"],
            "migrationEnvFrom": [{"secretRef": {"name": "orders-owner"}}],
        },
        "resources": {
            "requests": {"cpu": "50m", "memory": "96Mi", "ephemeral-storage": "1Gi"},
            "limits": {"cpu": "1", "memory": "256Mi"},
        },
        "env": {"LOG_LEVEL": "INFO", "EMPTY": ""},
        "envFrom": [
            {"configMapRef": {"name": "orders-environment", "optional": True}},
            {"secretRef": {"name": "orders-database"}},
        ],
        "observability": {"logLevel": "DEBUG", "metrics": True, "traceSamplePercent": 10},
        "security": {"serviceAccountName": "orders", "networkProfile": "gateway"},
        "rollout": {"minReplicas": 2, "maxReplicas": 6, "terminationGracePeriodSeconds": 60},
    },
    "Process": {
        "image": IMAGE,
        "definitionRef": _PROCESS,
        "temporal": {"namespace": "tenant-acme", "taskQueue": "acme.order-to-cash"},
        "dependencies": {"domains": ["orders"], "agents": ["triage"]},
        "rollout": {"maxConcurrencyPerTenant": 5},
    },
    "Agent": {
        "image": IMAGE,
        "definitionRef": _AGENT,
        "model": {"provider": "local", "name": "small-1.5"},
        "tools": {"allowed": ["orders.read", "orders.cancel"]},
        "riskTier": "MEDIUM",
        "concurrency": {"maxParallelSessions": 3},
        "observability": {"logPrompts": True, "emitTokens": False},
    },
    "UISurface": {
        "image": IMAGE,
        "host": "app.example.invalid",
        "pathPrefix": "/orders",
        "auth": {"scopes": ["openid", "orders:read"]},
        "dependencies": {"domains": ["orders"], "processes": [], "agents": []},
        "features": {"flags": {"bulk-edit": True}},
    },
    "Projection": {
        "image": IMAGE,
        "sources": [
            {"domain": "orders", "types": ["OrderPlaced"]},
            {"domain": "orders", "stream": "audit"},
        ],
        "target": {"clusterRef": "tenant-data", "schema": "projection_orders"},
        "rebuild": {"generation": 2, "strategy": "InPlace", "batchSize": 100},
        "maxLagSeconds": 30,
    },
    "Integration": {
        "image": IMAGE,
        "system": {"name": "ledger", "endpoint": "https://ledger.example.invalid/api"},
        "direction": "Bidirectional",
        "credentials": [
            {"name": "client", "secretRef": {"name": "orders-ledger", "key": "secret"}}
        ],
        "schedule": "*/15 * * * 1-5",
        "dependencies": {"domains": ["orders"]},
    },
}

_EVERY_KIND: tuple[Change, ...] = (
    ("image", None),
    ("image", "registry.example.com/ameide/tenant-acme/orders:1.2.3"),
    ("image", IMAGE[:-1]),
    ("image", IMAGE.replace("sha256", "sha512")),
    ("image", f"{IMAGE} --privileged"),
    ("replicas", 3),
    ("env", {"A": 1}),
    ("env", ["A=1"]),
    ("resources", {"requests": {"cpu": 1}}),
    ("resources", {"requests": {"memory": "0"}}),
    ("resources", {"requests": {"memory": "lots"}}),
    ("resources", {"requests": {"nvidia.com/gpu": "1"}}),
    ("envFrom", [{"configMapRef": {"name": "A B"}}]),
    ("observability", {"logLevel": "TRACE"}),
    ("observability", {"traceSamplePercent": 101}),
    ("security", {"hostNetwork": True}),
    ("security", {"networkProfile": "any where"}),
    ("rollout", {"minReplicas": 0}),
    ("rollout", {"terminationGracePeriodSeconds": 5}),
)
AGAINST_SCHEMA: Mapping[str, tuple[Change, ...]] = {
    "Domain": (
        *_EVERY_KIND,
        ("proto", None),
        ("proto.version", "latest"),
        ("proto.module", "../orders"),
        ("db.schema", "orders; drop"),
        ("db.migrationJobImage", "busybox"),
        ("db.migrationCommand", "python -m migrate"),
        ("db.migrationCommand", [""]),
        ("db.clusterRef", None),
    ),
    "Process": (
        *_EVERY_KIND,
        ("definitionRef.id", "agent-definition/triage"),
        ("definitionRef.id", "Order To Cash"),
        ("definitionRef.id", "process-definition/order@latest"),
        ("definitionRef.tenantId", None),
        ("definitionRef.tenantId", "Acme"),
        ("temporal.taskQueue", ""),
        ("temporal.namespace", None),
        ("dependencies.domains", ["Orders"]),
        ("rollout.maxConcurrencyPerTenant", 0),
        ("rollout.maxConcurrencyPerTenant", -1),
        ("rollout.maxConcurrencyPerTenant", "5"),
    ),
    "Agent": (
        *_EVERY_KIND,
        ("model", None),
        ("model.name", "small model"),
        ("tools.allowed", ["*"]),
        ("riskTier", None),
        ("riskTier", "low"),
        ("riskTier", "NONE"),
        ("concurrency.maxParallelSessions", 0),
        ("observability.logPrompts", "yes"),
    ),
    "UISurface": (
        *_EVERY_KIND,
        ("host", "https://app.example.invalid"),
        ("host", None),
        ("pathPrefix", "orders"),
        ("pathPrefix", "/orders/"),
        ("pathPrefix", "/orders?x"),
        ("auth.scopes", None),
        ("auth.scopes", ["a b"]),
        ("features.flags", {"bulk-edit": "on"}),
    ),
    "Projection": (
        *_EVERY_KIND,
        ("sources", []),
        ("sources", [{"stream": "events"}]),
        ("target.schema", None),
        ("rebuild.strategy", "Never"),
        ("rebuild.generation", -1),
        ("rebuild.batchSize", 0),
        ("maxLagSeconds", 0),
    ),
    "Integration": (
        *_EVERY_KIND,
        ("system.endpoint", "http://ledger.example.invalid"),
        ("direction", "Sideways"),
        ("schedule", "every day"),
        ("credentials", [{"name": "client", "value": "hunter2"}]),
    ),
}

_RULES_OF_EVERY_KIND: tuple[tuple[Change, str], ...] = (
    (("image", IMAGE.replace("@", ":latest@")), "a semantic version or a commit id"),
    (
        ("resources", {"requests": {"memory": "2Gi"}, "limits": {"memory": "512Mi"}}),
        "limit of memory",
    ),
    (("resources", {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}), "limit of cpu"),
    (("envFrom", [{}]), "each entry names one source"),
    (
        ("envFrom", [{"configMapRef": {"name": "a"}, "secretRef": {"name": "a"}}]),
        "each entry names one source",
    ),
    (("rollout", {"minReplicas": 4, "maxReplicas": 3}), "minReplicas is at most maxReplicas"),
)
AGAINST_RULE: Mapping[str, tuple[tuple[Change, str], ...]] = {
    "Domain": (
        *_RULES_OF_EVERY_KIND,
        (
            ("db.migrationJobImage", IMAGE.replace("@", ":dev@")),
            "a semantic version or a commit id",
        ),
        (("db.migrationEnvFrom", [{}]), "each entry names one source"),
    ),
    "Process": _RULES_OF_EVERY_KIND,
    "Agent": (
        *_RULES_OF_EVERY_KIND,
        (("riskTier", "HIGH"), "log no prompts"),
        (("riskTier", "CRITICAL"), "log no prompts"),
    ),
    "UISurface": (
        *_RULES_OF_EVERY_KIND,
        (("pathPrefix", "/orders/../admin"), "no `.` or `..`"),
    ),
    "Projection": _RULES_OF_EVERY_KIND,
    "Integration": (
        *_RULES_OF_EVERY_KIND,
        (("dependencies", None), "name them in dependencies.domains"),
        (("dependencies.domains", []), "name them in dependencies.domains"),
        (("system.endpoint", "https://me:secret@ledger.example.invalid"), "without credentials"),
    ),
}

# Changes of an object that exists.
AGAINST_UPDATE: Mapping[str, tuple[tuple[Change, str], ...]] = {
    "Domain": ((("db.schema", "orders2"), "the database schema cannot change"),),
    "Process": (
        (("definitionRef.tenantId", "contoso"), "the tenant of a primitive cannot change"),
    ),
    "Agent": ((("definitionRef.tenantId", "contoso"), "the tenant of a primitive cannot change"),),
    "UISurface": (),
    "Projection": (
        (("target.schema", "other"), "the database schema cannot change"),
        (("rebuild.generation", 1), "cannot be taken back"),
        (("rebuild", None), "cannot be taken back"),
    ),
    "Integration": (),
}


def object_of(kind: str, *changes: Change) -> Object:
    """A complete object of the kind, valid except for the changes."""
    spec = copy.deepcopy(VALID[kind])
    for path, value in changes:
        node, *parents = spec, *path.split(".")[:-1]
        name = path.rsplit(".", 1)[-1]
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is None:
            del node[name]
        else:
            node[name] = copy.deepcopy(value)
    return {
        "apiVersion": "ameide.io/v1",
        "kind": kind,
        "metadata": {
            "name": "orders",
            "namespace": "tenant-acme-dev-cust",
            "labels": {"app.kubernetes.io/name": "orders"},
        },
        "spec": spec,
    }
