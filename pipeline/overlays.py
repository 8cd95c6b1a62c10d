"""Overlays: what one release becomes in one environment, as files and as a tree id. Pure.

`base/` is the chart hydrated once per release and the same tree in every environment; the
overlay adds namespace, image digest, labels and the environment's settings (design §6). Where
the chart can also be run by an operator, `base/operator/` holds that form, and an environment's
policy decides which of the two its overlay points at.
Labels: limits.md "platform labels"; `tenant-id` is omitted in the shared plane.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline import names
from pipeline.documents import parse_document, render_document
from pipeline.gitobjects import MODE_FILE, tree_id_of_files
from pipeline.models.base import TreeId
from pipeline.models.facts import Release
from pipeline.models.requests import Environment, Platform, PrimitiveType, Tenant
from pipeline.models.status import DraftStatus

TIER_OF = {
    PrimitiveType.DOMAIN: "backend",
    PrimitiveType.PROCESS: "backend",
    PrimitiveType.AGENT: "backend",
    PrimitiveType.UI: "frontend",
}
# Runtime of an environment → the folder of an overlay that its kustomization points at.
FOLDER_OF = {"workload": "base", "operator": "base/operator"}


@dataclass(frozen=True, slots=True)
class Overlay:
    """One environment's files of a release: path below `folder` → bytes, and their tree."""

    environment: str
    namespace: str
    folder: str
    release: Release
    files: Mapping[str, bytes]
    tree: TreeId


def render_base(
    objects: Mapping[str, bytes], operator: Mapping[str, bytes] | None = None
) -> dict[str, bytes]:
    """The files of `base/`: the hydrated objects and the kustomization that lists them.

    `operator` are the objects of the chart's other form; they lie below, as a base of their own.
    """
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(objects),
    }
    files = {**dict(sorted(objects.items())), "kustomization.yaml": render_document(kustomization)}
    below = render_base(operator) if operator else {}
    return {**files, **{f"operator/{path}": content for path, content in below.items()}}


def has_runtime(files: Mapping[str, bytes], runtime: str) -> bool:
    """Whether an overlay's files hold the form that an environment's runtime needs."""
    return f"{FOLDER_OF[runtime]}/kustomization.yaml" in files


def base_tree_of(base: Mapping[str, bytes]) -> TreeId:
    """The tree id of `base/`."""
    return TreeId(tree_id_of_files({path: (MODE_FILE, content) for path, content in base.items()}))


def labels_of(
    status: DraftStatus, tenant: Tenant, platform: Platform, environment: str, namespace: str
) -> dict[str, str]:
    """The platform labels that every object of the primitive carries."""
    labels = {
        "ameide.io/environment": environment,
        "ameide.io/primitive": status.instance,
        "ameide.io/tenant-kind": status.sku.value.lower(),
        "ameide.io/tier": TIER_OF[status.primitive_type],
        "ameide.io/cost-centre": tenant.cost_centre,
    }
    if not names.is_shared_namespace(platform.platform, namespace):
        labels["ameide.io/tenant-id"] = status.tenant_id
    return dict(sorted(labels.items()))


def render_overlay(
    status: DraftStatus,
    tenant: Tenant,
    platform: Platform,
    environment: Environment,
    release: Release,
    base: Mapping[str, bytes],
) -> Overlay:
    """The overlay of a release in an environment; equal inputs give equal bytes."""
    env = environment.environment
    namespace = names.namespace(
        platform.platform, status.tenant_id, status.sku, status.code_origin, env
    )
    labels = labels_of(status, tenant, platform, env, namespace)
    settings = {"AMEIDE_ENVIRONMENT": env, **environment.settings}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [FOLDER_OF[environment.runtime]],
        "labels": [{"pairs": labels, "includeTemplates": True}],
        "images": [{"name": status.image, "digest": release.digest}],
        "configMapGenerator": [
            {
                "name": f"{status.instance}-environment",
                "literals": [f"{name}={value}" for name, value in sorted(settings.items())],
            }
        ],
        "generatorOptions": {"disableNameSuffixHash": True},
    }
    sealed = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "Release",
        "draft": status.id,
        "environment": env,
        "namespace": namespace,
        "image": f"{status.image}@{release.digest}",
        "template": status.template_id,
        **release.model_dump(mode="json"),
    }
    files = {
        "kustomization.yaml": render_document(kustomization),
        "release.yaml": render_document(sealed),
        **{f"base/{path}": content for path, content in base.items()},
    }
    files = dict(sorted(files.items()))
    tree = tree_id_of_files({path: (MODE_FILE, content) for path, content in files.items()})
    folder = names.overlay_folder(env, status.instance)
    return Overlay(env, namespace, folder, release, files, TreeId(tree))


def parse_overlay(folder: str, files: Mapping[str, bytes]) -> Overlay:
    """The overlay that lies in a folder, by the record that `render_overlay` sealed in it.

    Raises ValueError for files that hold no such record.
    """
    sealed = parse_document("release.yaml", files.get("release.yaml", b"")).value
    if not isinstance(sealed, dict):
        raise ValueError(f"{folder}/release.yaml is no sealed record")
    release = {name: sealed.get(name) for name in Release.model_fields}
    tree = tree_id_of_files({path: (MODE_FILE, content) for path, content in files.items()})
    return Overlay(
        environment=str(sealed.get("environment")),
        namespace=str(sealed.get("namespace")),
        folder=folder,
        release=Release.model_validate_json(json.dumps(release)),
        files=files,
        tree=TreeId(tree),
    )
