"""What every store must do: in memory always, in Postgres where TEST_DATABASE_URL names one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import Loop, database, entities, events, memory_store, postgres_store, relay, store
from databases import Addresses, empty_tables, fresh_database
from primitive_sdk.identity import Identity
from primitive_sdk.postgres import TenantDatabase
from primitive_sdk.tenancy import NoTenant, bound


SERVER = os.environ.get("TEST_DATABASE_URL", "")
KIND = entities.ENTITY_TYPES[0]
A, B = entities.Draft("a", {"size": 1}), entities.Draft("b", {})


@dataclass
class Stored:
    """A store, the outbox behind it, and the clock of both."""

    store: Any
    outbox: Any
    run: Loop
    now: datetime

    def clock(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def as_tenant(self, tenant: str, method: str, *arguments: object) -> Any:
        return self.run(self.call(tenant, method, *arguments))

    async def call(self, tenant: str, method: str, *arguments: object) -> Any:
        with bound(Identity("user-1", tenant)):
            return await getattr(self.store, method)(*arguments)

    def deliver(self, publish: Callable[[events.Event], None] | None = None) -> list[events.Event]:
        seen: list[events.Event] = []

        async def take(event: events.Event) -> None:
            if publish is not None:
                publish(event)
            seen.append(event)

        self.run(self.outbox.deliver(take, limit=100))
        return seen


@pytest.fixture(scope="module")
def addresses(loop):
    """One database for all tests here."""
    if not SERVER:
        pytest.skip("TEST_DATABASE_URL is not set")
    running = fresh_database(SERVER)
    yield loop(running.__aenter__())
    loop(running.__aexit__(None, None, None))


@asynccontextmanager
async def in_postgres(stored: Stored, addresses: Addresses):
    async with AsyncExitStack() as stack:
        await empty_tables(addresses)
        opened = TenantDatabase.open(database.in_schema(addresses.service), max_size=4)
        tenants = await stack.enter_async_context(opened)
        relayed = relay.PostgresOutbox.open(
            database.in_schema(addresses.relay), clock=lambda: stored.now
        )
        stored.outbox = await stack.enter_async_context(relayed)
        stored.store = postgres_store.PostgresStore(tenants, clock=stored.clock)
        yield


@pytest.fixture(params=["memory", "postgres"])
def stored(request, loop):
    found = Stored(None, None, loop, datetime(2030, 1, 1, tzinfo=UTC))
    if request.param == "memory":
        found.store = found.outbox = memory_store.MemoryStore(clock=found.clock)
        yield found
        return
    running = in_postgres(found, request.getfixturevalue("addresses"))
    loop(running.__aenter__())
    try:
        yield found
    finally:
        loop(running.__aexit__(None, None, None))


def test_what_was_created_is_read_listed_changed_and_deleted(stored):
    made = stored.as_tenant("north", "create", KIND, A, "").record
    assert (made.version, made.name, made.attributes) == (1, "a", {"size": 1})
    assert stored.as_tenant("north", "read", KIND, made.id) == made
    assert stored.as_tenant("north", "list_page", KIND, None, 9) == store.Page((made,), None)
    changed = stored.as_tenant("north", "update", KIND, made.id, 1, B)
    assert (changed.version, changed.name, changed.created_at) == (2, "b", made.created_at)
    assert stored.as_tenant("north", "read", KIND, made.id) == changed
    stored.as_tenant("north", "delete", KIND, made.id, 2)
    with pytest.raises(store.NotFound):
        stored.as_tenant("north", "read", KIND, made.id)


def test_a_tenant_reaches_nothing_of_another(stored):
    made = stored.as_tenant("north", "create", KIND, A, "").record
    assert stored.as_tenant("south", "list_page", KIND, None, 9).records == ()
    for method, arguments in (("read", ()), ("update", (1, B)), ("delete", (1,))):
        with pytest.raises(store.NotFound):
            stored.as_tenant("south", method, KIND, made.id, *arguments)
    assert stored.as_tenant("north", "read", KIND, made.id) == made


def test_without_a_tenant_nothing_can_be_done(stored):
    for method, arguments in (("create", (KIND, A, "")), ("list_page", (KIND, None, 9))):
        with pytest.raises(NoTenant):
            stored.run(getattr(stored.store, method)(*arguments))


def test_a_change_of_another_version_is_refused(stored):
    made = stored.as_tenant("north", "create", KIND, A, "").record
    for method, arguments in (("update", (2, B)), ("delete", (2,))):
        with pytest.raises(store.VersionChanged):
            stored.as_tenant("north", method, KIND, made.id, *arguments)
    assert stored.as_tenant("north", "read", KIND, made.id) == made


def test_pages_follow_each_other_in_order(stored):
    made = [stored.as_tenant("north", "create", KIND, A, "").record for _ in range(5)]
    first = stored.as_tenant("north", "list_page", KIND, None, 3)
    rest = stored.as_tenant("north", "list_page", KIND, first.next_cursor, 3)
    assert [*first.records, *rest.records] == made
    assert rest.next_cursor is None


def test_entities_of_the_same_moment_are_on_one_page_each(stored):
    stored.clock = lambda: stored.now
    made = {stored.as_tenant("north", "create", KIND, A, "").record.id for _ in range(4)}
    seen, cursor = [], None
    while True:
        page = stored.as_tenant("north", "list_page", KIND, cursor, 1)
        seen += [record.id for record in page.records]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert (len(seen), set(seen)) == (4, made)


def test_a_key_stands_for_one_request_of_one_tenant(stored):
    first = stored.as_tenant("north", "create", KIND, A, "key-1")
    again = stored.as_tenant("north", "create", KIND, A, "key-1")
    assert again == store.Created(first.record, replayed=True)
    assert not stored.as_tenant("south", "create", KIND, A, "key-1").replayed
    with pytest.raises(store.KeyReused):
        stored.as_tenant("north", "create", KIND, B, "key-1")
    with pytest.raises(store.KeyReused):
        stored.as_tenant("north", "create", "other-type", A, "key-1")
    stored.now += timedelta(hours=25)
    assert not stored.as_tenant("north", "create", KIND, B, "key-1").replayed


def test_of_many_creates_with_one_key_at_once_one_happens(stored):
    async def all_at_once():
        calls = (stored.call("north", "create", KIND, A, "key-1") for _ in range(20))
        return await asyncio.gather(*calls)

    made = stored.run(all_at_once())
    assert len({created.record.id for created in made}) == 1
    assert [created.replayed for created in made].count(False) == 1


def test_of_many_changes_at_once_one_happens(stored):
    made = stored.as_tenant("north", "create", KIND, A, "").record

    async def all_at_once():
        calls = (stored.call("north", "update", KIND, made.id, 1, B) for _ in range(20))
        return await asyncio.gather(*calls, return_exceptions=True)

    outcomes = [type(outcome).__name__ for outcome in stored.run(all_at_once())]
    assert (outcomes.count("Record"), outcomes.count("VersionChanged")) == (1, 19)


def test_each_change_leaves_one_event_and_a_refused_one_none(stored):
    made = stored.as_tenant("north", "create", KIND, A, "key-1").record
    stored.as_tenant("north", "create", KIND, A, "key-1")
    stored.as_tenant("north", "update", KIND, made.id, 1, B)
    with pytest.raises(store.VersionChanged):
        stored.as_tenant("north", "update", KIND, made.id, 1, B)
    stored.as_tenant("north", "delete", KIND, made.id, 2)
    other = stored.as_tenant("south", "create", KIND, B, "").record
    seen = [(e.tenant_id, e.type, e.entity_id, e.version, e.name) for e in stored.deliver()]
    assert seen == [
        ("north", f"{KIND}.created", made.id, 1, "a"),
        ("north", f"{KIND}.updated", made.id, 2, "b"),
        ("north", f"{KIND}.deleted", made.id, 3, "b"),
        ("south", f"{KIND}.created", other.id, 1, "b"),
    ]
    assert stored.deliver() == []


def test_an_event_that_fails_comes_again_and_holds_up_no_other(stored):
    for draft in (A, B):
        stored.as_tenant("north", "create", KIND, draft, "")

    def refuse_a(event):
        if event.name == "a":
            raise ConnectionError("nobody listens")

    assert [event.name for event in stored.deliver(refuse_a)] == ["b"]
    assert stored.deliver() == []
    stored.now += timedelta(seconds=2)
    assert [event.name for event in stored.deliver()] == ["a"]
    assert stored.deliver() == []


def test_two_relays_publish_nothing_twice(stored):
    for _ in range(30):
        stored.as_tenant("north", "create", KIND, A, "")
    seen = []

    async def take(event):
        await asyncio.sleep(0.001)
        seen.append(event.id)

    async def both():
        return await asyncio.gather(*(stored.outbox.deliver(take, limit=10) for _ in range(2)))

    deliveries = stored.run(both())
    assert sum(delivery.published for delivery in deliveries) == len(seen) == len(set(seen)) == 20
