"""The common parts of the six kinds of `ameide.io/v1`: fields of `spec`, and `status`. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.crds.schema import (
    DNS_LABEL,
    DNS_NAME,
    IDENTIFIER,
    Schema,
    flag,
    image,
    mapping,
    names,
    quantities,
    record,
    records,
    rule,
    text,
    whole,
)

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def common(
    *,
    observability: Mapping[str, Schema] | None = None,
    rollout: Mapping[str, Schema] | None = None,
) -> dict[str, Schema]:
    """The fields of every kind, with a kind's additions to two of them."""
    return {
        "image": image("Image to run, by digest: the one that was built from the source"),
        "resources": _resources(),
        "env": mapping(
            "Environment variables; never a credential",
            {"type": "string", "maxLength": 4096},
        ),
        "envFrom": env_from("Objects whose keys become variables; later ones win"),
        "observability": record(
            "What the primitive tells about itself",
            {
                "logLevel": text("Least severe log record", choices=LEVELS, default="INFO"),
                "metrics": flag("Whether metrics are sent", default=True),
                "traceSamplePercent": whole("Share of requests traced", 0, 100, default=100),
                **(observability or {}),
            },
            default={},
        ),
        "security": record(
            "Who the pods are and whom they reach",
            {
                "serviceAccountName": text(
                    "Service account of the pods; its token is not mounted. One of the "
                    "resource's name when absent",
                    pattern=DNS_NAME,
                ),
                "networkProfile": text(
                    "Name of the operator's network profile; `gateway` is in and out through "
                    "the gateway alone",
                    pattern=DNS_LABEL,
                    longest=63,
                    default="gateway",
                ),
            },
            default={},
        ),
        "rollout": record(
            "How many pods there are and how they are replaced",
            {
                "minReplicas": whole("Fewest pods", 1, 50, default=1),
                "maxReplicas": whole("Most pods; scaled by load between the two", 1, 50),
                "targetCpuPercent": whole("Load at which pods are added", 10, 95, default=70),
                "terminationGracePeriodSeconds": whole("Time to stop in", 25, 600, default=30),
                **(rollout or {}),
            },
            rules=[
                rule(
                    "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
                    "minReplicas is at most maxReplicas",
                )
            ],
            default={},
        ),
    }


def _resources() -> Schema:
    def enough(name: str) -> Schema:
        both = f"has(self.requests.{name}) && has(self.limits.{name})"
        compared = f"quantity(self.limits.{name}).compareTo(quantity(self.requests.{name})) >= 0"
        return rule(
            f"!(has(self.requests) && has(self.limits) && {both}) || {compared}",
            f"the limit of {name} is at least its request",
        )

    return record(
        "What a pod asks for and may use",
        {
            "requests": quantities("Reserved for the pod"),
            "limits": quantities("Most that the pod may use"),
        },
        rules=[enough("cpu"), enough("memory")],
    )


def env_from(description: str) -> Schema:
    """A list of objects whose keys become environment variables."""

    def reference(what: str) -> Schema:
        return record(
            f"A {what} in the same namespace",
            {
                "name": text("Its name", pattern=DNS_NAME),
                "optional": flag("Whether it may be missing", default=False),
            },
            required=["name"],
        )

    item = record(
        "One source of environment variables",
        {"configMapRef": reference("ConfigMap"), "secretRef": reference("Secret")},
        rules=[
            rule("has(self.configMapRef) != has(self.secretRef)", "each entry names one source")
        ],
    )
    return records(description, item, most=20)


def definition_ref(kind: str) -> Schema:
    """The design that the primitive realises; its tenant cannot change."""
    # The same form as a draft's `design_refs`; the kind may be omitted, since it is known.
    return record(
        f"The {kind} that this primitive realises",
        {
            "id": text(
                f"`{kind}/<name>`, or its name alone, with `@<version>` to pin one",
                pattern=rf"^({kind}/)?[a-z0-9]+(-[a-z0-9]+)*(@[0-9]+)?$",
                longest=120,
            ),
            "tenantId": {
                **text("Tenant that the definition belongs to", pattern=IDENTIFIER, longest=40),
                "x-kubernetes-validations": [
                    rule("self == oldSelf", "the tenant of a primitive cannot change")
                ],
            },
        },
        required=["id", "tenantId"],
    )


def store(description: str, **more: Schema) -> Schema:
    """A schema in a database cluster; it cannot move to another, which would lose the rows."""
    return record(
        description,
        {
            "clusterRef": text("Name of the database cluster", pattern=DNS_NAME),
            "schema": {
                **text(
                    "Database schema that holds the tables",
                    pattern="^[a-z_][a-z0-9_]*$",
                    longest=63,
                ),
                "x-kubernetes-validations": [
                    rule(
                        "self == oldSelf",
                        "the database schema cannot change: its rows would stay behind",
                    )
                ],
            },
            **more,
        },
        required=["clusterRef", "schema"],
    )


def dependencies(*kinds: str) -> Schema:
    """Names of the primitives that this one calls, by kind."""
    return record(
        "Primitives that this one calls; they are ready before it is",
        {kind: names(f"Names of {kind}", pattern=DNS_LABEL) for kind in kinds},
    )


def status_schema() -> Schema:
    """The operator's report; conditions are apimachinery's `metav1.Condition`."""
    generation: Schema = {"type": "integer", "format": "int64", "minimum": 0}
    condition = record(
        "One aspect of the state",
        {
            "type": text("Aspect, such as `Ready`", pattern="^[A-Z][A-Za-z]*$", longest=64),
            "status": text("Whether it holds", choices=("True", "False", "Unknown")),
            "observedGeneration": {**generation, "description": "Generation that it is about"},
            "lastTransitionTime": {
                "type": "string",
                "format": "date-time",
                "description": "When `status` changed last",
            },
            "reason": text("Cause, for programs", pattern="^[A-Z][A-Za-z0-9]*$", longest=128),
            "message": {
                "type": "string",
                "maxLength": 32768,
                "description": "Cause, for people; may be empty",
            },
        },
        required=["type", "status", "lastTransitionTime", "reason", "message"],
    )
    return record(
        "What was observed; written by the operator alone",
        {
            "observedGeneration": {
                **generation,
                "description": "Generation of `spec` that was acted on last",
            },
            "image": text("Image that all ready pods run", longest=512),
            "readyReplicas": whole("Pods that are ready", 0, 1000),
            "conditions": records("State by aspect", condition, keys=["type"], most=20),
        },
    )
