"""The objects that the pipeline adds to an overlay: a primitive's identity and network access."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.documents import render_document
from pipeline.models.requests import Network, PrimitiveType, Reach
from pipeline.releases.platform_objects import (
    NETWORK_POLICY_FILE,
    PLATFORM_FILES,
    SERVICE_ACCOUNT_FILE,
    platform_objects,
    reachable_namespaces,
    selector_of,
)
from pipeline.releases.rules import Target, check_objects
from tests.support.bindings import bound_of, in_overlay
from tests.support.samples import sample_platform

NETWORK = Network(
    gateway=Reach(namespace="gateway", port=8443),
    egress={PrimitiveType.DOMAIN: (Reach(namespace="postgres", port=5432),)},
)
WATCHED = NETWORK.model_copy(update={"metrics_namespace": "gateway"})
SERVICE = render_document(
    {
        "apiVersion": "v1",
        "kind": "Service",
        "spec": {"ports": [{"port": 80, "targetPort": "grpc"}, {"port": 53, "protocol": "UDP"}]},
    }
)


def objects_of(
    type: PrimitiveType = PrimitiveType.DOMAIN,
    network: Network = NETWORK,
    service: bytes | None = SERVICE,
) -> dict[str, dict[str, Any]]:
    return platform_objects("acme--orders", "orders", type, network, service)


def ways(rules: list[dict[str, Any]], side: str) -> list[tuple[str, str]]:
    """Namespace and port of all that is let through."""
    found = []
    for rule in rules:
        [peer] = rule[side]
        assert set(peer) == {"namespaceSelector"}
        [(label, namespace)] = peer["namespaceSelector"]["matchLabels"].items()
        assert label == "kubernetes.io/metadata.name"
        found += [(namespace, f"{p['protocol']} {p['port']}") for p in rule["ports"]]
    return found


def test_the_policy_denies_all_but_what_the_platform_says() -> None:
    spec = objects_of()[NETWORK_POLICY_FILE]["spec"]
    assert spec["podSelector"] == {"matchLabels": selector_of("orders", "acme--orders")}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert ways(spec["ingress"], "from") == [("gateway", "TCP grpc"), ("gateway", "UDP 53")]
    assert ways(spec["egress"], "to") == [
        ("kube-system", "UDP 53"),
        ("kube-system", "TCP 53"),
        ("gateway", "TCP 8443"),
        ("postgres", "TCP 5432"),
    ]


def test_egress_depends_on_the_primitive_type() -> None:
    spec = objects_of(PrimitiveType.AGENT)[NETWORK_POLICY_FILE]["spec"]
    assert {namespace for namespace, _ in ways(spec["egress"], "to")} == {"kube-system", "gateway"}
    assert reachable_namespaces(NETWORK, PrimitiveType.AGENT) == ("gateway", "kube-system")
    assert "postgres" in reachable_namespaces(NETWORK, PrimitiveType.DOMAIN)


@pytest.mark.parametrize("service", [None, b"", b"[", b"spec: {ports: 1}\n", b"spec: []\n"])
def test_without_a_service_there_is_no_ingress(service: bytes | None) -> None:
    spec = objects_of(service=service)[NETWORK_POLICY_FILE]["spec"]
    assert "ingress" not in spec and "Ingress" in spec["policyTypes"]


def test_metrics_are_read_where_the_platform_says_so() -> None:
    spec = objects_of(network=WATCHED, service=None)[NETWORK_POLICY_FILE]["spec"]
    assert ways(spec["ingress"], "from") == [("gateway", "TCP health")]


def test_the_service_account_has_no_token() -> None:
    account = objects_of()[SERVICE_ACCOUNT_FILE]
    assert account["metadata"]["name"] == "acme--orders"
    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("network", [NETWORK, WATCHED, sample_platform().network])
@pytest.mark.parametrize("service", [SERVICE, None])
def test_the_platform_s_objects_pass_the_allow_list(
    network: Network, service: bytes | None
) -> None:
    made = objects_of(network=network, service=service)
    assert tuple(made) == PLATFORM_FILES
    bound = bound_of("acme--orders", primitive="orders")
    objects = in_overlay(made.values(), bound)
    assert list(check_objects(objects, Target("overlay", bound))) == []
