"""Objects as a cluster gives them: Argo CD's and Flux's, and pods. Each call gives its own."""

from __future__ import annotations

import copy
from typing import Any

REVISION = "4b1e" * 10
CHART = "c0de" * 10
DIGEST = "sha256:" + "ab" * 32
OTHER_DIGEST = "sha256:" + "cd" * 32
IMAGE = "registry.example.com/ameide/tenant-acme/order-router"
READ_AT = "2026-12-01T10:53:00Z"
GITOPS = "https://github.com/ameide/tenant-acme-gitops.git"
FOLDER = "environments/prod/order-router"
LABELS = {
    "ameide.io/environment": "prod",
    "ameide.io/primitive": "order-router",
    "ameide.io/tenant-id": "acme",
}


def laid(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """A copy of `base` with `over` laid on it, mapping by mapping; None takes a field out."""
    found = copy.deepcopy(base)
    for key, value in over.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict) and isinstance(found.get(key), dict):
            found[key] = laid(found[key], value)
        else:
            found[key] = copy.deepcopy(value)
    return found


def application(
    name: str = "acme--order-router--prod",
    *,
    path: str = FOLDER,
    images: tuple[str, ...] = (f"{IMAGE}@{DIGEST}",),
    **over: Any,
) -> dict[str, Any]:
    """An Application that is Synced and Healthy, with what it is given laid over it."""
    source = {"repoURL": GITOPS, "path": path, "targetRevision": "main"}
    base = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd", "uid": "0b0c"},
        "spec": {
            "project": "tenant-acme",
            "source": source,
            "destination": {"name": "in-cluster", "namespace": "tenant-acme-prod-cust"},
        },
        "status": {
            "sync": {
                "status": "Synced",
                "revision": REVISION,
                "comparedTo": {"source": source, "destination": {}},
            },
            "health": {"status": "Healthy", "lastTransitionTime": "2026-12-01T10:50:00Z"},
            "reconciledAt": "2026-12-01T10:52:00Z",
            "operationState": {
                "phase": "Succeeded",
                "startedAt": "2026-12-01T10:49:00Z",
                "finishedAt": "2026-12-01T10:49:30Z",
                "syncResult": {"revision": REVISION},
            },
            "summary": {"images": list(images)},
        },
    }
    return laid(base, over)


def kustomization(**over: Any) -> dict[str, Any]:
    """A Kustomization that is Ready and waits for its objects."""
    base = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {
            "name": "acme--order-router--prod",
            "namespace": "flux-system",
            "generation": 3,
        },
        "spec": {
            "interval": "10m",
            "path": f"./{FOLDER}",
            "prune": True,
            "wait": True,
            "sourceRef": {"kind": "GitRepository", "name": "tenant-acme-gitops"},
        },
        "status": {
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "ReconciliationSucceeded",
                    "message": f"Applied revision: main@sha1:{REVISION}",
                    "lastTransitionTime": "2026-12-01T09:00:00Z",
                    "observedGeneration": 3,
                }
            ],
            "observedGeneration": 3,
            "lastAppliedRevision": f"main@sha1:{REVISION}",
            "lastAttemptedRevision": f"main@sha1:{REVISION}",
            "history": [{"lastReconciled": "2026-12-01T10:51:00Z"}],
        },
    }
    return laid(base, over)


def helm_release(**over: Any) -> dict[str, Any]:
    """A HelmRelease that is Ready, of an overlay's own chart."""
    base = {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {
            "name": "acme--order-router--prod",
            "namespace": "flux-system",
            "generation": 1,
        },
        "spec": {
            "interval": "10m",
            "chart": {
                "spec": {
                    "chart": f"./{FOLDER}/chart",
                    "sourceRef": {"kind": "GitRepository", "name": "tenant-acme-gitops"},
                }
            },
            "targetNamespace": "tenant-acme-prod-cust",
        },
        "status": {
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "UpgradeSucceeded",
                    "message": "Helm upgrade succeeded",
                    "lastTransitionTime": "2026-12-01T09:00:00Z",
                }
            ],
            "observedGeneration": 1,
            "lastAttemptedRevision": f"1.0.0-t{CHART}",
            "history": [
                {
                    "chartVersion": f"1.0.0-t{CHART}",
                    "status": "deployed",
                    "lastDeployed": "2026-12-01T08:59:00Z",
                }
            ],
        },
    }
    return laid(base, over)


def pod(name: str = "order-router-7d9f", image: str = f"{IMAGE}@{DIGEST}", **over: Any) -> Any:
    """A pod that runs and is ready."""
    base = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "tenant-acme-prod-cust", "labels": LABELS},
        "spec": {"containers": [{"name": "app", "image": image}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    return laid(base, over)


def ready(status: str, reason: str, message: str = "") -> dict[str, Any]:
    """A condition `Ready`."""
    return {"type": "Ready", "status": status, "reason": reason, "message": message}
