"""Outbound calls carry the caller's identity and trace, and only go to configured places."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from primitive_sdk.identity import Identity
from primitive_sdk.outbound import OriginRefused, TenantClient
from primitive_sdk.telemetry import start_telemetry
from primitive_sdk.tenancy import NoTenant, bound

ACME = Identity(subject="a", tenant_id="acme", token="t0ken")
ORDERS = "https://orders.example.invalid"


def sent(
    url: str, *, answers: list[httpx.Response] | None = None, **options: Any
) -> list[httpx.Request]:
    """The requests that went out for one GET."""
    requests = []
    left = answers or [httpx.Response(200)]

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return left.pop(0)

    async def get() -> None:
        transport = httpx.MockTransport(answer)
        async with TenantClient([ORDERS], transport=transport) as client:
            await client.get(url, **options)

    with bound(ACME):
        asyncio.run(get())
    return requests


def test_a_request_carries_token_and_tenant() -> None:
    [request] = sent(f"{ORDERS}/v1/orders")
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.headers["x-tenant-id"] == "acme"


def test_a_request_carries_the_trace_that_it_is_part_of() -> None:
    with start_telemetry("test") as telemetry, telemetry.tracer.start_as_current_span("x") as span:
        [request] = sent(f"{ORDERS}/v1/orders")
    trace_id = f"{span.get_span_context().trace_id:032x}"
    assert request.headers["traceparent"].split("-")[1] == trace_id


def test_headers_of_the_caller_do_not_change_the_identity() -> None:
    headers = {"Authorization": "Bearer other", "X-Tenant-Id": "contoso"}
    [request] = sent(f"{ORDERS}/v1/orders", headers=headers)
    assert request.headers.get_list("authorization") == ["Bearer t0ken"]
    assert request.headers.get_list("x-tenant-id") == ["acme"]


@pytest.mark.parametrize(
    "url",
    [
        "http://orders.example.invalid/",
        "https://orders.example.invalid:8443/",
        "https://orders.example.invalid.evil.example/",
        "https://orders.example.invalid@evil.example/",
        "https://evil.example/https://orders.example.invalid/",
    ],
)
def test_another_origin_is_refused(url: str) -> None:
    with pytest.raises(OriginRefused):
        sent(url)


def test_the_default_port_is_the_same_origin() -> None:
    assert len(sent("https://ORDERS.example.invalid:443/v1/orders")) == 1


def test_a_redirect_does_not_take_the_token_elsewhere() -> None:
    elsewhere = httpx.Response(307, headers={"location": "https://evil.example/"})
    with pytest.raises(OriginRefused):
        sent(f"{ORDERS}/", answers=[elsewhere], follow_redirects=True)


def test_outside_of_a_request_nothing_is_sent() -> None:
    async def get() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(200))
        async with TenantClient([ORDERS], transport=transport) as client:
            await client.get(f"{ORDERS}/")

    with pytest.raises(NoTenant):
        asyncio.run(get())


@pytest.mark.parametrize(
    "origin",
    ["orders", "ftp://orders.example.invalid", f"{ORDERS}/v1", f"{ORDERS}/?a", "https://u@h/"],
)
def test_a_setting_that_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        TenantClient([origin])
