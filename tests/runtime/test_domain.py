"""The rendered domain as a real process on a real Postgres, called over gRPC."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg.conninfo import make_conninfo

from tests.runtime.postgres import Database, PostgresServer
from tests.support.golden_templates import DOMAIN
from tests.support.projects import ROOT, environment_of, write_project

# The API's modules are the same in every rendered domain.
sys.path.append(str(ROOT / "pipeline" / "templates" / "domain" / "skeleton" / "src"))
from ameide.domain.v1 import entity_service_pb2 as api
from ameide.domain.v1 import entity_service_pb2_grpc as stubs

ISSUER = "https://issuer.test/realms/one"
KEY = ec.generate_private_key(ec.SECP256R1())
DEADLINE_S = 120
SCHEMA = "domain_order_router"
VALUES = DOMAIN.values(
    tenant_id="platform",
    code_origin="platform",
    target_repo="ameide-platform",
    design_refs=[],
    owner="platform-engineers",
)


class Keys(http.server.BaseHTTPRequestHandler):
    """The issuer's public keys."""

    def do_GET(self) -> None:
        public = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        body = json.dumps({"keys": [{**public, "kid": "one", "use": "sig", "alg": "ES256"}]})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def metadata_of(tenant: str) -> tuple[tuple[str, str], ...]:
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": "platform-api",
        "sub": f"user-of-{tenant}",
        "iat": now,
        "exp": now + 300,
        "tenant_id": tenant,
    }
    token = jwt.encode(claims, KEY, "ES256", headers={"kid": "one"})
    return (("authorization", f"Bearer {token}"),)


@dataclass
class Service:
    """A process that serves, and the ways to call it."""

    process: subprocess.Popen[bytes]
    address: str
    health_port: int
    log: Path
    channel: grpc.Channel = field(init=False)

    def call(self, method: str, request: object, tenant: str) -> Any:
        stub = stubs.EntityServiceStub(self.channel)
        return getattr(stub, method)(request, metadata=metadata_of(tenant), timeout=DEADLINE_S)

    def create(self, tenant: str, name: str) -> api.Entity:
        request = api.CreateEntityRequest(entity_type="order", entity=api.EntityDraft(name=name))
        return self.call("CreateEntity", request, tenant).entity

    def names(self, tenant: str) -> list[str]:
        request = api.ListEntitiesRequest(entity_type="order", page_size=200)
        return [entity.name for entity in self.call("ListEntities", request, tenant).entities]

    def ready(self) -> int:
        try:
            url = f"http://127.0.0.1:{self.health_port}/readyz"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class World:
    """The rendered project, its packages, a migrated database and an issuer of tokens."""

    project: Path
    python: Path
    database: Database
    relay: str
    keys: str

    def environment(self, project: Path | None = None, **changes: str) -> dict[str, str]:
        folder = project or self.project
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder / 'sdk'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "DATABASE_URL": self.database.application,
            "RELAY_DATABASE_URL": self.relay,
            "RELAY_INTERVAL_S": "0.05",
            "DATABASE_POOL_MAX": "3",
            "CONCURRENT_CALLS_MAX": "500",
            "TOKEN_ISSUER": ISSUER,
            "TOKEN_AUDIENCE": "platform-api",
            "TOKEN_JWKS_URL": self.keys,
            **changes,
        }

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.project,
            env=self.environment(**changes),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.superuser) as connection:
            return connection.execute(statement.encode()).fetchall()

    @contextmanager
    def without_row_level_security(self, table: str) -> Iterator[None]:
        with psycopg.connect(self.database.superuser, autocommit=True) as connection:
            connection.execute(f"ALTER TABLE {SCHEMA}.{table} DISABLE ROW LEVEL SECURITY".encode())
            try:
                yield
            finally:
                enable = f"ALTER TABLE {SCHEMA}.{table} ENABLE ROW LEVEL SECURITY"
                connection.execute(enable.encode())

    @contextmanager
    def serving(self, log: Path, project: Path | None = None) -> Iterator[Service]:
        address, health_port = f"127.0.0.1:{free_port()}", free_port()
        environment = self.environment(
            project, GRPC_ADDRESS=address, HEALTH_PORT=str(health_port), STOP_TIMEOUT_S="15"
        )
        command = ["timeout", "120", self.python, "-m", "domain_order_router"]
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=log.parent, env=environment, stderr=output)
        service = Service(process, address, health_port, log)
        try:
            wait_until(lambda: service.ready() == 200, f"ready, {log.read_text()}")
            with grpc.insecure_channel(address) as service.channel:
                yield service
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


