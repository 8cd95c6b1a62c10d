"""A real gRPC server: every call needs a good token, and its handler runs as its caller."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from primitive_sdk.rpc import IdentityInterceptor
from primitive_sdk.telemetry import start_telemetry
from primitive_sdk.tenancy import current_identity

from tests.unit.sdk.signing import Issuer, rsa_key

KEY = rsa_key()
Metadata = tuple[tuple[str, str], ...]


class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Tells the tenant of the call, in all four ways that a call can go."""

    def __init__(self) -> None:
        self.calls = 0

    async def one(self, request: bytes, _context: Any) -> bytes:
        self.calls += 1
        await asyncio.sleep(0.005)
        return current_identity().tenant_id.encode() + request

    async def many(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0.001)
            yield current_identity().tenant_id.encode() + request

    async def written(self, request: bytes, context: Any) -> None:
        for _ in range(3):
            await context.write(current_identity().tenant_id.encode() + request)

    async def sum(self, requests: AsyncIterator[bytes], _context: Any) -> bytes:
        return current_identity().tenant_id.encode() + b"".join([r async for r in requests])

    async def echo(self, requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield current_identity().tenant_id.encode() + request

    async def broken(self, _request: bytes, _context: Any) -> bytes:
        raise KeyError("the row of contoso")

    async def broken_stream(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield request
        raise KeyError("the row of contoso")

    async def refusing(self, _request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such order")
        return b""

    def service(self, details: Any) -> Any:
        kinds = {
            "one": grpc.unary_unary_rpc_method_handler,
            "many": grpc.unary_stream_rpc_method_handler,
            "written": grpc.unary_stream_rpc_method_handler,
            "sum": grpc.stream_unary_rpc_method_handler,
            "echo": grpc.stream_stream_rpc_method_handler,
            "broken": grpc.unary_unary_rpc_method_handler,
            "broken_stream": grpc.unary_stream_rpc_method_handler,
            "refusing": grpc.unary_unary_rpc_method_handler,
        }
        name = details.method.rpartition("/")[2]
        return kinds[name](getattr(self, name)) if name in kinds else None


class Served:
    def __init__(self) -> None:
        self.issuer = Issuer({"first": KEY})
        self.handlers = Handlers()

    def run(self, use: Callable[[grpc.aio.Channel], Awaitable[Any]]) -> Any:
        async def serve() -> Any:
            server = grpc.aio.server(interceptors=[IdentityInterceptor(self.issuer.verifier())])
            server.add_generic_rpc_handlers((self.handlers,))
            checks = health.aio.HealthServicer()
            await checks.set("", health_pb2.HealthCheckResponse.SERVING)
            health_pb2_grpc.add_HealthServicer_to_server(checks, server)
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            try:
                async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                    return await asyncio.wait_for(use(channel), 20)
            finally:
                await server.stop(0)

        return asyncio.run(serve())

    def metadata(self, tenant: str, *more: tuple[str, str]) -> Metadata:
        return (("authorization", f"Bearer {self.issuer.token(tenant_id=tenant)}"), *more)

    def ended(self, method: str, metadata: Metadata) -> tuple[grpc.StatusCode, str]:
        async def call(channel: grpc.aio.Channel) -> tuple[grpc.StatusCode, str]:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await channel.unary_unary(f"/test.Orders/{method}")(b"!", metadata=metadata)
            return error.value.code(), str(error.value.details())

        return self.run(call)


@pytest.fixture
def served() -> Served:
    return Served()


def test_each_kind_of_handler_runs_as_its_caller(served: Served) -> None:
    metadata = served.metadata("acme")

    async def requests() -> AsyncIterator[bytes]:
        for text in (b"1", b"2"):
            yield text

    async def call(channel: grpc.aio.Channel) -> dict[str, object]:
        many = channel.unary_stream("/test.Orders/many")(b"!", metadata=metadata)
        written = channel.unary_stream("/test.Orders/written")(b"!", metadata=metadata)
        echo = channel.stream_stream("/test.Orders/echo")(requests(), metadata=metadata)
        return {
            "one": await channel.unary_unary("/test.Orders/one")(b"!", metadata=metadata),
            "many": [response async for response in many],
            "written": [response async for response in written],
            "sum": await channel.stream_unary("/test.Orders/sum")(requests(), metadata=metadata),
            "echo": [response async for response in echo],
        }

    assert served.run(call) == {
        "one": b"acme!",
        "many": [b"acme!"] * 3,
        "written": [b"acme!"] * 3,
        "sum": b"acme12",
        "echo": [b"acme1", b"acme2"],
    }


def test_calls_of_two_tenants_at_once_do_not_mix(served: Served) -> None:
    tenants = ["acme", "contoso"] * 50

    async def call(channel: grpc.aio.Channel) -> list[bytes]:
        method = channel.unary_unary("/test.Orders/one")
        calls = [method(b"", metadata=served.metadata(tenant)) for tenant in tenants]
        return [await answer for answer in calls]

    assert served.run(call) == [tenant.encode() for tenant in tenants]


@pytest.mark.parametrize("method", ["one", "many", "sum", "echo", "none"])
def test_no_token_means_unauthenticated_whatever_the_method(served: Served, method: str) -> None:
    assert served.ended(method, ()) == (grpc.StatusCode.UNAUTHENTICATED, "token-missing")
    assert served.handlers.calls == 0


def test_a_refusal_tells_its_code(served: Served) -> None:
    metadata = (("authorization", f"Bearer {served.issuer.token(aud='another')}"),)
    assert served.ended("one", metadata) == (grpc.StatusCode.UNAUTHENTICATED, "audience")
    assert served.handlers.calls == 0


def test_a_tenant_in_the_metadata_that_disagrees_is_refused(served: Served) -> None:
    metadata = served.metadata("acme", ("x-tenant-id", "contoso"))
    assert served.ended("one", metadata)[1] == "tenant-mismatch"


def test_two_tenants_in_the_metadata_are_refused(served: Served) -> None:
    metadata = served.metadata("acme", ("x-tenant-id", "acme"), ("x-tenant-id", "contoso"))
    assert served.ended("one", metadata)[1] == "tenant-mismatch"


def test_two_tokens_are_refused(served: Served) -> None:
    metadata = served.metadata("acme") + served.metadata("contoso")
    assert served.ended("one", metadata)[1] == "token-malformed"


def test_a_call_cannot_be_verified_while_the_issuer_is_down(served: Served) -> None:
    served.issuer.broken = True
    ended = served.ended("one", served.metadata("acme"))
    assert ended == (grpc.StatusCode.UNAVAILABLE, "keys-unavailable")


def test_an_error_tells_the_caller_nothing(served: Served) -> None:
    ended = served.ended("broken", served.metadata("acme"))
    assert ended == (grpc.StatusCode.INTERNAL, "internal")


def test_an_error_in_a_stream_tells_the_caller_nothing(served: Served) -> None:
    async def call(channel: grpc.aio.Channel) -> tuple[list[bytes], object, object]:
        stream = channel.unary_stream("/test.Orders/broken_stream")(
            b"!", metadata=served.metadata("acme")
        )
        got = []
        with pytest.raises(grpc.aio.AioRpcError) as error:
            async for response in stream:
                got.append(response)
        return got, error.value.code(), error.value.details()

    assert served.run(call) == ([b"!"], grpc.StatusCode.INTERNAL, "internal")


def test_a_handler_s_own_error_is_told(served: Served) -> None:
    ended = served.ended("refusing", served.metadata("acme"))
    assert ended == (grpc.StatusCode.NOT_FOUND, "no such order")


def test_an_unknown_method_is_unimplemented_for_a_caller_with_a_token(served: Served) -> None:
    assert served.ended("none", served.metadata("acme"))[0] == grpc.StatusCode.UNIMPLEMENTED


def test_health_needs_no_token(served: Served) -> None:
    async def call(channel: grpc.aio.Channel) -> int:
        stub = health_pb2_grpc.HealthStub(channel)
        response = await stub.Check(health_pb2.HealthCheckRequest())
        return int(response.status)

    assert served.run(call) == health_pb2.HealthCheckResponse.SERVING


def test_a_call_is_traced_measured_and_logged_as_its_tenants(served: Served) -> None:
    kept, measured, stream = InMemorySpanExporter(), InMemoryMetricReader(), io.StringIO()
    parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    with start_telemetry(
        "orders",
        log_stream=stream,
        span_processors=[SimpleSpanProcessor(kept)],
        metric_readers=[measured],
    ):
        served.ended("broken", served.metadata("acme", parent))
        document = measured.get_metrics_data()
    [span] = kept.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    attributes = span.attributes or {}
    assert attributes["tenant.id"] == "acme"
    assert attributes["rpc.response.status_code"] == "INTERNAL"
    assert not span.status.is_ok

    [metric] = document.resource_metrics[0].scope_metrics[0].metrics
    [point] = metric.data.data_points
    assert (metric.name, point.count) == ("rpc.server.call.duration", 1)
    assert point.attributes["tenant.id"] == "acme"

    [line] = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert (line["tenant.id"], line["trace_id"]) == ("acme", "0af7651916cd43dd8448eb211c80319c")
    assert "KeyError" in line["exception"]
