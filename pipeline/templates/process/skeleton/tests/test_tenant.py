"""The tenant's way: header, activity, token; and what is refused on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from conftest import IdentitiesDouble, identity_of
from primitive_sdk.identity import Identity, Unauthenticated
from primitive_sdk.tenancy import NoTenant, current_identity
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadConverter
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from process_${{ values.primitive_id | replace('-', '_') }} import contract
from process_${{ values.primitive_id | replace('-', '_') }}.interceptors import WorkerTenant
from process_${{ values.primitive_id | replace('-', '_') }}.limiter import TenantLimiter
from process_${{ values.primitive_id | replace('-', '_') }}.tokens import ServiceTokens


async def who() -> str:
    """The tenant under which the activity runs."""
    return current_identity().tenant_id


class Last(ActivityInboundInterceptor):
    """Runs the activity itself."""

    def __init__(self) -> None:
        """There is nothing behind it."""

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """What the activity returns."""
        return await input.fn(*input.args)


def header(tenant: object) -> dict[str, Payload]:
    """The header that a workflow sends with an activity."""
    return {contract.TENANT_HEADER: PayloadConverter.default.to_payload(tenant)}


def run_under(
    headers: Mapping[str, Payload],
    identities: IdentitiesDouble,
    limiter: TenantLimiter | None = None,
) -> object:
    """What an activity with these headers returns."""
    chain = WorkerTenant(identities, limiter or TenantLimiter(1)).intercept_activity(Last())
    activity = ExecuteActivityInput(fn=who, args=[], executor=None, headers=headers)
    return asyncio.run(ActivityEnvironment().run(chain.execute_activity, activity))


def test_an_activity_runs_under_its_workflows_tenant() -> None:
    assert run_under(header("north"), IdentitiesDouble()) == "north"
    with pytest.raises(NoTenant):
        current_identity()


@pytest.mark.parametrize("headers", [{}, header(""), header(None)])
def test_an_activity_without_a_tenant_is_refused(headers: Mapping[str, Payload]) -> None:
    with pytest.raises(ApplicationError) as caught:
        run_under(headers, IdentitiesDouble())
    assert caught.value.type == contract.TENANT_MISSING
    assert caught.value.non_retryable


def test_an_identity_of_another_tenant_is_refused() -> None:
    with pytest.raises(ApplicationError) as caught:
        run_under(header("north"), IdentitiesDouble(always="south"))
    assert caught.value.type == contract.TENANT_MISMATCH
    assert caught.value.non_retryable


def test_an_activity_of_a_busy_tenant_is_put_back_for_a_while() -> None:
    async def story() -> None:
        limiter = TenantLimiter(1, wait_s=0.01)
        chain = WorkerTenant(IdentitiesDouble(), limiter).intercept_activity(Last())
        activity = ExecuteActivityInput(fn=who, args=[], executor=None, headers=header("north"))
        async with limiter.slot("north"):
            with pytest.raises(ApplicationError) as caught:
                await ActivityEnvironment().run(chain.execute_activity, activity)
        assert caught.value.type == contract.TENANT_BUSY
        assert not caught.value.non_retryable
        assert caught.value.next_retry_delay is not None
        assert await ActivityEnvironment().run(chain.execute_activity, activity) == "north"

    asyncio.run(story())


@dataclass
class VerifierDouble:
    """Believes tokens of the form `token-of-TENANT`."""

    async def verify(
        self, authorization: str | None, *, claimed_tenant: str | None = None
    ) -> Identity:
        """The identity; refused as the real one refuses."""
        tenant_id = (authorization or "").removeprefix("Bearer token-of-")
        if tenant_id == "nobody":
            raise Unauthenticated("signature")
        if tenant_id != claimed_tenant:
            raise Unauthenticated("tenant-mismatch")
        return identity_of(tenant_id)


class Clock:
    """A clock that stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        """The seconds."""
        return self.now


def tokens_from(
    answer: Callable[[httpx.Request], Any], clock: Clock | None = None
) -> ServiceTokens:
    """Tokens from an issuer that answers so."""
    return ServiceTokens(
        VerifierDouble(),
        httpx.AsyncClient(transport=httpx.MockTransport(answer)),
        url="https://issuer.example.invalid/token",
        client_id="worker",
        client_secret="not-a-real-one",
        scope="tenant:{tenant}",
        clock=clock or Clock(),
    )


def issue(request: httpx.Request) -> httpx.Response:
    """A token of the tenant that the scope asks for."""
    form = dict(httpx.QueryParams(request.content.decode()))
    assert form["grant_type"] == "client_credentials"
    assert request.headers["authorization"].startswith("Basic ")
    tenant_id = form["scope"].removeprefix("tenant:")
    return httpx.Response(200, json={"access_token": f"token-of-{tenant_id}", "expires_in": 300})


def test_a_token_is_asked_for_once_until_it_nears_its_end() -> None:
    clock, asked = Clock(), list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.content.decode())
        return issue(request)

    async def story() -> None:
        tokens = tokens_from(answer, clock)
        many = await asyncio.gather(*(tokens.identity_for("north") for _ in range(10)))
        assert {identity.tenant_id for identity in many} == {"north"}
        assert len(asked) == 1
        assert (await tokens.identity_for("south")).tenant_id == "south"
        clock.now = 269
        await tokens.identity_for("north")
        assert len(asked) == 2
        clock.now = 271
        await tokens.identity_for("north")
        assert len(asked) == 3

    asyncio.run(story())


def test_tenants_do_not_wait_for_each_others_tokens() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        if b"north" in request.content:
            await asyncio.sleep(60)
        return issue(request)

    async def story() -> None:
        tokens = tokens_from(answer)
        waiting = asyncio.create_task(tokens.identity_for("north"))
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert (await tokens.identity_for("south")).tenant_id == "south"
        waiting.cancel()

    asyncio.run(story())


def test_a_token_of_another_tenant_fails_for_good() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"access_token": "token-of-south", "expires_in": 300})

    with pytest.raises(ApplicationError) as caught:
        asyncio.run(tokens_from(answer).identity_for("north"))
    assert caught.value.type == contract.TENANT_MISMATCH
    assert caught.value.non_retryable


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(401, json={"error": "invalid_client"}),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"expires_in": 1}),
        httpx.Response(200, json={"access_token": "token-of-nobody", "expires_in": 300}),
    ],
)
def test_an_issuer_that_gives_no_good_token_is_asked_again(answer: httpx.Response) -> None:
    with pytest.raises(ApplicationError) as caught:
        asyncio.run(tokens_from(lambda _: answer).identity_for("north"))
    assert not caught.value.non_retryable
    assert "token-of" not in str(caught.value)