@pytest.fixture(scope="module")
def keys() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_address[1]}/keys"
        served.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def world(postgres: PostgresServer, keys: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    project = write_project("domain", VALUES, tmp_path_factory.mktemp("domain"))
    environment = environment_of((project / "requirements-dev.lock").read_bytes())
    database = postgres.create_database()
    postgres.create_role("events_relay")
    relay = make_conninfo(database.superuser, user="events_relay")
    made = World(project, environment / "bin" / "python", database, relay, keys)
    migrated = made.run("-m", "domain_order_router.migrate", OWNER_DATABASE_URL=database.owner)
    assert migrated.returncode == 0, migrated.stderr
    assert "0001_entities.sql" in migrated.stdout
    return made


@pytest.fixture(scope="module")
def service(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with world.serving(tmp_path_factory.mktemp("log") / "service.log") as running:
        yield running


def test_a_second_migration_changes_nothing(world: World) -> None:
    again = world.run("-m", "domain_order_router.migrate", OWNER_DATABASE_URL=world.database.owner)
    assert (again.returncode, again.stdout) == (0, "order-router: nothing to migrate\n")


def test_every_table_has_a_tenant_and_forces_row_level_security(world: World) -> None:
    tables = world.query(
        "SELECT relname, relrowsecurity AND relforcerowsecurity, EXISTS (SELECT FROM pg_attribute"
        " WHERE attrelid = c.oid AND attname = 'tenant_id' AND attnotnull), relowner::regrole::text"
        f" FROM pg_class c WHERE relnamespace = '{SCHEMA}'::regnamespace AND relkind = 'r'"
        " AND relname <> 'schema_migrations' ORDER BY 1"
    )
    names = ("entities", "idempotency_keys", "outbox")
    [owner] = {owner for *_, owner in tables}
    assert tables == [(name, True, True, owner) for name in names]
    assert f"user={owner}" in world.database.owner


def test_service_and_relay_have_only_the_rights_that_they_need(world: World) -> None:
    granted = world.query(
        "SELECT grantee, table_name, string_agg(privilege_type, ' ' ORDER BY privilege_type)"
        f" FROM information_schema.role_table_grants WHERE table_schema = '{SCHEMA}'"
        " AND grantee <> grantor GROUP BY 1, 2 ORDER BY 1, 2"
    )
    all_of_it = "DELETE INSERT SELECT UPDATE"
    [service] = {role for role, *_ in granted} - {"events_relay"}
    assert granted == [
        (service, "entities", all_of_it),
        (service, "idempotency_keys", all_of_it),
        (service, "outbox", "INSERT"),
        ("events_relay", "outbox", "DELETE SELECT"),
    ]


def test_an_entity_lives_from_create_to_delete(service: Service) -> None:
    draft = api.EntityDraft(name="first")
    draft.attributes.update({"size": 3, "tags": ["a", {"b": None}]})
    request = api.CreateEntityRequest(entity_type="order", entity=draft, idempotency_key="k1")
    made = service.call("CreateEntity", request, "fabrikam").entity
    again = service.call("CreateEntity", request, "fabrikam")
    assert (again.replayed, again.entity) == (True, made)
    asked = api.GetEntityRequest(entity_type="order", id=made.id)
    assert service.call("GetEntity", asked, "fabrikam").entity == made
    assert made.attributes == draft.attributes
    change = api.UpdateEntityRequest(entity_type="order", id=made.id, version=1, entity=draft)
    assert service.call("UpdateEntity", change, "fabrikam").entity.version == 2
    with pytest.raises(grpc.RpcError) as refused:
        service.call("UpdateEntity", change, "fabrikam")
    assert refused.value.code() is grpc.StatusCode.ABORTED
    removal = api.DeleteEntityRequest(entity_type="order", id=made.id, version=2)
    service.call("DeleteEntity", removal, "fabrikam")
    assert service.names("fabrikam") == []


def test_tenants_see_only_their_own(service: Service) -> None:
    made = service.create("acme", "of acme")
    assert "of acme" in service.names("acme")
    assert "of acme" not in service.names("contoso")
    for method, request in (
        ("GetEntity", api.GetEntityRequest(entity_type="order", id=made.id)),
        ("DeleteEntity", api.DeleteEntityRequest(entity_type="order", id=made.id, version=1)),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            service.call(method, request, "contoso")
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_call_without_a_token_is_refused(service: Service) -> None:
    stub = stubs.EntityServiceStub(service.channel)
    with pytest.raises(grpc.RpcError) as refused:
        stub.ListEntities(api.ListEntitiesRequest(entity_type="order"), timeout=DEADLINE_S)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_parallel_calls_of_mixed_tenants_leak_nothing(service: Service) -> None:
    tenants = ["acme", "contoso", "fabrikam", "northwind"]

    async def call(stub: Any, number: int) -> list[str]:
        tenant = tenants[number % len(tenants)]
        draft = api.EntityDraft(name=f"{tenant} {number}")
        create = api.CreateEntityRequest(entity_type="route", entity=draft)
        metadata = metadata_of(tenant)
        made = await stub.CreateEntity(create, metadata=metadata, timeout=DEADLINE_S)
        request = api.ListEntitiesRequest(entity_type="route", page_size=200)
        listed = await stub.ListEntities(request, metadata=metadata, timeout=DEADLINE_S)
        names = [entity.name for entity in listed.entities]
        assert made.entity.name in names
        return [name for name in names if not name.startswith(f"{tenant} ")]

    async def all_at_once() -> list[list[str]]:
        async with grpc.aio.insecure_channel(service.address) as channel:
            stub = stubs.EntityServiceStub(channel)
            return await asyncio.gather(*(call(stub, number) for number in range(200)))

    assert asyncio.run(all_at_once()) == [[]] * 200


def test_events_of_all_tenants_are_published_and_leave_the_outbox(
    world: World, service: Service
) -> None:
    made = [service.create(tenant, "with event") for tenant in ("acme", "contoso")]
    outbox = f"SELECT count(*) FROM {SCHEMA}.outbox"
    wait_until(lambda: world.query(outbox) == [(0,)], "an empty outbox")
    told = {
        (line["entity_id"], line["tenant.id"])
        for line in service.lines()
        if line["logger"] == "events"
    }
    assert {(made[0].id, "acme"), (made[1].id, "contoso")} <= told


def test_a_handler_without_its_filter_still_sees_one_tenant_s_rows(
    world: World, service: Service, tmp_path: Path
) -> None:
    made = service.create("acme", "only acme's")
    service.create("contoso", "only contoso's")
    project = write_project("domain", VALUES, tmp_path / "patched")
    store = project / "src" / "domain_order_router" / "postgres_store.py"
    source = store.read_text()
    assert source.count("tenant_id = %(tenant_id)s AND ") == 6
    store.write_text(source.replace("tenant_id = %(tenant_id)s AND ", ""))
    with world.serving(tmp_path / "service.log", project) as careless:
        assert "only acme's" in careless.names("acme")
        assert "only contoso's" not in careless.names("acme")
        assert careless.names("contoso") == service.names("contoso")
        removal = api.DeleteEntityRequest(entity_type="order", id=made.id, version=1)
        with pytest.raises(grpc.RpcError) as refused:
            careless.call("DeleteEntity", removal, "contoso")
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        # That the filter is gone for good shows once the database does not help any more.
        with world.without_row_level_security("entities"):
            assert "only contoso's" in careless.names("acme")
    assert "only acme's" in service.names("acme")


def test_the_service_does_not_start_as_the_owner_of_the_tables(world: World) -> None:
    refused = world.run("-m", "domain_order_router", DATABASE_URL=world.database.owner)
    assert refused.returncode == 1
    assert "owns the table" in refused.stderr


def test_sigterm_lets_the_open_call_finish(world: World, tmp_path: Path) -> None:
    with world.serving(tmp_path / "service.log") as service:
        made = service.create("acme", "before")
        change = api.UpdateEntityRequest(
            entity_type="order", id=made.id, version=1, entity=api.EntityDraft(name="after")
        )
        stub = stubs.EntityServiceStub(service.channel)
        with psycopg.connect(world.database.superuser) as connection:
            connection.execute(
                f"SELECT FROM {SCHEMA}.entities WHERE id = %s FOR UPDATE".encode(), [made.id]
            )
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            before = world.query(waiting)[0][0]
            under_way = stub.UpdateEntity.future(
                change, metadata=metadata_of("acme"), timeout=DEADLINE_S
            )
            wait_until(lambda: world.query(waiting)[0][0] > before, "a call that waits")
            service.process.send_signal(signal.SIGTERM)
            wait_until(lambda: service.ready() in (0, 503), "not ready any more")
            assert not under_way.done()
        assert under_way.result(DEADLINE_S).entity.name == "after"
        assert service.process.wait(DEADLINE_S) == 0


def test_the_project_s_own_store_tests_pass_on_postgres(
    world: World, postgres: PostgresServer
) -> None:
    ended = world.run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_store.py"),
        TEST_DATABASE_URL=postgres.conninfo(),
    )
    assert ended.returncode == 0, ended.stdout
    assert "skipped" not in ended.stdout
