"""The charts of every golden template: valid, restricted, and legal by the rules of manifests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pipeline.releases.rules import Target, check_objects
from pipeline.tools.helm import run_helm_lint
from tests.support.bindings import bound_of, in_overlay
from tests.support.golden_templates import TEMPLATES
from tests.support.projects import IMAGE, Values, chart_of, hydrated

SERVING = ["ConfigMap", "Deployment", "PodDisruptionBudget", "Service"]
KINDS = {"agent": SERVING, "domain": SERVING, "process": SERVING[:-1], "ui": SERVING}
RESOURCES = {"agent": "Agent", "domain": "Domain", "process": "Process", "ui": "UISurface"}
TIERS = {"ui": "frontend"}


@dataclass(frozen=True)
class Chart:
    """Kind → object of a rendered chart, in both of its forms."""

    template: str
    values: Values
    workload: dict[str, dict[str, Any]]
    operator: dict[str, dict[str, Any]]

    @property
    def all(self) -> list[dict[str, Any]]:
        return [*self.workload.values(), *self.operator.values()]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((name, values), id=f"{name}-{case}")
        for name, template in TEMPLATES.items()
        for case, values in template.cases.items()
    ],
)
def chart(request: pytest.FixtureRequest) -> Chart:
    name, values = request.param
    return Chart(name, values, hydrated(name, values), hydrated(name, values, runtime="operator"))


def test_a_chart_passes_helm_s_lint(chart: Chart) -> None:
    files = chart_of(chart.template, chart.values)
    assert run_helm_lint(files, values={"image": {"ref": IMAGE}}) == ()


def test_a_chart_renders_these_kinds_under_legal_names(chart: Chart) -> None:
    assert sorted(chart.workload) == KINDS[chart.template]
    assert list(chart.operator) == [RESOURCES[chart.template]]
    for item in chart.all:
        metadata = item["metadata"]
        assert len(metadata["name"]) <= 63
        assert "namespace" not in metadata
        assert metadata["labels"]["ameide.io/primitive"] == chart.values["instance"]
        assert metadata["labels"]["ameide.io/tier"] == TIERS.get(chart.template, "backend")


def test_pods_run_the_image_restricted(chart: Chart) -> None:
    pod = chart.workload["Deployment"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    for container in (*pod.get("initContainers", []), *pod["containers"]):
        assert container["image"] == IMAGE
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_an_operator_gets_one_resource_with_the_same_image(chart: Chart) -> None:
    resource = chart.operator[RESOURCES[chart.template]]
    assert resource["apiVersion"] == "ameide.io/v1"
    assert resource["spec"]["image"] == IMAGE


def test_only_code_of_the_shared_plane_serves_all_tenants(chart: Chart) -> None:
    is_shared = chart.values["code_origin"] == "platform"
    only = chart.workload["ConfigMap"]["data"]["ONLY_TENANT"]
    assert only == ("" if is_shared else chart.values["tenant_id"])


def test_a_chart_passes_the_rules_of_manifests(chart: Chart) -> None:
    instance, primitive = str(chart.values["instance"]), str(chart.values["primitive_id"])
    tier = TIERS.get(chart.template, "backend")
    tenant = str(chart.values["tenant_id"])
    bound = bound_of(instance, primitive=primitive, tenant=tenant, image=IMAGE, tier=tier)
    for objects in (chart.workload, chart.operator):
        named = in_overlay(objects.values(), bound)
        assert list(check_objects(named, Target("base", bound))) == []
