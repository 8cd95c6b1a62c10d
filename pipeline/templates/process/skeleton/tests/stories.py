"""One process for each way to end, told on a real Temporal server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import httpx
from conftest import TENANT, IdentitiesDouble, PlatformDouble, answer_well, definition_document
from conftest import identity_of
from primitive_sdk.identity import Identity
from primitive_sdk.settings import read_settings
from temporalio.client import WorkflowFailureError, WorkflowHistory
from test_settings import NEEDED

from process_${{ values.primitive_id | replace('-', '_') }}.contract import Progress, State
from process_${{ values.primitive_id | replace('-', '_') }}.settings import WorkerSettings
from process_${{ values.primitive_id | replace('-', '_') }}.starter import Handle, ProcessStarter, connect
from process_${{ values.primitive_id | replace('-', '_') }}.worker import make_worker

TOKEN = f"Bearer token-of-{TENANT}"


class StarterVerifier:
    """Believes one token; whoever holds it is an officer of the tenant."""

    async def verify(
        self, authorization: str | None, *, claimed_tenant: str | None = None
    ) -> Identity:
        """The identity of the officer."""
        if authorization != TOKEN:
            raise PermissionError
        return replace(identity_of(TENANT), roles=frozenset({"officer"}))


@dataclass(frozen=True)
class Story:
    """How the platform answers, what is done to the process, and the state it ends in."""

    name: str
    answer: Callable[[httpx.Request], httpx.Response]
    act: Callable[[ProcessStarter, Handle, str], Awaitable[None]]
    ends: State | None


async def _approve(starter: ProcessStarter, _: Handle, key: str) -> None:
    await until_waiting(starter, key)
    await starter.approve(TOKEN, key, "charge")


async def _cancel(starter: ProcessStarter, _: Handle, key: str) -> None:
    await until_waiting(starter, key)
    await starter.cancel(TOKEN, key)


async def _cancel_in_temporal(starter: ProcessStarter, handle: Handle, key: str) -> None:
    await until_waiting(starter, key)
    await handle.cancel()


async def _nothing(*_: object) -> None:
    return


def _of_another_tenant(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=definition_document(tenant_id="south"))


def _refuse_the_charge(request: httpx.Request) -> httpx.Response:
    if request.url.path.endswith("/charge"):
        return httpx.Response(422)
    return answer_well(request)


STORIES = (
    Story("approved", answer_well, _approve, State.DONE),
    Story("cancelled", answer_well, _cancel, State.CANCELLED),
    Story("temporal-cancelled", answer_well, _cancel_in_temporal, None),
    Story("step-failed", _refuse_the_charge, _approve, None),
    Story("other-tenant", _of_another_tenant, _nothing, None),
)


async def until_waiting(starter: ProcessStarter, key: str) -> None:
    """Returns once the process waits for its approval. Raises TimeoutError after 20 s."""
    async with asyncio.timeout(20):
        while (await starter.progress(TOKEN, key)).waiting_for != "charge":
            await asyncio.sleep(0.05)


async def tell(
    story: Story, address: str, namespace: str, key: str
) -> tuple[Progress | None, WorkflowHistory, PlatformDouble]:
    """How the process ended (None for a failure), its history, and what the platform was asked."""
    environment = {**NEEDED, "TEMPORAL_ADDRESS": address, "TEMPORAL_NAMESPACE": namespace}
    settings = read_settings(WorkerSettings, environment)
    client = await connect(settings)
    platform = PlatformDouble(story.answer)
    starter = ProcessStarter(client, StarterVerifier(), settings)
    async with make_worker(client, settings, platform.client(), IdentitiesDouble()):
        handle = await starter.start(TOKEN, key, "17")
        await story.act(starter, handle, key)
        try:
            ended = await asyncio.wait_for(handle.result(), 30)
        except WorkflowFailureError:
            ended = None
        return ended, await handle.fetch_history(), platform
