"""Overlays: one release in one environment, as files and as a tree id. Pure.

`base/` is the chart hydrated once per release, and the same tree in every environment; the overlay
adds namespace, image digest, labels and the environment's settings (docs/model.md §10). If an
operator can also run the chart, `base/operator/` holds that form, and the environment's policy
decides which of the two its overlay points to. Plain workloads also get the platform's
NetworkPolicy and ServiceAccount.
The label `tenant-id` is omitted in the shared plane.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline import names
from pipeline.delivery.forms import Delivery, render_delivery
from pipeline.documents import parse_document, render_document
from pipeline.git.objects import MODE_FILE, tree_id_of_files
from pipeline.models.base import API_VERSION, TreeId
from pipeline.models.facts import Release
from pipeline.models.requests import Environment, Platform, PrimitiveType, Tenant
from pipeline.models.status import DraftStatus
from pipeline.releases.finished import finished_objects
from pipeline.releases.judge import UNBOUND, Bound
from pipeline.releases.platform_objects import (
    PLATFORM_FILES,
    platform_objects,
    reachable_namespaces,
)

TIER_OF = {
    PrimitiveType.DOMAIN: "backend",
    PrimitiveType.PROCESS: "backend",
    PrimitiveType.AGENT: "backend",
    PrimitiveType.UI: "frontend",
}
# Runtime of an environment → the folder that an overlay's kustomization points to.
FOLDER_OF = {"workload": "base", "operator": "base/operator"}
# The kinds of Service that a chart may have.
SERVICE_TYPES = ("ClusterIP",)


@dataclass(frozen=True, slots=True)
class Overlay:
    """A release's files for one environment: path below `folder` → bytes, and their tree.

    `bound` holds the required names, labels and references of its objects. An overlay that was read
    back has none, so nothing in it would be allowed: it is compared by its tree instead.
    """

    environment: str
    namespace: str
    folder: str
    release: Release
    files: Mapping[str, bytes]
    tree: TreeId
    bound: Bound = UNBOUND


def render_base(
    objects: Mapping[str, bytes], operator: Mapping[str, bytes] | None = None
) -> dict[str, bytes]:
    """The files of `base/`: the hydrated objects and the kustomization that lists them.

    `operator` are the objects of the chart's other form; they get a base of their own below.
    """
    files = {**dict(sorted(objects.items())), "kustomization.yaml": base_kustomization(objects)}
    below = render_base(operator) if operator else {}
    return {**files, **{f"operator/{path}": content for path, content in below.items()}}


def base_kustomization(paths: Iterable[str]) -> bytes:
    """The kustomization of a folder that lists these files."""
    return render_document(
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": sorted(paths),
        }
    )


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
    own = _own_files(status, platform, base) if environment.runtime == "workload" else {}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [FOLDER_OF[environment.runtime], *own],
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
        "apiVersion": API_VERSION,
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
        **own,
        **{f"base/{path}": content for path, content in base.items()},
    }
    files |= _delivery_files(status, platform, environment, (namespace, labels, settings), files)
    files = dict(sorted(files.items()))
    tree = tree_id_of_files({path: (MODE_FILE, content) for path, content in files.items()})
    folder = names.overlay_folder(env, status.instance)
    bound = bound_words(status, platform, namespace, release.digest, labels)
    return Overlay(env, namespace, folder, release, files, TreeId(tree), bound)


def _delivery_files(
    status: DraftStatus,
    platform: Platform,
    environment: Environment,
    given: tuple[str, Mapping[str, str], Mapping[str, str]],
    files: Mapping[str, bytes],
) -> dict[str, bytes]:
    """The files for the environment's form of delivery."""
    namespace, labels, settings = given
    tenant_id, origin = status.tenant_id, status.code_origin
    repo = names.gitops_repo(platform.platform, tenant_id, origin)
    delivery = Delivery(
        name=names.application(tenant_id, status.primitive_id, environment.environment),
        draft=status.id,
        instance=status.instance,
        project=names.project(platform.platform, tenant_id, origin),
        namespace=namespace,
        labels=labels,
        repo=repo,
        repo_url=f"{platform.forge_url}/{platform.organisation}/{repo}.git",
        folder=names.overlay_folder(environment.environment, status.instance),
        cluster=environment.cluster or "",
    )
    if environment.delivery != "helmrelease":
        return render_delivery(environment.delivery, delivery, {})
    objects = finished_objects(
        _resources(files, FOLDER_OF[environment.runtime]),
        namespace=namespace,
        labels=labels,
        settings=(f"{status.instance}-environment", settings),
    )
    return render_delivery(environment.delivery, delivery, objects)


def _resources(files: Mapping[str, bytes], base: str) -> dict[str, bytes]:
    """The files of the objects listed in an overlay's kustomization, by their names."""
    own = {path: content for path, content in files.items() if path in PLATFORM_FILES}
    below = {
        path.removeprefix(f"{base}/"): content
        for path, content in files.items()
        if path.startswith(f"{base}/")
    }
    plain = {path: c for path, c in below.items() if "/" not in path}
    plain.pop("kustomization.yaml", None)
    return {**plain, **own}


def _own_files(
    status: DraftStatus, platform: Platform, base: Mapping[str, bytes]
) -> dict[str, bytes]:
    """The files of the platform's own objects for plain workloads."""
    objects = platform_objects(
        status.instance,
        status.primitive_id,
        status.primitive_type,
        platform.network,
        base.get(f"service-{status.instance}.yaml"),
    )
    return {path: render_document(item) for path, item in objects.items()}


def bound_words(
    status: DraftStatus,
    platform: Platform,
    namespace: str,
    digest: str,
    labels: Mapping[str, str],
) -> Bound:
    """The values that an overlay's objects are bound to, by the allow-list's words."""
    reachable = reachable_namespaces(platform.network, status.primitive_type)
    return Bound.of(
        {
            "instance": status.instance,
            "primitive": status.primitive_id,
            "tenant": status.tenant_id,
            "schema": status.primitive_id.replace("-", "_"),
            "namespace": namespace,
            "image": f"{status.image}@{digest}",
            "namespaces": ",".join(reachable),
            "service types": ",".join(SERVICE_TYPES),
            **{f"label {key}": value for key, value in labels.items()},
        }
    )


def parse_overlay(folder: str, files: Mapping[str, bytes]) -> Overlay:
    """The overlay in a folder, from the record that `render_overlay` sealed in it.

    Raises ValueError for files without such a record.
    """
    sealed = parse_document("release.yaml", files.get("release.yaml", b"")).value
    if not isinstance(sealed, dict):
        raise ValueError(f"{folder}/release.yaml is not a sealed record")
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
