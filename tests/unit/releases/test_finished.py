"""What an overlay comes to, without kustomize; kustomize's own answer is compared elsewhere
(`tests/integration/delivery/test_forms.py`)."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pipeline.releases.finished import finished_objects

LABELS = {"ameide.io/environment": "prod", "app": "theirs"}


def finished(**files: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return finished_objects(
        {f"{name}.yaml": yaml.safe_dump(item).encode() for name, item in files.items()},
        namespace="tenant-acme-prod-cust",
        labels=LABELS,
        settings=("x-environment", {"B": "'1'", "A": "on"}),
    )


def test_settings_are_a_config_map_of_their_own() -> None:
    assert finished() == {
        "configmap-x-environment.yaml": {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "x-environment",
                "labels": LABELS,
                "namespace": "tenant-acme-prod-cust",
            },
            "data": {"A": "on", "B": "1"},
        }
    }


def test_labels_go_where_kustomize_puts_them_and_nowhere_else() -> None:
    template = {"metadata": {"labels": {"app": "x", "own": "y"}}, "spec": {}}
    selector = {"matchLabels": {"app": "x"}}
    found = finished(
        deployment={
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "x", "namespace": "elsewhere"},
            "spec": {"selector": selector, "template": template},
        },
        cronjob={
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "x"},
            "spec": {"jobTemplate": {"spec": {"template": template}}},
        },
        domain={
            "apiVersion": "ameide.io/v1",
            "kind": "Deployment",
            "metadata": {"name": "x"},
            "spec": {"template": template},
        },
    )
    deployment = found["deployment.yaml"]
    assert deployment["metadata"]["namespace"] == "tenant-acme-prod-cust"
    assert deployment["spec"]["template"]["metadata"]["labels"] == {"own": "y", **LABELS}
    assert deployment["spec"]["selector"] == selector
    job = found["cronjob.yaml"]["spec"]["jobTemplate"]
    assert job["metadata"]["labels"] == LABELS
    assert job["spec"]["template"]["metadata"]["labels"] == {"own": "y", **LABELS}
    assert found["domain.yaml"]["spec"]["template"] == template


def test_a_file_without_an_object_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"x\.yaml: "):
        finished_objects({"x.yaml": b"- 1\n"}, namespace="n", labels={}, settings=("s", {}))
