"""The shared chart: both forms of every primitive type, rendered by helm, read as a cluster would.

Sources: Kubernetes "Pod Security Standards" (restricted), "Network Policies".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import yaml

from pipeline.errors import Unrenderable
from pipeline.releases.platform_objects import selector_of
from pipeline.releases.rules import Target, check_objects
from pipeline.tools.helm import run_helm_lint, run_helm_template
from pipeline.tools.kubeconform import run_kubeconform
from tests.support.bindings import bound_of, in_overlay
from tests.support.charts import RUNTIMES, TYPES, Values, chart_of, given, values_of
from tests.support.custom_resources import DIGEST, IMAGE

Object = dict[str, Any]
NAMESPACE = "tenant-acme-dev-cust"
KIND_OF = {"domain": "Domain", "process": "Process", "agent": "Agent", "ui": "UISurface"}


def render(type: str, runtime: str, values: Values | None = None) -> dict[str, Object]:
    """Kind → object; no chart renders two of a kind."""
    files = run_helm_template(
        chart_of(type, values),
        release="orders",
        values=given(runtime),
        kubernetes_version="1.34.0",
    )
    objects = [yaml.safe_load(content) for content in files.values()]
    assert len({item["kind"] for item in objects}) == len(objects)
    return {item["kind"]: item for item in objects}


@cache
def rendered(type: str, runtime: str = "workload") -> Mapping[str, Object]:
    """The same, once for all tests that only look."""
    return render(type, runtime)


def refusal_of(type: str, runtime: str = "workload", **changes: object) -> str:
    """Why helm refuses the chart with changed values."""
    with pytest.raises(Unrenderable) as caught:
        render(type, runtime, values_of(type, **changes))
    return caught.value.message


def pod_of(type: str) -> Object:
    spec: Object = rendered(type)["Deployment"]["spec"]["template"]["spec"]
    return spec


def containers_of(pod: Object) -> Iterator[Object]:
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def variables_of(container: Object) -> list[tuple[str, str]]:
    """Kind and name of the objects whose keys become the container's variables."""
    return [
        (kind, reference["name"])
        for item in container["envFrom"]
        for kind, reference in item.items()
    ]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("type", TYPES)
def test_helm_and_kubeconform_accept_every_chart(type: str, runtime: str) -> None:
    assert run_helm_lint(chart_of(type), values=given(runtime)) == ()
    stream = b"---\n".join(yaml.safe_dump(o).encode() for o in rendered(type, runtime).values())
    assert run_kubeconform(stream, file=type) == ()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("type", TYPES)
def test_every_chart_passes_the_pipeline_s_rules(type: str, runtime: str) -> None:
    tier = values_of(type)["primitive"]["tier"]
    bound = bound_of("orders", image=IMAGE, tier=tier)
    objects = in_overlay(rendered(type, runtime).values(), bound)
    assert list(check_objects(objects, Target(type, bound))) == []


def test_each_type_has_the_objects_that_it_needs() -> None:
    always = {"ConfigMap", "Deployment", "PodDisruptionBudget"}
    assert set(rendered("domain")) == always | {"Service", "HorizontalPodAutoscaler"}
    assert set(rendered("process")) == always, "nothing calls a worker"
    assert set(rendered("agent")) == set(rendered("ui")) == always | {"Service"}


# -- pods ---------------------------------------------------------------------------------


