"""Who asks: the verified bearer token of a request (RFC 6750, RFC 7519, RFC 8725).

The token alone tells the tenant. A tenant that a header or an argument claims is only compared
with it. The algorithm is one of a pinned list of asymmetric ones, never what the token proposes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from primitive_sdk.keys import JwksKeys, KeySource, KeysUnavailable, KeyUnknown

__all__ = [
    "Identity",
    "IdentityVerifier",
    "JwksKeys",
    "KeySource",
    "KeyUnknown",
    "KeysUnavailable",
    "Unauthenticated",
]

_MAXIMUM_TOKEN_BYTES = 16_384
_MAXIMUM_KEY_ID = 256
_ASYMMETRIC = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}
)
# Tenant ids are DNS labels (RFC 1123, section 2.1), for namespaces are named by them.
_TENANT_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Identity:
    """The subject of a verified token, and the tenant that it acts for."""

    subject: str
    tenant_id: str
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    # Passed on to other services in the name of the same subject; never printed.
    token: str = field(default="", repr=False)


class Unauthenticated(Exception):
    """The request carries no token that can be trusted; `code` says why, the same for ever.

    The codes: token-missing, token-malformed, token-expired, not-yet-valid, audience, issuer,
    algorithm, key-unknown, signature, tenant-missing, tenant-mismatch.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class IdentityVerifier:
    """Checks bearer tokens of one issuer for one audience.

    `only_tenant` is the tenant whose instance this is; tokens of any other are refused.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        keys: KeySource,
        algorithms: tuple[str, ...] = ("RS256", "ES256"),
        tenant_claim: str = "tenant_id",
        only_tenant: str = "",
        leeway_s: int = 10,
    ) -> None:
        if not issuer or not audience:
            raise ValueError("issuer and audience are needed: a token for anybody is for nobody")
        if not algorithms or not _ASYMMETRIC.issuperset(algorithms):
            raise ValueError(f"algorithms are of {sorted(_ASYMMETRIC)}")
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._algorithms = algorithms
        self._tenant_claim = tenant_claim
        self._only_tenant = only_tenant
        self._leeway_s = leeway_s

    async def verify(
        self, authorization: str | None, *, claimed_tenant: str | None = None
    ) -> Identity:
        """The identity behind the value of an `Authorization` header.

        `claimed_tenant` is the tenant that the request names besides (`x-tenant-id`). Raises
        Unauthenticated, or KeysUnavailable if the issuer's keys cannot be had.
        """
        token = _bearer_token(authorization)
        key = await self._key_of(token)
        claims = self._verified_claims(token, key)
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject:
            raise Unauthenticated("token-malformed")
        tenant = claims.get(self._tenant_claim)
        if not isinstance(tenant, str) or not _TENANT_ID.fullmatch(tenant):
            raise Unauthenticated("tenant-missing")
        if self._only_tenant and tenant != self._only_tenant:
            raise Unauthenticated("tenant-mismatch")
        if claimed_tenant is not None and claimed_tenant != tenant:
            raise Unauthenticated("tenant-mismatch")
        return Identity(
            subject=subject,
            tenant_id=tenant,
            roles=_roles(claims, self._audience),
            scopes=_scopes(claims),
            token=token,
        )

    async def _key_of(self, token: str) -> jwt.PyJWK:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError):
            raise Unauthenticated("token-malformed") from None
        if header.get("alg") not in self._algorithms:
            raise Unauthenticated("algorithm")
        # RFC 7515, section 4.1.11: what is critical and not understood is refused.
        if "crit" in header:
            raise Unauthenticated("token-malformed")
        key_id = header.get("kid")
        if not isinstance(key_id, str) or not 0 < len(key_id) <= _MAXIMUM_KEY_ID:
            raise Unauthenticated("key-unknown")
        try:
            key = await self._keys.key(key_id)
        except KeyUnknown:
            raise Unauthenticated("key-unknown") from None
        # The key's own algorithm decides (RFC 8725, section 3.1), or a public RSA key might be
        # taken for the secret of an HMAC.
        if key.algorithm_name != header["alg"]:
            raise Unauthenticated("algorithm")
        return key

    def _verified_claims(self, token: str, key: jwt.PyJWK) -> Mapping[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=list(self._algorithms),
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway_s,
                options={"require": ["exp", "sub", "aud", "iss"]},
            )
        except jwt.MissingRequiredClaimError as error:
            missing = {"aud": "audience", "iss": "issuer"}
            raise Unauthenticated(missing.get(error.claim, "token-malformed")) from None
        except jwt.PyJWTError as error:
            raise Unauthenticated(_code_of(error)) from None
        except (ValueError, TypeError, OverflowError):
            raise Unauthenticated("token-malformed") from None


_CODES: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "token-expired"),
    (jwt.ImmatureSignatureError, "not-yet-valid"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.InvalidAlgorithmError, "algorithm"),
    (jwt.InvalidSignatureError, "signature"),
)


def _code_of(error: jwt.PyJWTError) -> str:
    return next((code for kind, code in _CODES if isinstance(error, kind)), "token-malformed")


def _bearer_token(authorization: str | None) -> str:
    if not authorization:
        raise Unauthenticated("token-missing")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token or not token.isascii():
        raise Unauthenticated("token-malformed")
    if len(token) > _MAXIMUM_TOKEN_BYTES or token.strip() != token:
        raise Unauthenticated("token-malformed")
    return token


def _roles(claims: Mapping[str, Any], audience: str) -> frozenset[str]:
    """Realm roles, and those for this audience: where Keycloak writes them, and the plain claim."""
    resources = claims.get("resource_access")
    here = resources.get(audience) if isinstance(resources, dict) else None
    found: set[str] = set()
    for holder in (claims, claims.get("realm_access"), here):
        roles = holder.get("roles") if isinstance(holder, Mapping) else None
        if isinstance(roles, list):
            found.update(role for role in roles if isinstance(role, str))
    return frozenset(found)


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """RFC 8693, section 4.2: one string, separated by blanks."""
    scope = claims.get("scope")
    return frozenset(scope.split()) if isinstance(scope, str) else frozenset()
