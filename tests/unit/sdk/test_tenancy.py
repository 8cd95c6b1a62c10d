"""The tenant belongs to the running request and to nothing else."""

from __future__ import annotations

import asyncio

import pytest
from primitive_sdk.identity import Identity
from primitive_sdk.tenancy import NoTenant, bound, current_identity, tenant_attributes

ACME = Identity(subject="a", tenant_id="acme")
CONTOSO = Identity(subject="c", tenant_id="contoso")


def test_outside_of_a_request_there_is_no_tenant() -> None:
    with pytest.raises(NoTenant):
        current_identity()
    assert tenant_attributes() == {}


def test_inside_a_request_there_is_a_tenant_and_afterwards_none() -> None:
    with bound(ACME) as identity:
        assert identity is ACME
        assert current_identity() is ACME
        assert tenant_attributes() == {"tenant.id": "acme"}
    with pytest.raises(NoTenant):
        current_identity()


def test_the_binding_ends_when_the_request_fails() -> None:
    with pytest.raises(KeyError), bound(ACME):
        raise KeyError
    with pytest.raises(NoTenant):
        current_identity()


def test_requests_at_the_same_time_do_not_see_each_other() -> None:
    async def request(identity: Identity) -> bool:
        with bound(identity):
            for _ in range(20):
                await asyncio.sleep(0)
                if current_identity() is not identity:
                    return False
            # What the request hands to a thread or starts as a task is still its own.
            started = asyncio.create_task(asyncio.to_thread(current_identity))
            return await started is identity

    async def both() -> list[bool]:
        return await asyncio.gather(*(request(i) for i in (ACME, CONTOSO) * 25))

    assert asyncio.run(both()) == [True] * 50
