"""Carries the tenant from a verified token to every activity, and holds tenants to their share.

Starter: the bound identity's tenant goes into the workflow's header. Workflow: the header has to
agree with the input, and goes on to each activity. Activity: the header decides only whose token
is asked for; that token is verified, has to name the same tenant, and is what is bound.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, NoReturn, Protocol

import temporalio.client
from opentelemetry import metrics
from primitive_sdk.identity import Identity
from primitive_sdk.tenancy import bound, current_identity
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadConverter
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from .contract import TENANT_BUSY, TENANT_HEADER, TENANT_MISMATCH, TENANT_MISSING, ProcessInput
from .limiter import TenantBusy, TenantLimiter


class Identities(Protocol):
    """Where the identity comes from under which a worker acts for a tenant."""

    async def identity_for(self, tenant_id: str) -> Identity:
        """A verified identity of the tenant. Raises ApplicationError."""
        ...


class StarterTenant(temporalio.client.Interceptor):
    """Puts the bound identity's tenant into the header of each workflow that is started."""

    def intercept_client(
        self, next: temporalio.client.OutboundInterceptor
    ) -> temporalio.client.OutboundInterceptor:
        return _StarterOutbound(next)


class _StarterOutbound(temporalio.client.OutboundInterceptor):
    async def start_workflow(
        self, input: temporalio.client.StartWorkflowInput
    ) -> temporalio.client.WorkflowHandle[Any, Any]:
        payload = PayloadConverter.default.to_payload(current_identity().tenant_id)
        headers = {**input.headers, TENANT_HEADER: payload}
        return await super().start_workflow(replace(input, headers=headers))


class WorkerTenant(Interceptor):
    """The worker's side; `identities` and `limiter` may be left out where only replay runs."""

    def __init__(
        self, identities: Identities | None = None, limiter: TenantLimiter | None = None
    ) -> None:
        self._identities = identities
        self._limiter = limiter

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        return _WorkflowInbound

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        if self._identities is None or self._limiter is None:
            raise ValueError("a worker that runs activities needs identities and a limiter")
        return _ActivityInbound(next, self._identities, self._limiter)


class _WorkflowInbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        self._outbound = _WorkflowOutbound(outbound)
        super().init(self._outbound)

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        tenant_id = _tenant_of(input.headers, workflow.payload_converter())
        given = input.args[0] if input.args else None
        if not isinstance(given, ProcessInput) or given.tenant_id != tenant_id:
            _refuse("the input names another tenant than the header", TENANT_MISMATCH)
        self._outbound.tenant_id = tenant_id
        return await super().execute_workflow(input)


class _WorkflowOutbound(WorkflowOutboundInterceptor):
    tenant_id = ""

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        payload = workflow.payload_converter().to_payload(self.tenant_id)
        headers = {**input.headers, TENANT_HEADER: payload}
        return super().start_activity(replace(input, headers=headers))


class _ActivityInbound(ActivityInboundInterceptor):
    def __init__(
        self, next: ActivityInboundInterceptor, identities: Identities, limiter: TenantLimiter
    ) -> None:
        super().__init__(next)
        self._identities = identities
        self._limiter = limiter
        self._busy = metrics.get_meter("process").create_counter(
            "process.tenant.busy",
            description="Activities put back since their tenant was at its limit",
        )

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        tenant_id = _tenant_of(input.headers, activity.payload_converter())
        beating = asyncio.create_task(_beat())
        try:
            async with self._limiter.slot(tenant_id):
                identity = await self._identities.identity_for(tenant_id)
                if identity.tenant_id != tenant_id:
                    _refuse("the token is of another tenant", TENANT_MISMATCH)
                with bound(identity):
                    return await super().execute_activity(input)
        except TenantBusy as error:
            self._busy.add(1, {"tenant.id": tenant_id})
            raise ApplicationError(
                "the tenant is at its limit",
                type=TENANT_BUSY,
                # Spread out, so that those who were sent away do not come back as one.
                next_retry_delay=timedelta(seconds=random.uniform(0.5, 1.5)),
            ) from error
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating


async def _beat() -> None:
    """Tells Temporal that the activity lives, so that the loss of this worker shows soon.

    Heartbeats also bring the news that the workflow has cancelled the activity.
    """
    timeout = activity.info().heartbeat_timeout
    if timeout is None:
        return
    while True:
        activity.heartbeat()
        await asyncio.sleep(timeout.total_seconds() / 3)


def _tenant_of(headers: Mapping[str, Payload], converter: PayloadConverter) -> str:
    payload = headers.get(TENANT_HEADER)
    tenant_id = converter.from_payload(payload, str) if payload is not None else ""
    if not isinstance(tenant_id, str) or not tenant_id:
        _refuse("there is no tenant in the header", TENANT_MISSING)
    return tenant_id


def _refuse(message: str, kind: str) -> NoReturn:
    raise ApplicationError(message, type=kind, non_retryable=True)
