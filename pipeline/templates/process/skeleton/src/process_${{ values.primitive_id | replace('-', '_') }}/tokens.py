"""The worker's own tokens, one for each tenant that it acts for (RFC 6749 §4.4).

A process outlives the token of whoever started it, and a token in its history would outlive the
process. So the worker asks the issuer for its own, and trusts it no more than any other: it is
verified, and has to name the tenant that it was asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol
from weakref import WeakValueDictionary

import httpx
from primitive_sdk.identity import Identity, KeysUnavailable, Unauthenticated
from temporalio.exceptions import ApplicationError

from .contract import TENANT_MISMATCH

MAX_TENANTS: Final = 1_000
# Asked for anew this long before it ends, so that it lasts for the call it is used in.
_MARGIN_S: Final = 30.0
_MAX_AGE_S: Final = 3_600.0
_OF_ANOTHER_TENANT: Final = frozenset({"tenant-mismatch", "tenant-missing"})


class Verifier(Protocol):
    """What is needed of `primitive_sdk.identity.IdentityVerifier`."""

    async def verify(
        self, authorization: str | None, *, claimed_tenant: str | None = None
    ) -> Identity:
        """The identity behind the header's value. Raises Unauthenticated."""
        ...


@dataclass(frozen=True, slots=True)
class _Kept:
    identity: Identity
    until: float


class ServiceTokens:
    """Verified identities of this worker.

    `scope` is sent with the request, with the tenant's id in place of `{tenant}`: an issuer that
    serves many tenants decides by it whose token it gives.
    """

    def __init__(
        self,
        verifier: Verifier,
        http: httpx.AsyncClient,
        *,
        url: str,
        client_id: str,
        client_secret: str,
        scope: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verifier = verifier
        self._http = http
        self._url = url
        self._credentials = httpx.BasicAuth(client_id, client_secret)
        self._scope = scope
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        # One request for all who wait for the same tenant; tenants do not wait for each other.
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def identity_for(self, tenant_id: str) -> Identity:
        """The worker's identity for the tenant.

        Raises ApplicationError: for good when the issuer gives a token of another tenant, to be
        tried again when it gives none.
        """
        if (kept := self._find(tenant_id)) is not None:
            return kept
        asking = self._asking.setdefault(tenant_id, asyncio.Lock())
        async with asking:
            if (kept := self._find(tenant_id)) is not None:
                return kept
            return await self._ask(tenant_id)

    def _find(self, tenant_id: str) -> Identity | None:
        kept = self._kept.get(tenant_id)
        return kept.identity if kept is not None and self._clock() < kept.until else None

    async def _ask(self, tenant_id: str) -> Identity:
        form = {"grant_type": "client_credentials"}
        if self._scope:
            form["scope"] = self._scope.replace("{tenant}", tenant_id)
        asked_at = self._clock()
        try:
            answer = await self._http.post(self._url, data=form, auth=self._credentials)
            answer.raise_for_status()
            document = answer.json()
            token, lasts_s = str(document["access_token"]), float(document["expires_in"])
        except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
            raise ApplicationError(
                f"the issuer gave no token: {type(error).__name__}", type="no-token"
            ) from error
        try:
            identity = await self._verifier.verify(f"Bearer {token}", claimed_tenant=tenant_id)
        except KeysUnavailable as error:
            raise ApplicationError("the issuer gave no keys", type="no-token") from error
        except Unauthenticated as error:
            wrong = error.code in _OF_ANOTHER_TENANT
            raise ApplicationError(
                f"the issuer's token was refused: {error.code}",
                type=TENANT_MISMATCH if wrong else "no-token",
                non_retryable=wrong,
            ) from error
        self._kept[tenant_id] = _Kept(identity, asked_at + min(lasts_s, _MAX_AGE_S) - _MARGIN_S)
        self._kept.move_to_end(tenant_id)
        while len(self._kept) > MAX_TENANTS:
            self._kept.popitem(last=False)
        return identity
