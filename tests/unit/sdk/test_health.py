"""Health over real HTTP: always alive, ready while every check passes and it is not stopping."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from primitive_sdk.health import Health


def asked(
    health: Health, *paths: str, between: Callable[[], None] = lambda: None
) -> list[tuple[int, str]]:
    async def ask() -> list[tuple[int, str]]:
        answers = []
        async with health.serve(0, "127.0.0.1") as port, httpx.AsyncClient() as client:
            for path in paths:
                response = await client.get(f"http://127.0.0.1:{port}{path}")
                answers.append((response.status_code, response.text.strip()))
                between()
        return answers

    return asyncio.run(ask())


async def passes() -> None:
    return


async def fails() -> None:
    raise ConnectionError("password=secret")


async def hangs() -> None:
    await asyncio.sleep(30)


def test_ready_while_all_checks_pass() -> None:
    health = Health()
    health.add("database", passes)
    assert asked(health, "/readyz", "/healthz") == [(200, "ok"), (200, "ok")]


def test_alive_and_not_ready_while_a_check_fails() -> None:
    health = Health()
    health.add("database", fails)
    health.add("keys", passes)
    assert asked(health, "/readyz", "/healthz") == [(503, "not ready: database"), (200, "ok")]


def test_a_check_that_hangs_counts_as_failed() -> None:
    health = Health(timeout_s=0.05)
    health.add("database", hangs)
    assert asked(health, "/readyz") == [(503, "not ready: database")]


def test_not_ready_once_stopping() -> None:
    health = Health()
    answers = asked(health, "/readyz", "/readyz", "/healthz", between=health.stop)
    assert answers == [(200, "ok"), (503, "not ready: stopping"), (200, "ok")]


def test_many_probes_ask_a_check_once() -> None:
    calls = 0

    async def counts() -> None:
        nonlocal calls
        calls += 1

    health = Health(fresh_s=60)
    health.add("database", counts)
    asked(health, *["/readyz"] * 5)
    assert calls == 1


def test_a_failed_check_is_asked_again() -> None:
    outcomes: list[Callable[[], Awaitable[None]]] = [fails, passes]
    health = Health(fresh_s=0)
    health.add("database", lambda: outcomes.pop(0)())
    assert [status for status, _ in asked(health, "/readyz", "/readyz")] == [503, 200]


def test_two_checks_with_one_name_are_refused() -> None:
    health = Health()
    health.add("database", passes)
    with pytest.raises(ValueError, match="database"):
        health.add("database", passes)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /readyz?verbose HTTP/1.1\r\n\r\n", b"200"),
        (b"HEAD /healthz HTTP/1.1\r\nhost: a\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /readyz/../secret HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /healthz HTTP/1.1\r\n\r\n", b"405"),
        (b"nonsense\r\n\r\n", b""),
        (b"GET /healthz SPDY/3\r\n\r\n", b""),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b""),
        (b"GET /healthz HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b""),
        (b"\x16\x03\x01\xff\xfe\n\n", b""),
    ],
)
def test_only_proper_requests_are_answered(sent: bytes, status: bytes) -> None:
    async def ask() -> bytes:
        async with Health().serve(0, "127.0.0.1") as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            writer.write_eof()
            try:
                answer = await asyncio.wait_for(reader.read(), 5)
            except ConnectionResetError:  # closed with what we sent still unread
                answer = b""
            writer.close()
            return answer

    answer = asyncio.run(ask())
    assert answer.removeprefix(b"HTTP/1.1 ")[:3] == status
    if sent.startswith(b"HEAD"):
        assert answer.endswith(b"\r\n\r\n")
