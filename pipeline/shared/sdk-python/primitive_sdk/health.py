"""Health over HTTP for the kubelet: `/healthz` (it runs) and `/readyz` (it can serve).

A server of its own, on its own port, so that probes work whatever the primitive serves. The
answer names the checks that failed; why is only in the log, for others may reach the port too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

_log = logging.getLogger(__name__)

_MAXIMUM_LINE_BYTES = 4096
_MAXIMUM_CONNECTIONS = 64
_REQUEST_TIMEOUT_S = 5.0


class Health:
    """Named readiness checks, and whether the process is about to stop.

    A check returns if all is well and raises if not. Answers are kept for `fresh_s`, so that many
    probes ask the database no more often than that.
    """

    def __init__(self, *, timeout_s: float = 2.0, fresh_s: float = 1.0) -> None:
        self._checks: dict[str, Callable[[], Awaitable[None]]] = {}
        self._timeout_s = timeout_s
        self._fresh_s = fresh_s
        self._stopping = False
        self._failed: tuple[str, ...] = ()
        self._checked_at = -float("inf")
        self._checking = asyncio.Lock()
        self._connections = 0

    def add(self, name: str, check: Callable[[], Awaitable[None]]) -> None:
        """Adds a check; the instance is ready while none raises."""
        if name in self._checks:
            raise ValueError(f"there is a check {name} already")
        self._checks[name] = check

    def stop(self) -> None:
        """Not ready from now on: no new request is sent here while the open ones finish."""
        self._stopping = True

    async def failing(self) -> tuple[str, ...]:
        """Names of what keeps the instance from being ready; empty if it is."""
        failed = () if self._stopping else await self._check()
        return ("stopping",) if self._stopping else failed

    async def _check(self) -> tuple[str, ...]:
        async with self._checking:
            if time.monotonic() - self._checked_at > self._fresh_s:
                names = list(self._checks)
                passed = await asyncio.gather(*(self._passes(name) for name in names))
                self._failed = tuple(name for name, ok in zip(names, passed, strict=True) if not ok)
                self._checked_at = time.monotonic()
            return self._failed

    async def _passes(self, name: str) -> bool:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._checks[name]()
        except Exception:
            _log.warning("readiness check %s failed", name, exc_info=True)
            return False
        return True

    @asynccontextmanager
    async def serve(self, port: int, host: str | None = None) -> AsyncIterator[int]:
        """Serves while the body runs; gives the port, which `port` 0 leaves to the system.

        Without `host` on all addresses, for the kubelet comes in by the Pod's.
        """
        server = await asyncio.start_server(self._answer, host, port, limit=_MAXIMUM_LINE_BYTES)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            self.stop()
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= _MAXIMUM_CONNECTIONS:
                async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                    method, target = await _read_request(reader)
                    writer.write(await self._response(method, target))
                    await writer.drain()
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            # A client that goes away or sends no HTTP gets no answer.
            pass
        except asyncio.LimitOverrunError:
            pass
        finally:
            self._connections -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _response(self, method: str, target: str) -> bytes:
        path = target.partition("?")[0]
        if path not in ("/healthz", "/readyz"):
            return _http(404, "Not Found", "not found")
        if method not in ("GET", "HEAD"):
            return _http(405, "Method Not Allowed", "GET only")
        failed = await self.failing() if path == "/readyz" else ()
        if failed:
            return _http(503, "Service Unavailable", "not ready: " + ", ".join(failed), method)
        return _http(200, "OK", "ok", method)


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str]:
    """Method and target of the request; its header lines are read and left alone."""
    line = (await reader.readuntil(b"\n")).decode("latin-1")
    method, target, version = line.split()
    if not version.startswith("HTTP/1."):
        raise ValueError("not HTTP/1")
    for _ in range(100):
        if (await reader.readuntil(b"\n")).strip() == b"":
            return method, target
    raise ValueError("too many header lines")


def _http(status: int, reason: str, text: str, method: str = "GET") -> bytes:
    body = f"{text}\n".encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\ncontent-type: text/plain; charset=utf-8\r\n"
        f"content-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else body)
