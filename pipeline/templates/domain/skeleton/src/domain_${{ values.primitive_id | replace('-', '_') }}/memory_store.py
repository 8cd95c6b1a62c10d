"""Storage in the memory of one process: for tests, and for primitives that may forget.

One event loop uses it, and no method waits for anything half-way, so each is one transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from primitive_sdk.tenancy import current_identity

from .entities import Draft, Record
from .events import Change, Event, event_of
from .paging import Cursor
from .store import (
    KEYS_LIVE_FOR,
    Created,
    Delivery,
    KeyReused,
    NotFound,
    Page,
    VersionChanged,
    hash_of_request,
    page_of,
    retry_after,
)

Place = tuple[str, str, str]  # tenant, type, id


@dataclass(slots=True)
class _Pending:
    event: Event
    due_at: datetime
    attempts: int = 0
    taken: bool = False


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryStore:
    """All tenants' entities and events; lost when the process ends."""

    def __init__(self, *, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._records: dict[Place, Record] = {}
        self._keys: dict[tuple[str, str], tuple[str, Record]] = {}
        self._pending: list[_Pending] = []

    async def create(self, entity_type: str, draft: Draft, key: str) -> Created:
        tenant_id, now = current_identity().tenant_id, self._clock()
        request_hash = hash_of_request(entity_type, draft)
        for place, (_, made) in list(self._keys.items()):
            if place[0] == tenant_id and made.created_at < now - KEYS_LIVE_FOR:
                del self._keys[place]
        if key and (tenant_id, key) in self._keys:
            known_hash, made = self._keys[tenant_id, key]
            if known_hash != request_hash:
                raise KeyReused(key)
            return Created(made, replayed=True)
        record = Record(str(uuid.uuid4()), 1, draft.name, draft.attributes, now, now)
        self._records[tenant_id, entity_type, record.id] = record
        if key:
            self._keys[tenant_id, key] = (request_hash, record)
        self._add_event(tenant_id, entity_type, record, "created")
        return Created(record, replayed=False)

    async def read(self, entity_type: str, entity_id: str) -> Record:
        return self._read(current_identity().tenant_id, entity_type, entity_id)

    async def list_page(self, entity_type: str, after: Cursor | None, limit: int) -> Page:
        tenant_id = current_identity().tenant_id
        found = sorted(
            (
                record
                for (tenant, kind, _), record in self._records.items()
                if tenant == tenant_id and kind == entity_type
            ),
            key=lambda record: (record.created_at, record.id),
        )
        if after is not None:
            place = (after.created_at, after.id)
            found = [record for record in found if (record.created_at, record.id) > place]
        return page_of(found[: limit + 1], limit)

    async def update(self, entity_type: str, entity_id: str, version: int, draft: Draft) -> Record:
        tenant_id = current_identity().tenant_id
        record = self._read(tenant_id, entity_type, entity_id)
        if record.version != version:
            raise VersionChanged(entity_id)
        changed = replace(
            record,
            version=version + 1,
            name=draft.name,
            attributes=draft.attributes,
            updated_at=self._clock(),
        )
        self._records[tenant_id, entity_type, entity_id] = changed
        self._add_event(tenant_id, entity_type, changed, "updated")
        return changed

    async def delete(self, entity_type: str, entity_id: str, version: int) -> None:
        tenant_id = current_identity().tenant_id
        record = self._read(tenant_id, entity_type, entity_id)
        if record.version != version:
            raise VersionChanged(entity_id)
        del self._records[tenant_id, entity_type, entity_id]
        self._add_event(tenant_id, entity_type, record, "deleted")

    async def deliver(self, publish: Callable[[Event], Awaitable[None]], *, limit: int) -> Delivery:
        now = self._clock()
        batch = [item for item in self._pending if item.due_at <= now and not item.taken][:limit]
        for item in batch:
            item.taken = True
        published = 0
        try:
            for item in batch:
                try:
                    await publish(item.event)
                except Exception:
                    item.attempts += 1
                    item.due_at = now + retry_after(item.attempts)
                else:
                    self._pending.remove(item)
                    published += 1
        finally:
            for item in batch:
                item.taken = False
        return Delivery(published, len(batch) - published)

    def _read(self, tenant_id: str, entity_type: str, entity_id: str) -> Record:
        record = self._records.get((tenant_id, entity_type, entity_id))
        if record is None:
            raise NotFound(entity_id)
        return record

    def _add_event(self, tenant_id: str, entity_type: str, record: Record, change: Change) -> None:
        now = self._clock()
        event = event_of(tenant_id, entity_type, record, change, now)
        self._pending.append(_Pending(event, due_at=now))
