"""Public keys of the token issuer, as its JWKS document tells them (RFC 7517).

Keys rotate: a key id that is not known yet is looked for in a fresh copy, but not more often than
every few seconds, or made-up key ids would turn each bad request into one to the issuer. A key
that the issuer withdrew is forgotten with the next refresh.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError

# NIST SP 800-131A: shorter RSA keys are not acceptable for signatures.
_MINIMUM_RSA_BITS = 2048


class KeyUnknown(Exception):
    """The issuer has no such key."""


class KeysUnavailable(Exception):
    """Whether the issuer has such a key cannot be told now: it gave no usable answer."""


class KeySource(Protocol):
    """Where the verifier finds the key that a token names."""

    async def key(self, key_id: str) -> PyJWK:
        """The key of this id. Raises KeyUnknown, or KeysUnavailable if that cannot be told."""
        ...


class JwksKeys:
    """The issuer's keys, fetched over HTTP and kept.

    `refetch_after_s` is the least time between two fetches. After `refresh_after_s` the keys are
    fetched anew; while that fails the old ones are used, but no longer than `stale_after_s`.
    """

    def __init__(
        self,
        url: str,
        *,
        client: httpx.AsyncClient | None = None,
        timeout_s: float = 5.0,
        refetch_after_s: float = 10.0,
        refresh_after_s: float = 300.0,
        stale_after_s: float = 3600.0,
        maximum_keys: int = 64,
        maximum_bytes: int = 262_144,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if httpx.URL(url).scheme not in ("http", "https"):
            raise ValueError("the address of the JWKS is not one of http or https")
        self._url = url
        self._client = client
        self._owns_client = client is None
        self._timeout_s = timeout_s
        self._refetch_after_s = refetch_after_s
        self._refresh_after_s = refresh_after_s
        self._stale_after_s = stale_after_s
        self._maximum_keys = maximum_keys
        self._maximum_bytes = maximum_bytes
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = -float("inf")
        self._tried_at = -float("inf")
        self._problem = ""
        self._fetching = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connections to the issuer."""
        if self._client is not None and self._owns_client:
            await self._client.aclose()
            self._client = None

    async def key(self, key_id: str) -> PyJWK:
        """The key of this id, from the kept ones or, if it is new, from the issuer."""
        if key_id not in self._fresh_keys():
            await self._refresh(key_id)
        if self._clock() - self._fetched_at > self._stale_after_s:
            raise KeysUnavailable(self._problem)
        if key_id in self._keys:
            return self._keys[key_id]
        if self._problem:
            raise KeysUnavailable(self._problem)
        raise KeyUnknown

    async def ping(self) -> None:
        """Fetches the keys if there are none yet; a readiness check. Raises KeysUnavailable."""
        if not self._fresh_keys():
            await self._refresh("")
        if not self._keys:
            raise KeysUnavailable(self._problem or "the issuer has no key for signatures")

    def _fresh_keys(self) -> dict[str, PyJWK]:
        fresh = self._clock() - self._fetched_at <= self._refresh_after_s
        return self._keys if fresh else {}

    async def _refresh(self, key_id: str) -> None:
        # One fetch serves all requests that wait for the same key.
        async with self._fetching:
            now = self._clock()
            if key_id in self._fresh_keys() or now - self._tried_at < self._refetch_after_s:
                return
            self._tried_at = now
            try:
                self._keys = self._read(await self._fetch())
            except (httpx.HTTPError, ValueError, TimeoutError) as error:
                self._problem = f"no keys from the issuer: {error!r}"
            except BaseException:
                # Stopped half-way, by a caller that gave up: the next one may try at once.
                self._tried_at = -float("inf")
                raise
            else:
                self._fetched_at = now
                self._problem = ""

    async def _fetch(self) -> object:
        if self._client is None:
            self._client = httpx.AsyncClient(follow_redirects=False, timeout=self._timeout_s)
        body = bytearray()
        # httpx bounds each read; this bounds the whole, which may come in drops.
        async with (
            asyncio.timeout(self._timeout_s),
            self._client.stream(
                "GET", self._url, headers={"accept": "application/json"}
            ) as response,
        ):
            if response.status_code != 200:
                raise ValueError(f"status {response.status_code}")
            async for part in response.aiter_bytes():
                body += part
                if len(body) > self._maximum_bytes:
                    raise ValueError(f"more than {self._maximum_bytes} bytes")
        return httpx.Response(200, content=bytes(body)).json()

    def _read(self, document: object) -> dict[str, PyJWK]:
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise ValueError("not a JWKS document")
        if len(listed) > self._maximum_keys:
            raise ValueError(f"more than {self._maximum_keys} keys")
        keys = {}
        for entry in listed:
            key = _signature_key(entry)
            if key is not None and key.key_id:
                keys[key.key_id] = key
        return keys


def _signature_key(entry: object) -> PyJWK | None:
    """The public key for signatures that the entry holds; None for keys of another use."""
    # A symmetric key in a public document would let anybody sign.
    if not isinstance(entry, dict) or entry.get("kty") not in ("RSA", "EC"):
        return None
    if entry.get("use", "sig") != "sig":
        return None
    try:
        key = PyJWK.from_dict(entry)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key.key, RSAPublicKey) and key.key.key_size < _MINIMUM_RSA_BITS:
        return None
    return key
