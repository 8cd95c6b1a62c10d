"""The storage port. There is no way to read or write without naming a tenant first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .entities import Draft, Record


class NotFound(Exception):
    """The tenant has no such entity."""


class VersionMismatch(Exception):
    """Somebody changed the entity since the caller read it."""


class IdempotencyConflict(Exception):
    """The key was used before for another request."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; `next_position` is None on the last page."""

    records: tuple[Record, ...]
    next_position: int | None


@dataclass(frozen=True, slots=True)
class Created:
    """A new entity, or the one that the same key made before."""

    record: Record
    replayed: bool


class TenantRepository(Protocol):
    """The entities of one tenant."""

    def create(self, entity: str, draft: Draft, idempotency_key: str | None) -> Created:
        """A new entity. Raises IdempotencyConflict."""
        ...

    def read(self, entity: str, record_id: str) -> Record:
        """One entity. Raises NotFound."""
        ...

    def list(self, entity: str, after_position: int, limit: int) -> Page:
        """Entities in the order they were made."""
        ...

    def replace(self, entity: str, record_id: str, version: int, draft: Draft) -> Record:
        """The changed entity. Raises NotFound, VersionMismatch."""
        ...

    def delete(self, entity: str, record_id: str, version: int) -> None:
        """Removes the entity. Raises NotFound, VersionMismatch."""
        ...


class Repository(Protocol):
    """Gives out repositories that are bound to a tenant."""

    def for_tenant(self, tenant_id: str) -> TenantRepository:
        """The tenant's own repository."""
        ...

    def check_ready(self) -> bool:
        """Whether storage answers."""
        ...
