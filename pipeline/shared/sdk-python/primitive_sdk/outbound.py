"""Calls to other services of the platform, in the name of the request that runs.

Each carries the caller's own token, the tenant and the trace (W3C "Trace Context"), and goes only
to origins that were configured: a token that went anywhere else would be somebody else's to use.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import httpx
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from primitive_sdk.tenancy import current_identity

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PROPAGATOR = TraceContextTextMapPropagator()


class OriginRefused(Exception):
    """The address is of none of the configured origins."""


class TenantClient(httpx.AsyncClient):
    """An httpx client whose requests carry the current identity, to `origins` only.

    An origin is scheme, host and port (RFC 6454), such as `https://orders.example.invalid`.
    Proxies of the environment are not used, for they would see the tokens. Requests raise NoTenant
    outside of a request of a tenant, OriginRefused for other addresses.
    """

    def __init__(
        self,
        origins: Iterable[str],
        *,
        timeout_s: float = 10.0,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
        **options: Any,
    ) -> None:
        inner = transport or httpx.AsyncHTTPTransport(verify=verify, trust_env=False)
        super().__init__(
            transport=TenantTransport(origins, inner),
            timeout=timeout_s,
            trust_env=False,
            **options,
        )


class TenantTransport(httpx.AsyncBaseTransport):
    """Sees each request last, redirects included, so none leaves without passing here."""

    def __init__(self, origins: Iterable[str], inner: httpx.AsyncBaseTransport) -> None:
        self._origins = frozenset(_configured(origin) for origin in origins)
        self._inner = inner
        self._tracer = trace.get_tracer("primitive_sdk.outbound")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        identity = current_identity()
        if _origin(request.url) not in self._origins:
            raise OriginRefused(f"{request.url.scheme}://{request.url.netloc.decode()}")
        request.headers["authorization"] = f"Bearer {identity.token}"
        request.headers["x-tenant-id"] = identity.tenant_id
        attributes: dict[str, str | int] = {
            "http.request.method": request.method,
            "server.address": request.url.host,
            # Without the query, which may hold what is private.
            "url.path": request.url.path,
        }
        with self._tracer.start_as_current_span(
            request.method, kind=SpanKind.CLIENT, attributes=attributes
        ) as span:
            carrier: dict[str, str] = {}
            _PROPAGATOR.inject(carrier)
            request.headers.update(carrier)
            response = await self._inner.handle_async_request(request)
            span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= 400:
                span.set_status(StatusCode.ERROR)
            return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def _configured(origin: str) -> tuple[str, str, int]:
    """The origin of a setting. Raises ValueError for an address that is more than an origin."""
    url = httpx.URL(origin)
    if url.scheme not in _DEFAULT_PORTS or not url.host:
        raise ValueError(f"not an origin: {origin}")
    if url.userinfo or url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError(f"more than an origin: {origin}")
    return _origin(url)


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or _DEFAULT_PORTS.get(url.scheme, 0)
