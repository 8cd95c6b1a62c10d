"""The objects that the pipeline itself writes into an overlay, by the platform's policy. Pure.

A NetworkPolicy decides what a primitive may reach, and a ServiceAccount who it is, so they come
from `environments/platform.yaml` and not from the chart. An operator makes its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.documents import parse_document
from pipeline.models.requests import Network, PrimitiveType, Reach

NETWORK_POLICY_FILE, SERVICE_ACCOUNT_FILE = "network-policy.yaml", "service-account.yaml"
PLATFORM_FILES = (NETWORK_POLICY_FILE, SERVICE_ACCOUNT_FILE)
DNS_NAMESPACE = "kube-system"
_NAMESPACE_LABEL = "kubernetes.io/metadata.name"

Object = dict[str, object]


def selector_of(primitive_id: str, instance: str) -> dict[str, str]:
    """The labels that every pod of a primitive carries, and that select only its pods."""
    return {"app.kubernetes.io/name": primitive_id, "app.kubernetes.io/instance": instance}


def reachable_namespaces(network: Network, type: PrimitiveType) -> tuple[str, ...]:
    """The namespaces that a primitive's NetworkPolicy may name, sorted."""
    further = {way.namespace for way in network.egress.get(type, ())}
    metrics = {network.metrics_namespace} if network.metrics_namespace else set()
    return tuple(sorted({network.gateway.namespace, DNS_NAMESPACE} | metrics | further))


def platform_objects(
    instance: str,
    primitive_id: str,
    type: PrimitiveType,
    network: Network,
    service: bytes | None,
) -> dict[str, Object]:
    """File name → object. `service` is the chart's Service; the gateway may reach its ports."""
    selector = selector_of(primitive_id, instance)
    labels = {**selector, "app.kubernetes.io/managed-by": "primitive-pipeline"}
    metadata = {"name": instance, "labels": labels}
    policy: Object = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": {"matchLabels": selector},
            # With both directions listed, all that no rule allows is denied.
            "policyTypes": ["Ingress", "Egress"],
            **({"ingress": ingress} if (ingress := [*_ingress(network, service)]) else {}),
            "egress": [*_egress(network, type)],
        },
    }
    account: Object = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        "automountServiceAccountToken": False,
    }
    return {NETWORK_POLICY_FILE: policy, SERVICE_ACCOUNT_FILE: account}


def _ingress(network: Network, service: bytes | None) -> Iterator[Object]:
    if ports := [*_ports_of(service)]:
        yield {"from": [_namespace(network.gateway.namespace)], "ports": ports}
    if network.metrics_namespace:
        yield {
            "from": [_namespace(network.metrics_namespace)],
            "ports": [{"protocol": "TCP", "port": "health"}],
        }


def _egress(network: Network, type: PrimitiveType) -> Iterator[Object]:
    dns = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    yield {"to": [_namespace(DNS_NAMESPACE)], "ports": dns}
    for way in (network.gateway, *network.egress.get(type, ())):
        yield {"to": [_namespace(way.namespace)], "ports": [_port(way)]}


def _namespace(name: str) -> Object:
    return {"namespaceSelector": {"matchLabels": {_NAMESPACE_LABEL: name}}}


def _port(way: Reach) -> Object:
    return {"protocol": "TCP", "port": way.port}


def _ports_of(service: bytes | None) -> Iterator[Object]:
    """The pods' ports behind a Service; the allow-list refuses malformed ones."""
    value = parse_document("service.yaml", service).value if service else None
    spec = value.get("spec") if isinstance(value, Mapping) else None
    ports = spec.get("ports") if isinstance(spec, Mapping) else None
    for port in ports if isinstance(ports, list) else ():
        if isinstance(port, Mapping):
            target = port.get("targetPort", port.get("port"))
            yield {"protocol": port.get("protocol", "TCP"), "port": target}
