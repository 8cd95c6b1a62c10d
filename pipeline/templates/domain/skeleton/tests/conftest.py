"""What the tests share: a service on a socket of its own, and tokens of two tenants."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import grpc
import jwt
import pytest
from ameide.domain.v1 import entity_service_pb2 as api
from ameide.domain.v1 import entity_service_pb2_grpc as stubs
from cryptography.hazmat.primitives.asymmetric import ec
from jwt import PyJWK
from primitive_sdk.identity import IdentityVerifier, KeyUnknown

# Tests name the package here and nowhere else.
import domain_${{ values.primitive_id | replace('-', '_') }} as package
from domain_${{ values.primitive_id | replace('-', '_') }} import (
    database,
    entities,
    events,
    memory_store,
    migrate,
    postgres_store,
    relay,
    server,
    service,
    store,
)
from domain_${{ values.primitive_id | replace('-', '_') }} import settings as service_settings

__all__ = [
    "database",
    "entities",
    "events",
    "migrate",
    "package",
    "postgres_store",
    "relay",
    "service",
    "service_settings",
    "store",
]

ISSUER = "https://issuer.test/realms/one"
KEY = ec.generate_private_key(ec.SECP256R1())
DEADLINE_S = 30
T = TypeVar("T")


class OneKey:
    """An issuer with the key `one`."""

    async def key(self, key_id: str) -> PyJWK:
        if key_id != "one":
            raise KeyUnknown
        public = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        return PyJWK({**public, "kid": "one", "use": "sig", "alg": "ES256"})


def make_token(tenant: str = "north", **claims: object) -> str:
    """A token of the tenant; `claims` replace what it would hold."""
    now = int(time.time())
    body = {
        "iss": ISSUER,
        "aud": entities.PRIMITIVE,
        "sub": "user-1",
        "iat": now,
        "exp": now + 300,
        "tenant_id": tenant,
        **claims,
    }
    return jwt.encode(body, KEY, "ES256", headers={"kid": "one"})


class Refused(Exception):
    """What a call was refused with."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(error.details())
        self.status = error.code().name
        self.details = error.details()
        self.code = dict(error.trailing_metadata() or ()).get("error-code", "")


class Loop:
    """An event loop in a thread, so that tests can wait for what runs in it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(DEADLINE_S)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(DEADLINE_S)
        self.loop.close()


@dataclass(frozen=True)
class Client:
    """Calls the API as one caller; raises Refused."""

    run: Loop
    stub: stubs.EntityServiceStub
    metadata: tuple[tuple[str, str], ...] = ()

    def as_tenant(self, tenant: str) -> Client:
        return self.with_token(make_token(tenant))

    def with_token(self, token: str) -> Client:
        return replace(self, metadata=(("authorization", f"Bearer {token}"),))

    def call(self, method: str, request: object) -> Any:
        async def call() -> Any:
            metadata, timeout = self.metadata, DEADLINE_S
            return await getattr(self.stub, method)(request, metadata=metadata, timeout=timeout)

        try:
            return self.run(call())
        except grpc.aio.AioRpcError as error:
            raise Refused(error) from None

    def create(self, kind: str, name: str, key: str = "", **attributes: object) -> Any:
        draft = api.EntityDraft(name=name)
        draft.attributes.update(attributes)
        request = api.CreateEntityRequest(entity_type=kind, entity=draft, idempotency_key=key)
        return self.call("CreateEntity", request)

    def get(self, kind: str, id: str) -> api.Entity:
        return self.call("GetEntity", api.GetEntityRequest(entity_type=kind, id=id)).entity

    def list(self, kind: str, size: int = 0, token: str = "") -> api.ListEntitiesResponse:
        request = api.ListEntitiesRequest(entity_type=kind, page_size=size, page_token=token)
        return self.call("ListEntities", request)

    def update(self, kind: str, id: str, version: int, name: str) -> api.Entity:
        draft = api.EntityDraft(name=name)
        request = api.UpdateEntityRequest(entity_type=kind, id=id, version=version, entity=draft)
        return self.call("UpdateEntity", request).entity

    def delete(self, kind: str, id: str, version: int) -> None:
        request = api.DeleteEntityRequest(entity_type=kind, id=id, version=version)
        self.call("DeleteEntity", request)


@dataclass
class World:
    """A running service over a store in memory, with a clock that moves when it is read."""

    run: Loop
    now: datetime = field(default_factory=lambda: datetime(2030, 1, 1, tzinfo=UTC))

    def __post_init__(self) -> None:
        self.store = memory_store.MemoryStore(clock=self.clock)

    def clock(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    @contextmanager
    def serving(self, **environment: str) -> Iterator[World]:
        given = {
            "TOKEN_ISSUER": ISSUER,
            "TOKEN_JWKS_URL": "http://issuer.test/keys",
            "STORE": "memory",
            # No file and no port: the name lives as long as the socket.
            "GRPC_ADDRESS": f"unix-abstract:{uuid4()}",
            "STOP_TIMEOUT_S": "1",
            **environment,
        }
        settings = service_settings.read_service_settings(given)
        verifier = IdentityVerifier(
            issuer=ISSUER,
            audience=settings.token_audience,
            keys=OneKey(),
            only_tenant=settings.only_tenant,
        )
        running = server.serving(settings, self.store, verifier)
        self.run(running.__aenter__())
        try:
            self.channel = self.run(_open(settings.grpc_address))
            stub = stubs.EntityServiceStub(self.channel)
            self.client = Client(self.run, stub).as_tenant("north")
            yield self
            self.run(self.channel.close())
        finally:
            self.run(running.__aexit__(None, None, None))


async def _open(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address)


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    """An event loop for the whole run."""
    running = Loop()
    yield running
    running.close()


@pytest.fixture
def make_world(loop: Loop) -> Iterator[Callable[..., World]]:
    """Starts a service; arguments are variables of its environment."""
    with ExitStack() as stack:
        yield lambda **environment: stack.enter_context(World(loop).serving(**environment))


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A service that accepts the tokens of two tenants."""
    return make_world()


@pytest.fixture(params=entities.ENTITY_TYPES[:2])
def kind(request: pytest.FixtureRequest) -> str:
    """A type of entity; two of them show what holds for each, since all share their code."""
    return request.param
