"""How much one tenant may run at once."""

from __future__ import annotations

import asyncio

import pytest

from process_${{ values.primitive_id | replace('-', '_') }}.limiter import TenantBusy
from process_${{ values.primitive_id | replace('-', '_') }}.limiter import TenantLimiter


class Gauge:
    """How many run now, and the most that ever did."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    async def run(self, limiter: TenantLimiter, tenant_id: str) -> None:
        async with limiter.slot(tenant_id):
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self.now -= 1


def test_a_tenant_never_runs_more_than_its_limit_and_all_get_their_turn() -> None:
    async def story() -> int:
        limiter, gauge = TenantLimiter(3, wait_s=5), Gauge()
        await asyncio.gather(*(gauge.run(limiter, "north") for _ in range(50)))
        assert limiter.tenants == 0
        return gauge.most

    assert asyncio.run(story()) == 3


def test_tenants_do_not_wait_for_each_other() -> None:
    async def story() -> None:
        limiter = TenantLimiter(1, wait_s=0.05)
        async with limiter.slot("north"), limiter.slot("south"):
            with pytest.raises(TenantBusy):
                async with limiter.slot("north"):
                    pytest.fail("a second slot of one")
        async with limiter.slot("north"):
            assert limiter.tenants == 1

    asyncio.run(story())


def test_a_slot_is_given_back_when_its_holder_fails_or_is_cancelled() -> None:
    async def story() -> None:
        limiter = TenantLimiter(1, wait_s=1)
        with pytest.raises(ZeroDivisionError):
            async with limiter.slot("north"):
                raise ZeroDivisionError

        async def hold() -> None:
            async with limiter.slot("north"):
                await asyncio.sleep(60)

        holder = asyncio.create_task(hold())
        waiter = asyncio.create_task(hold())
        await asyncio.sleep(0.01)
        for task in (waiter, holder):
            task.cancel()
        await asyncio.gather(holder, waiter, return_exceptions=True)
        async with limiter.slot("north"):
            assert limiter.tenants == 1
        assert limiter.tenants == 0

    asyncio.run(story())


def test_waiting_is_in_the_order_of_coming() -> None:
    async def story() -> list[int]:
        limiter, order = TenantLimiter(1, wait_s=5), list[int]()

        async def take(number: int) -> None:
            async with limiter.slot("north"):
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(take(number) for number in range(10)))
        return order

    assert asyncio.run(story()) == list(range(10))


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        TenantLimiter(0)
