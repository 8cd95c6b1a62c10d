"""Running until the platform says stop (Kubernetes, "Termination of Pods"): SIGTERM, then a grace
period in which open requests finish, then the end, whatever still runs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# For what was cancelled to clean up.
_CANCEL_TIMEOUT_S = 2.0


class StopTimedOut(Exception):
    """What ran did not end in time after it was asked to, and was cancelled."""


async def run_until_stopped(
    serve: Callable[[asyncio.Event], Awaitable[None]], *, stop_timeout_s: float
) -> None:
    """Runs `serve`, which gets the event that tells it to stop, until it ends.

    SIGTERM and SIGINT set the event. Whoever presses Ctrl-C twice does not wait any longer; a
    second SIGTERM says nothing new, for programs that start others (coreutils' `timeout`, to name
    one) pass it on both to the process and to its group. Raises what `serve` raises, and
    StopTimedOut if it is cancelled before it has stopped.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    at_once = asyncio.Event()

    def asked(number: signal.Signals) -> None:
        if stop.is_set() and number == signal.SIGINT:
            at_once.set()
        stop.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, asked, number)
    serving = asyncio.ensure_future(serve(stop))
    stopping = asyncio.ensure_future(stop.wait())
    hurrying = asyncio.ensure_future(at_once.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            await asyncio.wait(
                {serving, hurrying},
                timeout=stop_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        if not serving.done():
            serving.cancel()
            await asyncio.wait({serving}, timeout=_CANCEL_TIMEOUT_S)
            raise StopTimedOut(
                "told twice to stop"
                if at_once.is_set()
                else f"still running {stop_timeout_s} s after it was asked to stop"
            )
        await serving
    finally:
        for task in (serving, stopping, hurrying):
            task.cancel()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
