"""The storage port. A store works for the tenant of the request that is under way, and no other.

Nobody names the tenant: it comes from the verified identity that `primitive_sdk.tenancy` holds,
and outside of a request there is none, so nothing can be read or written.
`memory_store` and `postgres_store` implement it; one suite of tests holds both to it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from .entities import Draft, Record
from .events import Event
from .paging import Cursor

# How long a create may be sent again under its key.
KEYS_LIVE_FOR: Final = timedelta(hours=24)
# How long a failed event waits: doubled with every attempt, up to the longest.
RETRY_FIRST: Final = timedelta(seconds=1)
RETRY_LONGEST: Final = timedelta(minutes=5)


class NotFound(Exception):
    """The tenant has no such entity."""


class VersionChanged(Exception):
    """Somebody changed the entity since the caller read it."""


class KeyReused(Exception):
    """The idempotency key was used before for another request."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; `next_cursor` is None on the last page."""

    records: tuple[Record, ...]
    next_cursor: Cursor | None


@dataclass(frozen=True, slots=True)
class Created:
    """A new entity, or the one that the same key made before."""

    record: Record
    replayed: bool


class Store(Protocol):
    """The entities of the current tenant. Every method raises NoTenant outside of a request."""

    async def create(self, entity_type: str, draft: Draft, key: str) -> Created:
        """A new entity; an empty key is none. Raises KeyReused."""
        ...

    async def read(self, entity_type: str, entity_id: str) -> Record:
        """One entity. Raises NotFound."""
        ...

    async def list_page(self, entity_type: str, after: Cursor | None, limit: int) -> Page:
        """Entities in the order they were made."""
        ...

    async def update(self, entity_type: str, entity_id: str, version: int, draft: Draft) -> Record:
        """The changed entity. Raises NotFound, VersionChanged."""
        ...

    async def delete(self, entity_type: str, entity_id: str, version: int) -> None:
        """Removes the entity. Raises NotFound, VersionChanged."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """How many events of a batch were published, and how many have to wait."""

    published: int
    failed: int


class Outbox(Protocol):
    """Events of all tenants that nobody has heard of yet."""

    async def deliver(self, publish: Callable[[Event], Awaitable[None]], *, limit: int) -> Delivery:
        """Hands over at most `limit` due events, oldest first, and forgets what was published.

        Two callers never hold the same event at once; one whose publication raises is kept.
        """
        ...


def hash_of_request(entity_type: str, draft: Draft) -> str:
    """What tells a create that is sent again from another one under the same key."""
    text = json.dumps([entity_type, draft.name, draft.attributes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def retry_after(attempts: int) -> timedelta:
    """How long an event waits after so many failed attempts."""
    doubled: int = 2 ** min(attempts - 1, 16)
    return min(RETRY_FIRST * doubled, RETRY_LONGEST)


def page_of(found: list[Record], limit: int) -> Page:
    """The page of at most `limit` records; one found above that says that there are more."""
    records = tuple(found[:limit])
    if len(found) <= limit:
        return Page(records, None)
    return Page(records, Cursor(records[-1].created_at, records[-1].id))
