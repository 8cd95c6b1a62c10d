"""The gRPC server, put together from its parts; tests and `__main__` both start here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from ameide.domain.v1.entity_service_pb2 import DESCRIPTOR
from ameide.domain.v1.entity_service_pb2_grpc import add_EntityServiceServicer_to_server
from primitive_sdk.identity import IdentityVerifier
from primitive_sdk.rpc import IdentityInterceptor

from .service import EntityApi
from .settings import Settings
from .store import Store

SERVICE: Final = DESCRIPTOR.services_by_name["EntityService"].full_name
# An entity has at most 16 KiB as JSON; its message is larger, but not by much.
REQUEST_BYTES_MAX: Final = 131_072
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", REQUEST_BYTES_MAX),
    ("grpc.so_reuseport", 0),
)


class AddressTaken(Exception):
    """The server cannot listen where it was told to."""


@asynccontextmanager
async def serving(
    settings: Settings, store: Store, verifier: IdentityVerifier
) -> AsyncIterator[int]:
    """The port of a server that answers while the context lasts, 0 for a socket in a file.

    At the end, health says NOT_SERVING, no new call is taken, and the open ones may finish.
    Raises AddressTaken.
    """
    server = grpc.aio.server(
        interceptors=[IdentityInterceptor(verifier)],
        options=_OPTIONS,
        maximum_concurrent_rpcs=settings.concurrent_calls_max,
    )
    # The compiler makes this function without types.
    add_EntityServiceServicer_to_server(EntityApi(store), server)  # type: ignore[no-untyped-call]
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    if settings.reflection:
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    try:
        port = server.add_insecure_port(settings.grpc_address)
    except RuntimeError as error:
        raise AddressTaken(f"cannot listen on {settings.grpc_address}") from error
    await server.start()
    try:
        for name in ("", SERVICE):
            await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
        yield port
    finally:
        await healthy.enter_graceful_shutdown()
        # A little less than the process may take, for the rest has to end too.
        await server.stop(settings.stop_timeout_s * 0.8)
