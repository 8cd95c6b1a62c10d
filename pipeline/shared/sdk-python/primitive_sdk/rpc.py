"""Identity for gRPC servers: no handler runs without a verified token.

Except the health service, which the kubelet asks without one. Metadata is what the caller says:
`authorization` is verified, `x-tenant-id` only compared. An error that a handler did not mean
tells the caller nothing but INTERNAL; it is in the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from primitive_sdk.identity import (
    Identity,
    IdentityVerifier,
    KeysUnavailable,
    Unauthenticated,
)
from primitive_sdk.tenancy import bound, tenant_attributes

_log = logging.getLogger(__name__)

_HEALTH_SERVICE = "/grpc.health.v1.Health/"
_PROPAGATOR = TraceContextTextMapPropagator()

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


class IdentityInterceptor(grpc.aio.ServerInterceptor):
    """Verifies the token of each call, binds its identity, traces and measures the call.

    Handlers are coroutines or, for streams of responses, asynchronous generators. A call without
    a good token ends as UNAUTHENTICATED with the code of `Unauthenticated` as its details, and as
    UNAVAILABLE while the issuer's keys cannot be had.
    """

    def __init__(self, verifier: IdentityVerifier) -> None:
        self._verifier = verifier
        self._tracer = trace.get_tracer("primitive_sdk.rpc")
        # OpenTelemetry semantic conventions, "RPC metrics".
        self._duration = metrics.get_meter("primitive_sdk.rpc").create_histogram(
            "rpc.server.call.duration", unit="s", description="Duration of incoming calls"
        )

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """The handler of the call, or one that refuses it."""
        method: str = handler_call_details.method
        if method.startswith(_HEALTH_SERVICE):
            return await continuation(handler_call_details)
        metadata = tuple(handler_call_details.invocation_metadata or ())
        try:
            identity = await self._verify(metadata)
        except Unauthenticated as refused:
            return _refusal(grpc.StatusCode.UNAUTHENTICATED, refused.code)
        except KeysUnavailable:
            _log.error("a call to %s cannot be verified", method, exc_info=True)
            return _refusal(grpc.StatusCode.UNAVAILABLE, "keys-unavailable")
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        carrier = {key: value for key, value in metadata if isinstance(value, str)}
        parent = _PROPAGATOR.extract(carrier)
        return self._wrapped(handler, _Call(method, identity, parent))

    async def _verify(self, metadata: tuple[tuple[str, str | bytes], ...]) -> Identity:
        tokens = [value for key, value in metadata if key == "authorization"]
        tenants = {value for key, value in metadata if key == "x-tenant-id"}
        if len(tokens) > 1 or not all(isinstance(token, str) for token in tokens):
            raise Unauthenticated("token-malformed")
        claimed = {tenant for tenant in tenants if isinstance(tenant, str)}
        if len(claimed) != len(tenants) or len(claimed) > 1:
            raise Unauthenticated("tenant-mismatch")
        authorization = str(tokens[0]) if tokens else None
        return await self._verifier.verify(authorization, claimed_tenant=next(iter(claimed), None))

    def _wrapped(self, handler: Any, call: _Call) -> Any:
        """The same kind of handler, run inside of the call's identity and span."""

        async def one(request: Any, context: Any) -> Any:
            behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary
            with self._observed(call, context):
                try:
                    return await behaviour(request, context)
                except Exception as error:
                    await _hide(error, call, context)
                    raise

        async def many(request: Any, context: Any) -> AsyncIterator[Any]:
            behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream
            with self._observed(call, context):
                try:
                    responses = behaviour(request, context)
                    if not hasattr(responses, "__aiter__"):
                        await responses  # it writes its responses to the context
                        return
                    async for response in responses:
                        yield response
                except Exception as error:
                    await _hide(error, call, context)
                    raise

        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[bool(handler.request_streaming), bool(handler.response_streaming)]
        return make(
            many if handler.response_streaming else one,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    @contextmanager
    def _observed(self, call: _Call, context: Any) -> Iterator[None]:
        begun = time.perf_counter()
        attributes = {"rpc.system.name": "grpc", "rpc.method": call.method.lstrip("/")}
        with (
            self._tracer.start_as_current_span(
                call.method.lstrip("/"),
                context=call.parent,
                kind=SpanKind.SERVER,
                attributes=attributes,
                # The log has it, once; an abort is an answer and no exception.
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            bound(call.identity),
        ):
            try:
                yield
            finally:
                status = _status_name(context)
                span.set_attribute("rpc.response.status_code", status)
                if status in ("UNKNOWN", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNIMPLEMENTED"):
                    span.set_status(StatusCode.ERROR)
                self._duration.record(
                    time.perf_counter() - begun,
                    {**attributes, **tenant_attributes(), "rpc.response.status_code": status},
                )


class _Call:
    """What is known of a call before its handler runs."""

    __slots__ = ("identity", "method", "parent")

    def __init__(self, method: str, identity: Identity, parent: Context) -> None:
        self.method = method
        self.identity = identity
        self.parent = parent


def _refusal(status: grpc.StatusCode, details: str) -> Any:
    """A handler that ends any call with this status; it never reads the request."""

    async def refuse(_request: Any, context: Any) -> None:
        await context.abort(status, details)

    return grpc.unary_unary_rpc_method_handler(refuse)


async def _hide(error: Exception, call: _Call, context: Any) -> None:
    """Ends the call as INTERNAL, unless the handler ended it by itself."""
    # BaseError is what `context.abort` raises.
    if isinstance(error, (grpc.aio.AbortError, grpc.aio.BaseError)):
        return
    _log.error("%s failed", call.method, exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, "internal")


def _status_name(context: Any) -> str:
    """The name of the call's status; a handler that returns without setting one means OK."""
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return code.name
    return next((status.name for status in grpc.StatusCode if status.value[0] == code), "OK")
