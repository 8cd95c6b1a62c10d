"""The worker: polls the task queue until it is told to stop, then finishes what is under way."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import httpx
from primitive_sdk.health import Health
from primitive_sdk.identity import IdentityVerifier
from primitive_sdk.keys import JwksKeys, KeySource
from primitive_sdk.outbound import TenantClient
from temporalio.client import Client
from temporalio.worker import Worker

from .activities import Activities
from .interceptors import Identities, WorkerTenant
from .limiter import TenantLimiter
from .platform_api import PlatformApi
from .settings import StarterSettings, WorkerSettings
from .starter import connect
from .tokens import ServiceTokens
from .workflow import Process

_STICKY = timedelta(seconds=5)
_HTTP_TIMEOUT_S = 10.0


def verifier_of(settings: StarterSettings, keys: KeySource) -> IdentityVerifier:
    """What verifies tokens, of users and of the worker itself."""
    return IdentityVerifier(
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        keys=keys,
        only_tenant=settings.only_tenant,
    )


def make_worker(
    client: Client, settings: WorkerSettings, http: TenantClient, identities: Identities
) -> Worker:
    """A worker over one connection."""
    activities = Activities(PlatformApi(http, settings.platform_api_url), settings.definition_ref)
    limiter = TenantLimiter(settings.max_concurrency_per_tenant)
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[Process],
        activities=[activities.read_definition, activities.perform],
        interceptors=[WorkerTenant(identities, limiter)],
        max_concurrent_activities=settings.max_concurrent_activities,
        # How long the tasks of a worker that died wait for it before another one takes them.
        sticky_queue_schedule_to_start_timeout=_STICKY,
        # What is still running then is cancelled, reported, and tried again by another worker.
        graceful_shutdown_timeout=timedelta(seconds=settings.stop_timeout_s - 2),
    )


async def serve(settings: WorkerSettings, stopping: asyncio.Event) -> None:
    """Runs the worker until `stopping` is set; it is ready while Temporal and issuer answer."""
    async with AsyncExitStack() as stack:
        client = await connect(settings)
        keys = await stack.enter_async_context(JwksKeys(settings.token_jwks_url))
        outbound = await stack.enter_async_context(
            TenantClient([_origin_of(settings.platform_api_url)], timeout_s=_HTTP_TIMEOUT_S)
        )
        http = await stack.enter_async_context(
            httpx.AsyncClient(timeout=_HTTP_TIMEOUT_S, trust_env=False)
        )
        identities = ServiceTokens(
            verifier_of(settings, keys),
            http,
            url=settings.token_url,
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            scope=settings.token_scope,
        )

        async def temporal() -> None:
            if not await client.service_client.check_health(timeout=timedelta(seconds=2)):
                raise ConnectionError("Temporal is not serving")

        health = Health()
        health.add("temporal", temporal)
        health.add("issuer", keys.ping)
        await stack.enter_async_context(health.serve(settings.health_port))
        async with make_worker(client, settings, outbound, identities):
            await stopping.wait()
            health.stop()


def _origin_of(url: str) -> str:
    parts = httpx.URL(url)
    return f"{parts.scheme}://{parts.netloc.decode()}"
