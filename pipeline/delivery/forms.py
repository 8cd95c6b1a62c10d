"""The manifest for a delivery tool in an overlay, if policy requires one. Pure.

A platform's `ApplicationSet` finds overlays by their folders and needs none. The other forms put a
manifest into the overlay itself, below `delivery/`, so reviewers of the overlay's tree approve it:

- `application`: an Argo CD Application of the overlay's folder;
- `kustomization`: a Flux Kustomization of the overlay's folder;
- `helmrelease`: a Flux HelmRelease of `chart/`, which holds the overlay's objects as they are.

The manifests name no namespace for themselves: whatever applies them decides it (docs/delivery.md).
Field names are those of the CRDs `applications.argoproj.io` (v1alpha1),
`kustomizations.kustomize.toolkit.fluxcd.io` (v1) and `helmreleases.helm.toolkit.fluxcd.io` (v2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.delivery import argocd, flux
from pipeline.delivery.belonging import DRAFT_ANNOTATION
from pipeline.documents import render_document
from pipeline.git.objects import MODE_FILE, tree_id_of_files
from pipeline.models.requests import DeliveryForm

FOLDER = "delivery"
CHART, TEMPLATES = "chart", "chart/templates"
# Form → its manifest's file. `kustomization.yaml` has another meaning for Flux and kustomize.
FILE_OF: Mapping[DeliveryForm, str] = {
    "application": f"{FOLDER}/application.yaml",
    "kustomization": f"{FOLDER}/flux-kustomization.yaml",
    "helmrelease": f"{FOLDER}/helmrelease.yaml",
}
_TEMPLATE = re.compile(rf"{TEMPLATES}/[a-z]+-[a-z0-9.-]+\.yaml\Z")
_BRANCH = "main"
_LOCAL_CLUSTER = "in-cluster"  # Argo CD's name for its own cluster
_FINALIZER = "resources-finalizer.argocd.argoproj.io"

Object = dict[str, object]


@dataclass(frozen=True, slots=True)
class Delivery:
    """The content of a manifest for one overlay."""

    name: str  # of the application
    draft: str
    instance: str
    project: str
    namespace: str
    labels: Mapping[str, str]
    repo: str
    repo_url: str
    folder: str  # the overlay's, in the repository
    cluster: str = ""  # the tool's name for it; empty for the tool's own


def render_delivery(
    form: DeliveryForm, delivery: Delivery, objects: Mapping[str, Object]
) -> dict[str, bytes]:
    """The files of a form: path below the overlay's folder → bytes.

    `objects` are the overlay's rendered objects, by file name; only a chart repeats them.
    """
    if form == "applicationset":
        return {}
    files: dict[str, bytes] = {}
    if form == "application":
        manifest = _application(delivery)
    elif form == "kustomization":
        manifest = _kustomization(delivery)
    else:
        files = _chart(delivery, objects)
        manifest = _helm_release(delivery)
    return {**files, FILE_OF[form]: render_document(manifest)}


def is_delivery_file(path: str) -> bool:
    """Whether a form puts a file at this path of an overlay."""
    return path in (*FILE_OF.values(), f"{CHART}/Chart.yaml") or bool(_TEMPLATE.match(path))


def _metadata(delivery: Delivery) -> Object:
    return {
        "name": delivery.name,
        "labels": dict(delivery.labels),
        "annotations": {DRAFT_ANNOTATION: delivery.draft},
    }


def _application(delivery: Delivery) -> Object:
    return {
        "apiVersion": argocd.API_VERSION,
        "kind": argocd.KIND,
        # Deleting the Application deletes what it runs.
        "metadata": {**_metadata(delivery), "finalizers": [_FINALIZER]},
        "spec": {
            "project": delivery.project,
            "source": {
                "repoURL": delivery.repo_url,
                "path": delivery.folder,
                "targetRevision": _BRANCH,
            },
            "destination": {
                "name": delivery.cluster or _LOCAL_CLUSTER,
                "namespace": delivery.namespace,
            },
            "syncPolicy": {
                "automated": {"prune": True, "selfHeal": True},
                # A failing sync retries with the newest commit, not with the one it began with.
                "retry": {
                    "limit": 5,
                    "refresh": True,
                    "backoff": {"duration": "10s", "factor": 2, "maxDuration": "3m"},
                },
            },
        },
    }


def _kustomization(delivery: Delivery) -> Object:
    api_version, kind = flux.KUSTOMIZATION
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": _metadata(delivery),
        "spec": {
            "interval": "10m",
            "retryInterval": "1m",
            "timeout": "5m",
            "path": f"./{delivery.folder}",
            "prune": True,
            "wait": True,  # otherwise `Ready` does not describe health
            "sourceRef": {"kind": "GitRepository", "name": delivery.repo},
            "targetNamespace": delivery.namespace,
            **_kube_config(delivery),
        },
    }


def _helm_release(delivery: Delivery) -> Object:
    api_version, kind = flux.HELM_RELEASE
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": _metadata(delivery),
        "spec": {
            "interval": "10m",
            "timeout": "5m",
            "chart": {
                "spec": {
                    "chart": f"./{delivery.folder}/{CHART}",
                    "interval": "1m",
                    # The version contains the chart's tree: a new commit alone changes nothing.
                    "reconcileStrategy": "ChartVersion",
                    "sourceRef": {"kind": "GitRepository", "name": delivery.repo},
                }
            },
            "releaseName": delivery.instance,
            "targetNamespace": delivery.namespace,
            # Helm's releases carry only the instance's name, so each is stored in its namespace.
            "storageNamespace": delivery.namespace,
            # It retries, and never rolls back to a release that nobody requested.
            "install": {"strategy": {"name": "RetryOnFailure", "retryInterval": "1m"}},
            "upgrade": {"strategy": {"name": "RetryOnFailure", "retryInterval": "1m"}},
            "driftDetection": {"mode": "enabled"},
            **_kube_config(delivery),
        },
    }


def _kube_config(delivery: Delivery) -> Object:
    """Flux's access to a cluster other than its own: the Secret with the cluster's name."""
    if not delivery.cluster:
        return {}
    return {"kubeConfig": {"secretRef": {"name": delivery.cluster}}}


def _chart(delivery: Delivery, objects: Mapping[str, Object]) -> dict[str, bytes]:
    """A chart whose templates render to exactly these objects, whatever values Helm gets."""
    templates = {path: _verbatim(render_document(item)) for path, item in objects.items()}
    tree = tree_id_of_files({path: (MODE_FILE, text) for path, text in templates.items()})
    description = {
        "apiVersion": "v2",
        "name": delivery.instance,
        "description": f"{delivery.draft}, rendered by the pipeline",
        "type": "application",
        "version": f"{flux.CHART_VERSION_PREFIX}{tree}",
    }
    return {
        f"{CHART}/Chart.yaml": render_document(description),
        **{f"{TEMPLATES}/{path}": text for path, text in templates.items()},
    }


def _verbatim(text: bytes) -> bytes:
    """A template text that Helm renders back to this text."""
    return text.replace(b"{{", b'{{ "{{" }}')