@pytest.mark.parametrize("type", TYPES)
def test_pods_meet_the_restricted_pod_security_standard(type: str) -> None:
    pod = pod_of(type)
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True and security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert [set(volume) - {"name"} for volume in pod["volumes"]] == [{"emptyDir"}]
    for container in containers_of(pod):
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["runAsNonRoot"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert "hostPort" not in str(container.get("ports", []))
        assert container["image"] == IMAGE
        assert container["imagePullPolicy"] == "IfNotPresent"
        assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("type", TYPES)
def test_no_pod_has_a_token_for_the_cluster(type: str) -> None:
    pod = pod_of(type)
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["serviceAccountName"] == "orders", "the account that the pipeline writes"


@pytest.mark.parametrize("type", TYPES)
def test_probes_ask_a_port_that_the_container_has(type: str) -> None:
    [container] = pod_of(type)["containers"]
    health = values_of(type)["health"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for probe, path in (
        ("startupProbe", "livePath"),
        ("livenessProbe", "livePath"),
        ("readinessProbe", "readyPath"),
    ):
        asked = container[probe]["httpGet"]
        assert asked["path"] == health[path]
        assert ports[asked["port"]] == health["port"]


@pytest.mark.parametrize("type", TYPES)
def test_deployment_service_and_budget_select_the_same_pods(type: str) -> None:
    found = rendered(type)
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selector = found["Deployment"]["spec"]["selector"]["matchLabels"]
    assert selector.items() <= labels.items() and len(selector) == 2
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == selector
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    assert selector_of("orders", "orders") == selector
    if "Service" in found:
        assert found["Service"]["spec"]["selector"] == selector
        ports = {
            p["name"]
            for p in found["Deployment"]["spec"]["template"]["spec"]["containers"][0]["ports"]
        }
        assert {p["targetPort"] for p in found["Service"]["spec"]["ports"]} <= ports


def test_pods_are_replaced_when_settings_change() -> None:
    def checksum(values: Values) -> str:
        template = render("agent", "workload", values)["Deployment"]["spec"]["template"]
        return str(template["metadata"]["annotations"]["ameide.io/settings-checksum"])

    assert checksum(values_of("agent")) == checksum(values_of("agent", replicas=3))
    assert checksum(values_of("agent")) != checksum(values_of("agent", settings={"A": "b"}))


def test_settings_arrive_unchanged_as_text() -> None:
    texts = {"A": "yes", "B": "0644", "C": "a: b #c", "D": "{{ .Values }}", "E": "'\"\n\t", "F": ""}
    values = values_of("agent", settings=texts)
    assert render("agent", "workload", values)["ConfigMap"]["data"] == {
        **texts,
        "STOP_TIMEOUT_S": "25",
    }
    assert render("agent", "operator", values)["Agent"]["spec"]["env"] == {
        **texts,
        "STOP_TIMEOUT_S": "25",
    }


def test_pods_have_a_fixed_number_or_an_autoscaler_and_never_both() -> None:
    assert "replicas" not in rendered("domain")["Deployment"]["spec"]
    scaled = rendered("domain")["HorizontalPodAutoscaler"]["spec"]
    assert (scaled["minReplicas"], scaled["maxReplicas"]) == (2, 6)
    assert rendered("agent")["Deployment"]["spec"]["replicas"] == 2


# -- migrations ---------------------------------------------------------------------------


def test_only_the_migration_has_the_schema_owner_s_credentials() -> None:
    [migrate] = pod_of("domain")["initContainers"]
    [service] = pod_of("domain")["containers"]
    assert migrate["command"] == ["python", "-m", "primitive_sdk.migrate"]
    assert ("secretRef", "orders-owner") in variables_of(migrate)
    assert ("secretRef", "orders-owner") not in variables_of(service)
    assert variables_of(migrate)[:-1] == variables_of(service)


def test_a_rollout_waits_as_long_as_its_migration_may_take() -> None:
    assert rendered("domain")["Deployment"]["spec"]["progressDeadlineSeconds"] == 900
    assert "progressDeadlineSeconds" not in rendered("agent")["Deployment"]["spec"]
    assert "initContainers" not in pod_of("agent")


def test_settings_of_the_environment_win_over_the_chart_s() -> None:
    [service] = pod_of("domain")["containers"]
    assert variables_of(service) == [
        ("configMapRef", "orders-settings"),
        ("configMapRef", "orders-environment"),
        ("secretRef", "orders-database"),
    ]
    assert service["envFrom"][1]["configMapRef"]["optional"] is True


# -- the custom resource ------------------------------------------------------------------


@pytest.mark.parametrize("type", TYPES)
def test_with_an_operator_a_chart_renders_one_object(type: str) -> None:
    [(kind, item)] = rendered(type, "operator").items()
    assert kind == KIND_OF[type]
    assert item["spec"]["image"] == IMAGE
    assert item["metadata"]["name"] == "orders"
    values = values_of(type)
    assert item["spec"]["resources"] == values["resources"]
    for name, value in values["resource"]["spec"].items():
        assert item["spec"][name] == value or name in {"db", "rollout"}, "those two are added to"
    assert item["spec"]["rollout"]["terminationGracePeriodSeconds"] == 30
    assert item["spec"]["envFrom"][0] == {
        "configMapRef": {"name": "orders-environment", "optional": True}
    }


def test_the_operator_s_object_names_migrations_scaling_and_rollout() -> None:
    domain = rendered("domain", "operator")["Domain"]["spec"]
    assert domain["db"] == {
        "clusterRef": "tenant-data",
        "schema": "orders",
        "migrationJobImage": IMAGE,
        "migrationCommand": ["python", "-m", "primitive_sdk.migrate"],
        "migrationEnvFrom": [{"secretRef": {"name": "orders-owner"}}],
    }
    assert domain["rollout"] == {
        "minReplicas": 2,
        "maxReplicas": 6,
        "targetCpuPercent": 70,
        "terminationGracePeriodSeconds": 30,
    }
    assert rendered("process", "operator")["Process"]["spec"]["rollout"] == {
        "maxConcurrencyPerTenant": 5,
        "minReplicas": 2,
        "maxReplicas": 2,
        "terminationGracePeriodSeconds": 30,
    }


# -- what the values' schema refuses ------------------------------------------------------

_PORT = values_of("agent")["ports"][0]
REFUSED: Mapping[str, tuple[str, Values]] = {
    "an unknown value": ("agent", {"replica": 2}),
    "an unknown value further in": ("agent", {"autoscaling": {"enabled": False, "always": True}}),
    "a network of the chart's own": ("agent", {"network": {"egress": []}}),
    "a missing value": ("agent", {"health": {"port": 8081, "livePath": "/healthz"}}),
    "no replica": ("agent", {"replicas": 0}),
    "a number for a setting": ("agent", {"settings": {"PORT": 8080}}),
    "a setting that is not a variable": ("agent", {"settings": {"log-level": "INFO"}}),
    "a port's name in capitals": ("agent", {"ports": [{**_PORT, "name": "HTTP"}]}),
    "a port beyond the last": ("agent", {"ports": [{**_PORT, "port": 65536}]}),
    "a port of the node": ("agent", {"ports": [{**_PORT, "hostPort": 80}]}),
    "scaling without bounds": ("agent", {"autoscaling": {"enabled": True}}),
    "a quantity of nothing": ("agent", {"resources": {"requests": {"cpu": "0"}, "limits": {}}}),
    "a device": ("agent", {"resources": {"requests": {"gpu": "1"}, "limits": {}}}),
    "a kind of another group": ("agent", {"resource": {"kind": "ClusterRole", "spec": {}}}),
    "a second image": ("agent", {"resource": {"kind": "Agent", "spec": {"image": "busybox"}}}),
    "no time to stop": ("agent", {"terminationGracePeriodSeconds": 5}),
    "an unknown type": ("agent", {"primitive": {"id": "a", "type": "cron", "tier": "backend"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_values_are_refused(name: str) -> None:
    type, changes = REFUSED[name]
    assert "values don't meet the specifications of the schema" in refusal_of(type, **changes)


@pytest.mark.parametrize(
    "image",
    [
        "registry.example.com/a:1.2.3",
        "registry.example.com/a",
        f"registry.example.com/a@{DIGEST[:-1]}",
        f"registry.example.com/a@{DIGEST} ",
        f"registry.example.com/a@{DIGEST}\nhostNetwork: true",
    ],
)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_image_without_a_digest_is_refused(runtime: str, image: str) -> None:
    with pytest.raises(Unrenderable, match="image"):
        run_helm_template(
            chart_of("domain"),
            release="orders",
            values={"image": {"ref": image}, "runtime": runtime},
            kubernetes_version="1.34.0",
        )


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_chart_without_an_image_says_so(runtime: str) -> None:
    with pytest.raises(Unrenderable, match=r"image\.ref is not set"):
        run_helm_template(
            chart_of("domain"),
            release="orders",
            values={"runtime": runtime},
            kubernetes_version="1.34.0",
        )


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(Unrenderable, match="runtime"):
        run_helm_template(
            chart_of("domain"),
            release="orders",
            values={"image": {"ref": IMAGE}, "runtime": "both"},
            kubernetes_version="1.34.0",
        )


def test_names_fit_with_the_longest_release() -> None:
    release = "a" * 53
    files = run_helm_template(
        chart_of("domain"), release=release, values=given("workload"), kubernetes_version="1.34.0"
    )
    stream = b"---\n".join(files.values())
    assert run_kubeconform(stream, file="long") == ()
    for content in files.values():
        metadata = yaml.safe_load(content)["metadata"]
        assert len(metadata["name"]) <= 63
        assert all(len(value) <= 63 for value in metadata["labels"].values())
