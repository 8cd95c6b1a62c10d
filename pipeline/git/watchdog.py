"""One thread that kills processes that take too long, instead of a thread or a poll for each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen

_IDLE_S = 3600.0


class Watchdog:
    """Kills processes at their deadline; its thread starts with the first one."""

    def __init__(self) -> None:
        self._deadlines: dict[Popen[bytes], float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0

    @contextmanager
    def limit(self, process: Popen[bytes], seconds: float) -> Iterator[None]:
        """Kill the process if the block takes longer than these seconds."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._deadlines[process] = deadline
            # A forked child does not have the parent's thread.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()
            elif deadline < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._deadlines.pop(process, None)

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for process, deadline in list(self._deadlines.items()):
                    if deadline <= now:
                        process.kill()
                        del self._deadlines[process]
                self._wakes_at = min(self._deadlines.values(), default=now + _IDLE_S)
                self._changed.wait(self._wakes_at - now)


WATCHDOG = Watchdog()
