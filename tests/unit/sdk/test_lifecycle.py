"""A signal asks to stop; whatever does not stop in time is cancelled."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from primitive_sdk.lifecycle import StopTimedOut, run_until_stopped


def signal_soon(number: int, after_s: float = 0.05) -> None:
    asyncio.get_running_loop().call_later(after_s, os.kill, os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_work_finish(number: int) -> None:
    done = []

    async def serve(stop: asyncio.Event) -> None:
        signal_soon(number)
        await stop.wait()
        await asyncio.sleep(0.05)
        done.append("finished")

    asyncio.run(run_until_stopped(serve, stop_timeout_s=60))
    assert done == ["finished"]


def test_what_does_not_stop_in_time_is_cancelled() -> None:
    seen = []

    async def serve(stop: asyncio.Event) -> None:
        signal_soon(signal.SIGTERM)
        try:
            await asyncio.sleep(30)
        finally:
            seen.append(stop.is_set())

    with pytest.raises(StopTimedOut):
        asyncio.run(run_until_stopped(serve, stop_timeout_s=0.1))
    assert seen == [True]


def test_a_second_interrupt_does_not_wait() -> None:
    async def serve(_stop: asyncio.Event) -> None:
        signal_soon(signal.SIGINT)
        signal_soon(signal.SIGINT, 0.1)
        await asyncio.sleep(30)

    with pytest.raises(StopTimedOut, match="told twice"):
        asyncio.run(run_until_stopped(serve, stop_timeout_s=60))


def test_a_repeated_termination_still_lets_the_work_finish() -> None:
    done = []

    async def serve(stop: asyncio.Event) -> None:
        signal_soon(signal.SIGTERM)
        signal_soon(signal.SIGTERM, 0.1)
        await stop.wait()
        await asyncio.sleep(0.3)
        done.append("finished")

    asyncio.run(run_until_stopped(serve, stop_timeout_s=60))
    assert done == ["finished"]


def test_the_result_or_failure_of_the_work_is_passed_on() -> None:
    async def ends(_stop: asyncio.Event) -> None:
        return

    async def breaks(_stop: asyncio.Event) -> None:
        raise ValueError("port taken")

    async def breaks_while_stopping(stop: asyncio.Event) -> None:
        signal_soon(signal.SIGTERM)
        await stop.wait()
        raise ValueError("cannot flush")

    asyncio.run(run_until_stopped(ends, stop_timeout_s=60))
    with pytest.raises(ValueError, match="port taken"):
        asyncio.run(run_until_stopped(breaks, stop_timeout_s=60))
    with pytest.raises(ValueError, match="cannot flush"):
        asyncio.run(run_until_stopped(breaks_while_stopping, stop_timeout_s=60))
