"""Typed configuration, read once from the environment at start by `primitive_sdk.settings`."""

from __future__ import annotations

from dataclasses import dataclass, field

from primitive_sdk.settings import PrimitiveSettings

from .names import DEFINITION_REF, MAX_CONCURRENCY_PER_TENANT, TASK_QUEUE


@dataclass(frozen=True, kw_only=True)
class StarterSettings(PrimitiveSettings):
    """What it takes to start processes and to speak to running ones."""

    temporal_address: str
    temporal_namespace: str
    temporal_tls: bool = False
    temporal_api_key: str = field(default="", repr=False)
    task_queue: str = TASK_QUEUE
    # A keyword attribute that the Temporal namespace has; none when empty.
    tenant_search_attribute: str = ""
    process_timeout_s: int = 90 * 86_400


@dataclass(frozen=True, kw_only=True)
class WorkerSettings(StarterSettings):
    """What the worker needs besides: the platform's API, and its own client at the issuer."""

    platform_api_url: str
    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    token_scope: str = ""
    definition_ref: str = DEFINITION_REF
    max_concurrency_per_tenant: int = MAX_CONCURRENCY_PER_TENANT
    max_concurrent_activities: int = 200

    def problems(self) -> tuple[str, ...]:
        """What the types alone do not say; empty when all is well."""
        found = []
        if not 1 <= self.max_concurrency_per_tenant <= self.max_concurrent_activities:
            found.append("MAX_CONCURRENCY_PER_TENANT is not from 1 to MAX_CONCURRENT_ACTIVITIES")
        if self.stop_timeout_s < 3:
            found.append("STOP_TIMEOUT_S is less than 3")
        return tuple(found)
