"""Starts the service: `python -m` with the name of this package."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from psycopg import OperationalError

from primitive_sdk.health import Health
from primitive_sdk.identity import IdentityVerifier, JwksKeys
from primitive_sdk.lifecycle import StopTimedOut, run_until_stopped
from primitive_sdk.postgres import TenantDatabase, UnsafeDatabase
from primitive_sdk.settings import SettingsError
from primitive_sdk.telemetry import start_telemetry

from .database import STATEMENT_TIMEOUT, in_schema
from .entities import PRIMITIVE
from .events import LogPublisher, Publisher
from .memory_store import MemoryStore
from .postgres_store import PostgresStore
from .relay import PostgresOutbox, relay_events
from .server import AddressTaken, serving
from .settings import Settings, read_service_settings
from .store import Outbox, Store


def create_publisher(settings: Settings) -> Publisher:
    """Where events go. Point it at your broker here."""
    return LogPublisher()


async def open_store(
    settings: Settings, health: Health, stack: AsyncExitStack
) -> tuple[Store, Outbox | None]:
    """Where entities are kept, and where their events wait; closed with the stack."""
    if settings.store == "memory":
        store = MemoryStore()
        return store, store
    address = in_schema(settings.database_url, STATEMENT_TIMEOUT)
    database = await stack.enter_async_context(
        TenantDatabase.open(address, max_size=settings.database_pool_max)
    )
    health.add("database", database.ping)
    if not settings.relay_database_url:
        logging.getLogger(PRIMITIVE).warning("RELAY_DATABASE_URL is not set: events are kept")
        return PostgresStore(database), None
    relay = in_schema(settings.relay_database_url, STATEMENT_TIMEOUT)
    outbox = await stack.enter_async_context(PostgresOutbox.open(relay))
    return PostgresStore(database), outbox


@asynccontextmanager
async def relaying(settings: Settings, outbox: Outbox) -> AsyncIterator[None]:
    """Publishes events while the context lasts; at its end also those of the last calls."""
    stop = asyncio.Event()
    interval_s = settings.relay_interval_s
    work = relay_events(outbox, create_publisher(settings), stop, interval_s=interval_s)
    relay = asyncio.ensure_future(work)
    try:
        yield
    finally:
        stop.set()
        await relay


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serves until `stop` is set, then finishes what is under way."""
    async with AsyncExitStack() as stack:
        health = Health()
        store, outbox = await open_store(settings, health, stack)
        keys = await stack.enter_async_context(JwksKeys(settings.token_jwks_url))
        health.add("keys", keys.ping)
        verifier = IdentityVerifier(
            issuer=settings.token_issuer,
            audience=settings.token_audience,
            keys=keys,
            only_tenant=settings.only_tenant,
        )
        if outbox is not None:
            await stack.enter_async_context(relaying(settings, outbox))
        await stack.enter_async_context(serving(settings, store, verifier))
        await stack.enter_async_context(health.serve(settings.health_port))
        logging.getLogger(PRIMITIVE).info("serving on %s", settings.grpc_address)
        await stop.wait()
        health.stop()
        logging.getLogger(PRIMITIVE).info("stopping")


def main() -> int:
    """Serves until SIGTERM or SIGINT; the exit code."""
    try:
        settings = read_service_settings()
    except SettingsError as error:
        print(f"{PRIMITIVE}: {error}", file=sys.stderr)
        return 2
    resource = {"deployment.environment.name": settings.ameide_environment}
    with start_telemetry(
        PRIMITIVE,
        endpoint=settings.otlp_endpoint,
        resource=resource,
        log_level=settings.log_level,
    ):
        try:
            asyncio.run(
                run_until_stopped(
                    functools.partial(serve, settings), stop_timeout_s=settings.stop_timeout_s
                )
            )
        except (AddressTaken, OperationalError, TimeoutError, UnsafeDatabase) as error:
            logging.getLogger(PRIMITIVE).error("cannot serve: %s", error or "no answer in time")
            return 1
        except StopTimedOut as error:
            logging.getLogger(PRIMITIVE).error("stopped with calls open: %s", error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
