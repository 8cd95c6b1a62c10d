"""Who is calling and for which tenant: taken from a verified token and from nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import jwt

from .settings import InvalidSettings, Settings

_LEEWAY_S = 30
_KEY_TYPES = {"ES256": "EC", "RS256": "RSA"}


class Unauthenticated(Exception):
    """There is no token, or it proves nothing."""


class Forbidden(Exception):
    """The token is genuine, but not for this tenant or service."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified caller."""

    tenant_id: str
    subject: str


class TokenVerifier(Protocol):
    """Turns a bearer token into an identity; the one place that decides about tokens."""

    @property
    def ready(self) -> bool:
        """Whether any token could be verified at all."""
        ...

    def verify(self, token: str) -> Identity:
        """The caller. Raises Unauthenticated or Forbidden."""
        ...


class KeySetVerifier:
    """Verifies against a key set from the configuration: one algorithm, issuer and audience."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys: dict[str, jwt.PyJWK] = {}
        keys = settings.token_keys["keys"]
        for key in keys if isinstance(keys, list) else []:
            self._add(key)
        if self._keys and not settings.token_issuer:
            raise InvalidSettings("TOKEN_ISSUER is needed with TOKEN_KEYS")

    def _add(self, key: object) -> None:
        algorithm = self._settings.token_algorithm
        if not isinstance(key, dict) or not isinstance(key.get("kid"), str):
            raise InvalidSettings("TOKEN_KEYS holds a key without `kid`")
        if key.get("kty") != _KEY_TYPES[algorithm] or key.get("use", "sig") != "sig":
            return  # the issuer's key set may hold keys for other purposes
        try:
            self._keys[key["kid"]] = jwt.PyJWK(key, algorithm)
        except jwt.PyJWTError as error:
            raise InvalidSettings(f"TOKEN_KEYS: key {key['kid']!r} is malformed") from error

    @property
    def ready(self) -> bool:
        return bool(self._keys)

    def verify(self, token: str) -> Identity:
        settings = self._settings
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = self._keys.get(key_id) if isinstance(key_id, str) else None
            if key is None:
                raise Unauthenticated("the token is signed by an unknown key")
            claims = jwt.decode(
                token,
                key,
                algorithms=[settings.token_algorithm],
                issuer=settings.token_issuer,
                audience=settings.token_audience,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(str(error)) from error
        tenant_id, subject = claims.get(settings.tenant_claim), claims["sub"]
        if not isinstance(tenant_id, str) or not tenant_id:
            raise Forbidden("the token names no tenant")
        if settings.only_tenant and tenant_id != settings.only_tenant:
            raise Forbidden("this service belongs to another tenant")
        return Identity(tenant_id, subject)


def identify(
    verifier: TokenVerifier, authorization: Sequence[str], tenant_header: str | None
) -> Identity:
    """The caller of a request.

    `tenant_header` is a hint of proxies; it may agree with the token and decides nothing.
    Raises Unauthenticated or Forbidden.
    """
    if len(authorization) != 1:
        raise Unauthenticated("expected one Authorization header")
    scheme, _, token = authorization[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("expected a bearer token")
    identity = verifier.verify(token.strip())
    if tenant_header is not None and tenant_header != identity.tenant_id:
        raise Forbidden("X-Tenant-Id disagrees with the token")
    return identity
