"""The issuer's keys: fetched seldom, bounded, and used only while fresh."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from primitive_sdk.keys import JwksKeys, KeysUnavailable, KeyUnknown

from tests.unit.sdk.signing import JWKS_URL, Issuer, public_entry, rsa_key

FIRST = rsa_key()
SECOND = rsa_key()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_many_requests_for_the_same_key_make_one_fetch_and_all_get_it() -> None:
    issuer = Issuer({"first": FIRST})

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.02)
        return issuer.answer(request)

    async def burst() -> set[str | None]:
        keys = JwksKeys(JWKS_URL, client=httpx.AsyncClient(transport=httpx.MockTransport(answer)))
        return {key.key_id for key in await asyncio.gather(*(keys.key("first") for _ in range(50)))}

    assert asyncio.run(burst()) == {"first"}
    assert issuer.fetches == 1


def test_made_up_key_ids_make_one_fetch_in_ten_seconds() -> None:
    issuer, clock = Issuer({"first": FIRST}), Clock()

    async def ask() -> list[int]:
        keys = issuer.jwks(clock=clock)
        seen = []
        for seconds in (0.0, 5.0, 5.0):
            clock.now += seconds
            for number in range(20):
                with pytest.raises(KeyUnknown):
                    await keys.key(f"made-up-{number}")
            seen.append(issuer.fetches)
        return seen

    assert asyncio.run(ask()) == [1, 1, 2]


def test_a_withdrawn_key_is_forgotten_with_the_next_refresh() -> None:
    issuer, clock = Issuer({"first": FIRST, "second": SECOND}), Clock()

    async def withdraw() -> None:
        keys = issuer.jwks(clock=clock)
        await keys.key("second")
        del issuer.keys["second"]
        clock.now += 299
        await keys.key("second")
        clock.now += 2
        with pytest.raises(KeyUnknown):
            await keys.key("second")

    asyncio.run(withdraw())


def test_old_keys_serve_while_the_issuer_is_down_but_not_for_ever() -> None:
    issuer, clock = Issuer({"first": FIRST}), Clock()

    async def outage() -> None:
        keys = issuer.jwks(clock=clock)
        await keys.key("first")
        issuer.broken = True
        clock.now += 1800
        assert (await keys.key("first")).key_id == "first"
        clock.now += 1801
        with pytest.raises(KeysUnavailable):
            await keys.key("first")
        issuer.broken = False
        clock.now += 11
        assert (await keys.key("first")).key_id == "first"

    asyncio.run(outage())


def test_a_caller_that_gives_up_does_not_delay_the_next() -> None:
    issuer = Issuer({"first": FIRST})
    hang = True

    async def answer(request: httpx.Request) -> httpx.Response:
        if hang:
            await asyncio.sleep(30)
        return issuer.answer(request)

    async def give_up() -> str | None:
        nonlocal hang
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        keys = JwksKeys(JWKS_URL, client=client)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(keys.key("first"), 0.05)
        hang = False
        return (await keys.key("first")).key_id

    assert asyncio.run(give_up()) == "first"


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (httpx.Response(404), "status 404"),
        (httpx.Response(302, headers={"location": "https://example.invalid/"}), "status 302"),
        (httpx.Response(200, text="<html>"), "no keys from the issuer"),
        (httpx.Response(200, json=[]), "not a JWKS document"),
        (httpx.Response(200, json={"keys": {}}), "not a JWKS document"),
        (httpx.Response(200, json={"keys": [{}] * 100}), "more than 64 keys"),
        (httpx.Response(200, text=" " * 300_000), "more than 262144 bytes"),
    ],
)
def test_an_answer_that_is_no_key_set_is_not_used(response: httpx.Response, problem: str) -> None:
    async def ask() -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: response))
        await JwksKeys(JWKS_URL, client=client).key("first")

    with pytest.raises(KeysUnavailable, match=problem):
        asyncio.run(ask())


def test_a_slow_answer_is_abandoned() -> None:
    async def drops(_request: httpx.Request) -> httpx.Response:
        async def body():  # type: ignore[no-untyped-def]
            for _ in range(1000):
                await asyncio.sleep(0.02)
                yield b" "

        return httpx.Response(200, content=body())

    async def ask() -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(drops))
        await JwksKeys(JWKS_URL, client=client, timeout_s=0.2).key("first")

    with pytest.raises(KeysUnavailable, match="TimeoutError"):
        asyncio.run(ask())


def test_one_bad_entry_does_not_hide_the_others() -> None:
    issuer = Issuer({"first": FIRST})
    issuer.extra_entries += [{"kty": "RSA", "kid": "bad", "n": 7}, {"kty": "EC", "kid": "odd"}]

    async def ask() -> str | None:
        return (await issuer.jwks().key("first")).key_id

    assert asyncio.run(ask()) == "first"


def test_ready_once_there_is_a_key() -> None:
    issuer = Issuer({})

    async def ask() -> None:
        keys = issuer.jwks(refetch_after_s=0)
        with pytest.raises(KeysUnavailable, match="no key for signatures"):
            await keys.ping()
        issuer.extra_entries.append(public_entry("first", FIRST))
        await keys.ping()

    asyncio.run(ask())


def test_an_address_of_another_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="http or https"):
        JwksKeys("file:///keys.json")
