"""How many activities of one tenant this worker runs at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


class TenantBusy(Exception):
    """The tenant runs as many activities as it may, and none ended in time."""


@dataclass(slots=True)
class _Turns:
    free: asyncio.Semaphore
    users: int = 0


class TenantLimiter:
    """Slots for each tenant; waiting is in the order of coming, and bounded by `wait_s`.

    A caller that waits holds one of the worker's own slots, hence the bound: one tenant's queue
    must not fill the worker. What is kept for a tenant goes when its last caller does.
    """

    def __init__(self, limit: int, *, wait_s: float = 2.0) -> None:
        if limit < 1:
            raise ValueError("the limit is at least 1")
        self._limit = limit
        self._wait_s = wait_s
        self._tenants: dict[str, _Turns] = {}

    @property
    def tenants(self) -> int:
        """How many tenants run or wait now."""
        return len(self._tenants)

    @asynccontextmanager
    async def slot(self, tenant_id: str) -> AsyncIterator[None]:
        """Holds one of the tenant's slots. Raises TenantBusy when none gets free in time."""
        turns = self._tenants.setdefault(tenant_id, _Turns(asyncio.Semaphore(self._limit)))
        turns.users += 1
        try:
            try:
                async with asyncio.timeout(self._wait_s):
                    await turns.free.acquire()
            except TimeoutError as error:
                raise TenantBusy(tenant_id) from error
            try:
                yield
            finally:
                turns.free.release()
        finally:
            turns.users -= 1
            if not turns.users:
                del self._tenants[tenant_id]
