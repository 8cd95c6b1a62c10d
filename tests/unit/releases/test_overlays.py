"""Overlays: one base everywhere, labels by SKU, the same bytes for the same input."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from pipeline.git.objects import MODE_FILE, tree_id_of_files
from pipeline.models.outputs import SealedRelease
from pipeline.models.requests import CodeOrigin, EnvironmentName, PrimitiveType, Sku
from pipeline.models.status import DraftStatus
from pipeline.releases.overlays import (
    Overlay,
    base_tree_of,
    labels_of,
    render_base,
    render_overlay,
)
from pipeline.releases.platform_objects import PLATFORM_FILES
from tests.support import fact_history as history
from tests.support.samples import (
    ENVIRONMENTS,
    sample_environment,
    sample_platform,
    sample_tenant,
)

STATUS = history.sample_status()


def overlay(environment: EnvironmentName, status: DraftStatus = STATUS) -> Overlay:
    """The overlay of the sample release."""
    return history.overlay_in(environment, status)


def kustomization_of(found: Overlay) -> dict[str, object]:
    """The overlay's kustomization, read back."""
    value = yaml.safe_load(found.files["kustomization.yaml"])
    assert isinstance(value, dict)
    return value


def test_base_is_the_same_tree_in_every_environment() -> None:
    trees = set()
    for environment in ENVIRONMENTS:
        files = overlay(environment).files
        base = {p.removeprefix("base/"): c for p, c in files.items() if p.startswith("base/")}
        assert base == history.BASE
        trees.add(base_tree_of(base))
    assert trees == {history.RELEASE.base_tree}


def test_a_base_lists_its_objects_in_one_order() -> None:
    objects = {"b.yaml": b"b", "a.yaml": b"a"}
    base = render_base(objects)
    assert yaml.safe_load(base["kustomization.yaml"])["resources"] == ["a.yaml", "b.yaml"]
    assert base == render_base(dict(reversed(objects.items())))
    assert list(base) == ["a.yaml", "b.yaml", "kustomization.yaml"]


def test_environments_differ_only_in_the_overlay() -> None:
    trees = {overlay(environment).tree for environment in ENVIRONMENTS}
    assert len(trees) == len(ENVIRONMENTS)
    for environment in ENVIRONMENTS:
        found = overlay(environment)
        assert found.folder == f"environments/{environment}/order-router"
        assert found.namespace == f"tenant-acme-{environment}-cust"
        assert kustomization_of(found)["namespace"] == found.namespace
        own = {p for p in found.files if not p.startswith("base/")}
        assert own == {"kustomization.yaml", "release.yaml", *PLATFORM_FILES}


def test_the_tree_id_is_git_s() -> None:
    found = overlay("prod")
    files = {path: (MODE_FILE, content) for path, content in found.files.items()}
    assert found.tree == tree_id_of_files(files)
    assert list(found.files) == sorted(found.files)


def test_image_is_set_by_digest_only() -> None:
    images = kustomization_of(overlay("prod"))["images"]
    assert images == [{"name": STATUS.image, "digest": history.DIGEST}]


def test_release_file_seals_what_was_promoted() -> None:
    sealed = yaml.safe_load(overlay("staging").files["release.yaml"])
    assert sealed == {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "Release",
        "draft": "acme/order-router",
        "environment": "staging",
        "namespace": "tenant-acme-staging-cust",
        "image": f"{STATUS.image}@{history.DIGEST}",
        "template": "domain@1.0.0",
        "source_commit": history.SOURCE_COMMIT,
        "source_tree": history.SOURCE_TREE,
        "digest": history.DIGEST,
        "base_tree": history.RELEASE.base_tree,
    }
    assert SealedRelease.model_validate_json(json.dumps(sealed)).digest == history.DIGEST


@pytest.mark.parametrize(
    ("sku", "origin", "kind", "tenant_id"),
    [
        (Sku.SHARED, CodeOrigin.PLATFORM, "shared", None),
        (Sku.SHARED, CodeOrigin.AGENT, "shared", "acme"),
        (Sku.NAMESPACE, CodeOrigin.PLATFORM, "namespace", "acme"),
        (Sku.NAMESPACE, CodeOrigin.TENANT, "namespace", "acme"),
        (Sku.PRIVATE, CodeOrigin.PLATFORM, "private", "acme"),
        (Sku.PRIVATE, CodeOrigin.TENANT, "private", "acme"),
    ],
)
def test_labels_say_tenant_and_kind_but_name_no_tenant_in_the_shared_plane(
    sku: Sku, origin: CodeOrigin, kind: str, tenant_id: str | None
) -> None:
    status = STATUS.model_copy(update={"sku": sku, "code_origin": origin})
    (entry,) = kustomization_of(overlay("dev", status))["labels"]  # type: ignore[misc]  # a list
    labels = entry["pairs"]
    assert entry["includeTemplates"] is True
    assert labels.get("ameide.io/tenant-id") == tenant_id
    assert labels["ameide.io/tenant-kind"] == kind
    assert labels["ameide.io/environment"] == "dev"
    assert labels["ameide.io/cost-centre"] == "CC-1042"
    assert labels["ameide.io/primitive"] == "order-router"
    assert list(labels) == sorted(labels)


@pytest.mark.parametrize("primitive_type", PrimitiveType)
def test_every_primitive_type_has_a_tier(primitive_type: PrimitiveType) -> None:
    status = STATUS.model_copy(update={"primitive_type": primitive_type})
    labels = labels_of(status, sample_tenant("acme"), sample_platform(), "dev", "tenant-acme-x")
    frontend = primitive_type is PrimitiveType.UI
    assert labels["ameide.io/tier"] == ("frontend" if frontend else "backend")


def test_equal_inputs_in_another_order_give_equal_bytes() -> None:
    environment = sample_environment("dev").model_copy(
        update={"settings": {"B": "2", "A": "1", "LOG_LEVEL": "info"}}
    )
    turned = environment.model_copy(
        update={"settings": dict(reversed(environment.settings.items()))}
    )
    base = dict(reversed(history.BASE.items()))
    arguments = (STATUS, sample_tenant("acme"), sample_platform())
    one = render_overlay(*arguments, environment, history.RELEASE, history.BASE)
    other = render_overlay(*arguments, turned, history.RELEASE, base)
    assert one == other and list(one.files) == list(other.files)


def test_settings_reach_the_config_map() -> None:
    (generator,) = kustomization_of(overlay("prod"))["configMapGenerator"]  # type: ignore[misc]
    assert generator["literals"] == ["AMEIDE_ENVIRONMENT=prod", "LOG_LEVEL=warning"]
    assert generator["name"] == "order-router-environment"


@pytest.mark.parametrize("field", ["digest", "base_tree", "source_tree", "source_commit"])
def test_another_release_is_another_tree(field: str) -> None:
    other = history.RELEASE.model_copy(
        update={field: history.digest_of("x") if field == "digest" else history.id_of("x")}
    )
    arguments = (STATUS, sample_tenant("acme"), sample_platform(), sample_environment("prod"))
    assert render_overlay(*arguments, other, history.BASE).tree != overlay("prod").tree


def test_an_overlay_is_a_value() -> None:
    assert replace(overlay("dev")) == overlay("dev")
