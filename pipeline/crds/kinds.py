"""The six kinds of `ameide.io/v1`: the fields of each `spec` beyond the common ones. Pure.

Field names of Domain, Process, Agent and UISurface are those of the platform's operators. A
Projection keeps a read model of domains' events; an Integration connects one system outside the
platform.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.crds.parts import common, definition_ref, dependencies, env_from, store
from pipeline.crds.schema import (
    DNS_LABEL,
    DNS_NAME,
    IDENTIFIER,
    Schema,
    flag,
    image,
    mapping,
    names,
    record,
    records,
    rule,
    text,
    whole,
)

RISK_TIERS = ("LOW", "MEDIUM", "HIGH", "CRITICAL")


@dataclass(frozen=True)
class Kind:
    """One kind: its names, the schema of its `spec`, and columns of `kubectl get`."""

    kind: str
    plural: str
    short: str
    description: str
    spec: Schema
    columns: Mapping[str, str]


def _spec(
    properties: Mapping[str, Schema],
    *,
    required: Sequence[str],
    rules: Sequence[Schema] = (),
    observability: Mapping[str, Schema] | None = None,
    rollout: Mapping[str, Schema] | None = None,
) -> Schema:
    shared = common(observability=observability, rollout=rollout)
    return record(
        "What is wanted",
        {"image": shared.pop("image"), **properties, **shared},
        required=["image", *required],
        rules=rules,
    )


DOMAIN = Kind(
    "Domain",
    "domains",
    "dom",
    "A service that keeps a tenant's entities behind an API",
    _spec(
        {
            "proto": record(
                "The API that it serves",
                {
                    "module": text("Protobuf module", pattern=r"^[a-z0-9]+([._/-][a-z0-9]+)*$"),
                    "version": text(
                        "Version of the module",
                        pattern=r"^v?[0-9]+(\.[0-9]+){0,2}([a-z0-9.+-]*[a-z0-9])?$",
                        longest=40,
                    ),
                },
                required=["module", "version"],
            ),
            "db": store(
                "Where its entities are kept",
                migrationJobImage=image(
                    "Image that migrates the schema before a rollout, by digest"
                ),
                migrationCommand={
                    "type": "array",
                    "description": "Command in that image; its own entry point when absent",
                    "maxItems": 20,
                    "x-kubernetes-list-type": "atomic",
                    "items": {"type": "string", "minLength": 1, "maxLength": 1024},
                },
                migrationEnvFrom=env_from("Credentials of the migration, beside `spec.envFrom`"),
            ),
        },
        required=["proto", "db"],
    ),
    {"Proto": ".spec.proto.module", "Schema": ".spec.db.schema"},
)

PROCESS = Kind(
    "Process",
    "processes",
    "proc",
    "A worker that runs the workflows of one process definition",
    _spec(
        {
            "definitionRef": definition_ref("process-definition"),
            "temporal": record(
                "Where its workflows run",
                {
                    "namespace": text(
                        "Temporal namespace", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
                    ),
                    "taskQueue": text(
                        "Task queue that the worker polls", pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"
                    ),
                },
                required=["namespace", "taskQueue"],
            ),
            "dependencies": dependencies("domains", "agents"),
        },
        required=["definitionRef", "temporal"],
        rollout={
            "maxConcurrencyPerTenant": whole(
                "Workflows of one tenant at a time", 1, 10_000, default=20
            )
        },
    ),
    {"Definition": ".spec.definitionRef.id", "Queue": ".spec.temporal.taskQueue"},
)

AGENT = Kind(
    "Agent",
    "agents",
    "agt",
    "A runtime for one agent definition, held to its tools and its risk tier",
    _spec(
        {
            "definitionRef": definition_ref("agent-definition"),
            "model": record(
                "The model that it asks",
                {
                    "provider": text("Provider", pattern=DNS_LABEL, longest=63),
                    "name": text("Model", pattern=r"^[A-Za-z0-9][A-Za-z0-9.:_/-]*$", longest=128),
                },
                required=["provider", "name"],
            ),
            "tools": record(
                "What it may do",
                {
                    "allowed": {
                        **names(
                            "Tools that it may call; none when empty",
                            pattern=r"^[A-Za-z][A-Za-z0-9_.:/-]*$",
                            longest=128,
                        ),
                        "default": [],
                    }
                },
                default={},
            ),
            "riskTier": text("How much harm it could do", choices=RISK_TIERS),
            "concurrency": record(
                "How much it does at a time",
                {"maxParallelSessions": whole("Sessions at a time", 1, 1000, default=10)},
                default={},
            ),
        },
        required=["definitionRef", "model", "riskTier"],
        rules=[
            rule(
                "!(self.riskTier in ['HIGH', 'CRITICAL'] && self.observability.logPrompts)",
                "agents of tier HIGH or CRITICAL log no prompts",
            )
        ],
        observability={
            "logPrompts": flag("Whether prompts and answers are logged", default=False),
            "emitTokens": flag("Whether token counts are sent as metrics", default=True),
        },
    ),
    {"Model": ".spec.model.name", "Risk": ".spec.riskTier"},
)

UI_SURFACE = Kind(
    "UISurface",
    "uisurfaces",
    "uis",
    "A micro-frontend below one path of a host",
    _spec(
        {
            "host": text("Host that serves it", pattern=DNS_NAME),
            "pathPrefix": text(
                "Path that it owns",
                pattern=r"^/([A-Za-z0-9_.~-]+(/[A-Za-z0-9_.~-]+)*)?$",
                longest=200,
            ),
            "auth": record(
                "What a user needs",
                {
                    "scopes": names(
                        "Scopes that it asks for",
                        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
                        longest=128,
                    )
                },
                required=["scopes"],
            ),
            "dependencies": dependencies("domains", "processes", "agents"),
            "features": record(
                "What is switched on",
                {"flags": mapping("Feature by name, on or off", {"type": "boolean"})},
            ),
        },
        required=["host", "pathPrefix", "auth"],
        rules=[
            rule(
                "!self.pathPrefix.split('/').exists(part, part == '.' || part == '..')",
                "the path has no `.` or `..` in it",
            )
        ],
    ),
    {"Host": ".spec.host", "Path": ".spec.pathPrefix"},
)

PROJECTION = Kind(
    "Projection",
    "projections",
    "proj",
    "A read model that follows the events of domains",
    _spec(
        {
            "sources": {
                **records(
                    "Domains whose events it follows",
                    record(
                        "The events of one domain",
                        {
                            "domain": text("Name of the Domain", pattern=DNS_LABEL, longest=63),
                            "stream": text(
                                "Its stream",
                                pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$",
                                default="events",
                            ),
                            "types": names(
                                "Types of event that count; all when absent",
                                pattern=r"^[A-Za-z][A-Za-z0-9._-]*$",
                                longest=128,
                            ),
                        },
                        required=["domain"],
                    ),
                    keys=["domain", "stream"],
                ),
                "minItems": 1,
            },
            "target": store("Where the read model is kept"),
            "rebuild": record(
                "When it is made anew from the first event",
                {
                    "generation": {
                        **whole("Raise it to rebuild once", 0, 1_000_000, default=0),
                        "x-kubernetes-validations": [
                            rule(
                                "self >= oldSelf",
                                "a rebuild that was asked for cannot be taken back",
                            )
                        ],
                    },
                    "strategy": text(
                        "BesideThenSwap builds a second copy and keeps answering; InPlace "
                        "empties the one there is",
                        choices=("BesideThenSwap", "InPlace"),
                        default="BesideThenSwap",
                    ),
                    "batchSize": whole("Events in a transaction", 1, 10_000, default=500),
                },
                default={},
            ),
            "maxLagSeconds": whole("Lag at which it counts as not ready", 1, 86_400, default=60),
        },
        required=["sources", "target"],
    ),
    {"Schema": ".spec.target.schema", "Rebuild": ".spec.rebuild.generation"},
)

_CRON = r"^[0-9*,/-]+( [0-9A-Za-z*,/?-]+){4}$"

INTEGRATION = Kind(
    "Integration",
    "integrations",
    "intg",
    "The connector to one system outside of the platform",
    _spec(
        {
            "system": record(
                "The other system",
                {
                    "name": text("What it is called", pattern=IDENTIFIER, longest=63),
                    "endpoint": {
                        **text("Its address", pattern="^https://[^ ]+$", longest=500),
                        "x-kubernetes-validations": [
                            rule(
                                "isURL(self) && url(self).getHost() != '' && !self.contains('@')",
                                "the endpoint is an address without credentials",
                            )
                        ],
                    },
                },
                required=["name", "endpoint"],
            ),
            "direction": text(
                "Whether records come in, go out, or both",
                choices=("Inbound", "Outbound", "Bidirectional"),
            ),
            "credentials": records(
                "Secrets that it signs in with",
                record(
                    "One credential",
                    {
                        "name": text("What it is to the connector", pattern=IDENTIFIER, longest=63),
                        "secretRef": record(
                            "A key of a Secret in the same namespace",
                            {
                                "name": text("The Secret", pattern=DNS_NAME),
                                "key": text("Its key", pattern=r"^[A-Za-z0-9._-]+$"),
                            },
                            required=["name", "key"],
                        ),
                    },
                    required=["name", "secretRef"],
                ),
                keys=["name"],
                most=20,
            ),
            "schedule": text(
                "When it runs, as cron in UTC; all the time when absent", pattern=_CRON, longest=100
            ),
            "suspend": flag("Whether it stands still", default=False),
            "dependencies": dependencies("domains", "processes"),
        },
        required=["system", "direction"],
        rules=[
            rule(
                "self.direction == 'Inbound' || (has(self.dependencies) && "
                "has(self.dependencies.domains) && size(self.dependencies.domains) > 0)",
                "what goes out comes from domains: name them in dependencies.domains",
            )
        ],
    ),
    {"System": ".spec.system.name", "Direction": ".spec.direction"},
)

KINDS: tuple[Kind, ...] = (DOMAIN, PROCESS, AGENT, UI_SURFACE, PROJECTION, INTEGRATION)
