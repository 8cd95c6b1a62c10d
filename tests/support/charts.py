"""Charts made of the shared templates: one per primitive type, with plausible values."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.documents import render_document
from pipeline.templates import read_folder
from tests.support.custom_resources import IMAGE

SHARED = Path(__file__).resolve().parents[2] / "pipeline" / "shared" / "chart"
RUNTIMES = ("workload", "operator")
# What stands for the release's name in the values below.
INSTANCE = "orders"
Values = dict[str, Any]

_GRPC = {"name": "grpc", "port": 8080, "servicePort": 80, "protocol": "grpc"}
_HTTP = {"name": "http", "port": 8080, "servicePort": 80, "protocol": "http"}
_COMMON: Values = {
    "image": {"ref": ""},
    "runtime": "workload",
    "replicas": 2,
    "resources": {
        "requests": {"cpu": "50m", "memory": "96Mi"},
        "limits": {"memory": "256Mi"},
    },
    "ports": [],
    "health": {"port": 8081, "livePath": "/healthz", "readyPath": "/readyz"},
    "settings": {"LOG_LEVEL": "INFO", "ONLY_TENANT": "acme", "WORKERS": "4", "ON": "yes"},
    "secrets": [],
    "migrations": {"command": [], "secrets": [], "deadlineSeconds": 300},
    "autoscaling": {"enabled": False},
    "terminationGracePeriodSeconds": 30,
}
_OF_TYPE: Mapping[str, Values] = {
    "domain": {
        "primitive": {"id": INSTANCE, "type": "domain", "tier": "backend"},
        "ports": [_GRPC],
        "secrets": [f"{INSTANCE}-database"],
        "migrations": {
            "command": ["python", "-m", "primitive_sdk.migrate"],
            "secrets": [f"{INSTANCE}-owner"],
            "deadlineSeconds": 300,
        },
        "autoscaling": {
            "enabled": True,
            "minReplicas": 2,
            "maxReplicas": 6,
            "targetCpuPercent": 70,
        },
        "resource": {
            "kind": "Domain",
            "spec": {
                "proto": {"module": "acme/orders", "version": "v1"},
                "db": {"clusterRef": "tenant-data", "schema": INSTANCE},
            },
        },
    },
    "process": {
        "primitive": {"id": INSTANCE, "type": "process", "tier": "backend"},
        "resource": {
            "kind": "Process",
            "spec": {
                "definitionRef": {"id": "process-definition/fulfilment@3", "tenantId": "acme"},
                "temporal": {"namespace": "tenant-acme", "taskQueue": "acme.fulfilment"},
                "rollout": {"maxConcurrencyPerTenant": 5},
            },
        },
    },
    "agent": {
        "primitive": {"id": INSTANCE, "type": "agent", "tier": "backend"},
        "ports": [_HTTP],
        "resource": {
            "kind": "Agent",
            "spec": {
                "definitionRef": {"id": "triage", "tenantId": "acme"},
                "model": {"provider": "local", "name": "small-1.5"},
                "tools": {"allowed": ["orders.read"]},
                "riskTier": "HIGH",
            },
        },
    },
    "ui": {
        "primitive": {"id": INSTANCE, "type": "ui", "tier": "frontend"},
        "ports": [_HTTP],
        "health": {
            "port": 8080,
            "onPort": "http",
            "livePath": "/app/healthz",
            "readyPath": "/app/readyz",
        },
        "resource": {
            "kind": "UISurface",
            "spec": {
                "host": "app.example.invalid",
                "pathPrefix": "/app",
                "auth": {"scopes": ["openid"]},
            },
        },
    },
}
TYPES = tuple(_OF_TYPE)


def values_of(type: str, *, instance: str = INSTANCE, **changes: object) -> Values:
    """The chart values of a primitive type; each change replaces one of the first level."""
    values: Values = copy.deepcopy({**_COMMON, **_OF_TYPE[type], **changes})
    if instance == INSTANCE:
        return values
    values["primitive"] = {**values["primitive"], "id": instance}
    for holder in (values, values["migrations"]):
        holder["secrets"] = [name.replace(INSTANCE, instance) for name in holder["secrets"]]
    if "db" in values["resource"]["spec"]:
        values["resource"]["spec"]["db"]["schema"] = instance.replace("-", "_")
    return values


def chart_of(
    type: str, values: Values | None = None, *, instance: str = INSTANCE
) -> dict[str, bytes]:
    """The files of a primitive type's chart, as they lie below `chart/`."""
    values = values or values_of(type, instance=instance)
    manifest = {
        "apiVersion": "v2",
        "name": values["primitive"]["id"],
        "description": f"A {type}",
        "type": "application",
        "version": "0.1.0",
    }
    return {
        **read_folder(SHARED),
        "Chart.yaml": render_document(manifest),
        "values.yaml": render_document(values),
    }


def given(runtime: str) -> Values:
    """The values that the pipeline sets when it hydrates a chart."""
    return {"image": {"ref": IMAGE}, "runtime": runtime}
