"""What the tests share: a client that calls the application in process, and tokens of two tenants."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.types import ASGIApp, Message

from domain_${{ values.primitive_id | replace('-', '_') }} import app as service
from domain_${{ values.primitive_id | replace('-', '_') }} import entities, settings
from domain_${{ values.primitive_id | replace('-', '_') }} import sqlite_repository as sqlite

ISSUER = "https://issuer.test/realms/one"
KEY = ec.generate_private_key(ec.SECP256R1())


def key_set_of(key: ec.EllipticCurvePrivateKey, kid: str = "one") -> dict[str, object]:
    """The public half of a key, as an issuer publishes it."""
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {"keys": [{**public, "kid": kid, "use": "sig", "alg": "ES256"}]}


def make_token(
    tenant: str | None = "north",
    *,
    key: object = KEY,
    algorithm: str = "ES256",
    kid: str | None = "one",
    **claims: object,
) -> str:
    """A token of the tenant; `claims` replace or, when None, remove what it would hold."""
    now = int(time.time())
    body: dict[str, object] = {
        "iss": ISSUER,
        "aud": entities.PRIMITIVE,
        "sub": "user-1",
        "iat": now,
        "exp": now + 300,
        "tenant_id": tenant,
        **claims,
    }
    body = {name: value for name, value in body.items() if value is not None}
    return jwt.encode(body, key, algorithm, headers={"kid": kid} if kid else None)


@dataclass(frozen=True)
class Answer:
    """A finished response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Calls an application in process, without any socket."""

    app: ASGIApp
    token: str | None = None

    def as_tenant(self, tenant: str) -> Client:
        return replace(self, token=make_token(tenant))

    def __call__(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"content-type": "application/json", **(headers or {})}
        if self.token is not None:
            sent = {"authorization": f"Bearer {self.token}", **sent}
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        return asyncio.run(_call(self.app, method, target, sent, content))


async def _call(
    app: ASGIApp, method: str, target: str, headers: Mapping[str, str], content: bytes
) -> Answer:
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("test", 1),
        "server": ("test", 80),
    }
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    received = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    chunks = [message.get("body", b"") for message in messages[1:]]
    return Answer(messages[0]["status"], received, b"".join(chunks))


@dataclass
class World:
    """A service on a database of its own, with a clock and a record of all statements."""

    settings: settings.Settings
    now: datetime
    statements: list[str]
    repository: sqlite.SqliteRepository
    client: Client


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[..., World]:
    """Makes a service; arguments are variables of its environment."""

    def make(**environ: str) -> World:
        base = {
            "DATABASE": str(tmp_path / "test.db"),
            "TOKEN_ISSUER": ISSUER,
            "TOKEN_KEYS": json.dumps(key_set_of(KEY)),
        }
        read = settings.read_settings({**base, **environ})
        statements: list[str] = []
        world = World(read, datetime(2030, 1, 1, tzinfo=UTC), statements, None, None)
        world.repository = sqlite.SqliteRepository(
            read.database, clock=lambda: world.now, trace=statements.append
        )
        world.client = Client(service.create_app(read, world.repository), make_token())
        return world

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A service with two tenants' tokens accepted."""
    return make_world()


@pytest.fixture(params=entities.ENTITIES[:2])
def path(request: pytest.FixtureRequest) -> str:
    """A collection; two of them show what holds for each, since all share their code."""
    return f"/v1/{request.param}"
