"""What happens around every request: an id, a log line, a count, safe errors and headers."""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .logs import REQUEST_ID, TENANT
from .metrics import Metrics
from .problems import Problem

_LOG = logging.getLogger("requests")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET = ("/healthz", "/readyz", "/metrics")


class Observed:
    """Wraps the application; the outermost layer, so that nothing escapes it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.match(given) else uuid.uuid4().hex
        REQUEST_ID.set(request_id)
        TENANT.set("")
        started_at, status = time.perf_counter(), 0

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Cache-Control"] = "no-store"
            await send(message)

        try:
            await self._app(scope, receive, send_observed)
        except Exception:
            _LOG.exception("the request failed")
            if status:
                raise
            await Problem(500, "internal error").response()(scope, receive, send_observed)
        finally:
            self._record(scope, status, time.perf_counter() - started_at)

    def _record(self, scope: Scope, status: int, duration_s: float) -> None:
        # The route as it was declared, never the path as it was sent: ids stay out of labels.
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._metrics.observe(method, route, status, duration_s)
        TENANT.set(scope.get("state", {}).get("tenant_id", ""))
        level = logging.DEBUG if route in _QUIET else logging.INFO
        fields = {"method": method, "route": route, "status": status}
        duration_ms = round(duration_s * 1000, 3)
        _LOG.log(level, "request", extra={**fields, "duration_ms": duration_ms})
