"""Starts processes and speaks to running ones, for a caller whose token is verified each time.

The tenant is the token's. It is part of a process's id, so the processes of other tenants cannot
even be named.
"""

from __future__ import annotations

import re
from datetime import timedelta

from primitive_sdk.identity import Identity
from primitive_sdk.tenancy import bound
from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    Priority,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.exceptions import WorkflowAlreadyStartedError

from .contract import Decision, ProcessInput, Progress
from .interceptors import StarterTenant
from .names import PRIMITIVE
from .payloads import data_converter
from .settings import StarterSettings
from .tokens import Verifier
from .workflow import Process

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
MAX_SUBJECT_LENGTH = 200

Handle = WorkflowHandle[Process, Progress]


async def connect(settings: StarterSettings) -> Client:
    """A connection to Temporal that carries tenant and trace."""
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        tls=settings.temporal_tls,
        api_key=settings.temporal_api_key or None,
        data_converter=data_converter(),
        interceptors=[TracingInterceptor(), StarterTenant()],
    )


class ProcessStarter:
    """Processes of verified callers. Every call raises Unauthenticated for a token that is not."""

    def __init__(self, client: Client, verifier: Verifier, settings: StarterSettings) -> None:
        self._client = client
        self._verifier = verifier
        self._settings = settings

    async def start(self, authorization: str | None, key: str, subject: str) -> Handle:
        """The process that has this key; started unless it already was.

        `key` names the process within the tenant, `subject` the record that it is about. Raises
        ValueError when either is malformed.
        """
        if not subject or len(subject) > MAX_SUBJECT_LENGTH:
            raise ValueError(f"a subject has 1 to {MAX_SUBJECT_LENGTH} characters")
        caller = await self._verifier.verify(authorization)
        workflow_id, tenant_id = _workflow_id(caller, key), caller.tenant_id
        attributes = TypedSearchAttributes.empty
        if self._settings.tenant_search_attribute:
            name = SearchAttributeKey.for_keyword(self._settings.tenant_search_attribute)
            attributes = TypedSearchAttributes([SearchAttributePair(name, tenant_id)])
        try:
            with bound(caller):
                return await self._client.start_workflow(
                    Process.run,
                    ProcessInput(tenant_id, subject, caller.subject),
                    id=workflow_id,
                    task_queue=self._settings.task_queue,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    execution_timeout=timedelta(seconds=self._settings.process_timeout_s),
                    memo={"tenant_id": tenant_id},
                    search_attributes=attributes,
                    # Where the server knows fairness, one tenant's backlog delays no other's.
                    priority=Priority(fairness_key=tenant_id),
                )
        except WorkflowAlreadyStartedError:
            # It has ended; what it ended with is still there to be read.
            return self._client.get_workflow_handle_for(Process.run, workflow_id)

    async def approve(self, authorization: str | None, key: str, step: str) -> None:
        """Agrees to a step, in the name and with the roles of the caller."""
        caller = await self._verifier.verify(authorization)
        decision = Decision(by=caller.subject, roles=sorted(caller.roles), step=step)
        await self._handle(caller, key).signal(Process.approve, decision)

    async def cancel(self, authorization: str | None, key: str) -> None:
        """Calls the process off; what it has done is undone."""
        caller = await self._verifier.verify(authorization)
        decision = Decision(by=caller.subject, roles=sorted(caller.roles))
        await self._handle(caller, key).signal(Process.cancel, decision)

    async def progress(self, authorization: str | None, key: str) -> Progress:
        """How far the process is."""
        caller = await self._verifier.verify(authorization)
        return await self._handle(caller, key).query(Process.progress)

    def _handle(self, caller: Identity, key: str) -> Handle:
        return self._client.get_workflow_handle_for(Process.run, _workflow_id(caller, key))


def _workflow_id(caller: Identity, key: str) -> str:
    if not _KEY.match(key):
        raise ValueError("a key has 1 to 100 letters, digits, dots, dashes and underscores")
    return f"{caller.tenant_id}/{PRIMITIVE}/{key}"
