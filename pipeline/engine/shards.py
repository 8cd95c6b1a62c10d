"""The tenants that one call works on: the named ones, or one shard of them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from pipeline.errors import UsageFault


def choose_tenants(
    known: Collection[str],
    tenants: Collection[str] | None = None,
    shard: tuple[int, int] | None = None,
) -> tuple[str, ...]:
    """The known tenants to work on, sorted: all, or those named. Raises UsageFault for others.

    A shard (index from 1, count) takes the tenants whose id hashes to it, so the shards of a matrix
    cover each tenant once.
    """
    for tenant in tenants or ():
        if tenant not in known:
            raise UsageFault(f"there is no tenant `{tenant}`")
    chosen = sorted(known if tenants is None else set(tenants))
    if shard is None:
        return tuple(chosen)
    index, count = shard
    return tuple(t for t in chosen if _number(t) % count == index - 1)


def _number(tenant: str) -> int:
    return int.from_bytes(hashlib.sha256(tenant.encode()).digest()[:8], "big")
