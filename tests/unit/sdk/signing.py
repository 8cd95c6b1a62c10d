"""A token issuer for tests: its own keys, tokens with any claims, and its JWKS."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from primitive_sdk.identity import IdentityVerifier
from primitive_sdk.keys import JwksKeys

ISSUER = "https://issuer.example.invalid/realms/ameide"
AUDIENCE = "platform-api"
JWKS_URL = f"{ISSUER}/certs"


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """A new private key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def public_entry(key_id: str, key: rsa.RSAPrivateKey, **more: str) -> dict[str, Any]:
    """The key's entry in a JWKS document."""
    entry: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    return {**entry, "kid": key_id, "use": "sig", "alg": "RS256", **more}


@dataclass
class Issuer:
    """Signs tokens and serves its keys to a client without a network."""

    keys: dict[str, rsa.RSAPrivateKey]
    extra_entries: list[dict[str, Any]] = field(default_factory=list)
    fetches: int = 0
    broken: bool = False

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims with the changes; a change to None leaves the claim out."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": [AUDIENCE],
            "sub": "8a5f0c4e",
            "iat": now,
            "exp": now + 60,
            "tenant_id": "acme",
        }
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def token(self, key_id: str = "first", **changes: Any) -> str:
        """A token signed with the key of this id."""
        return jwt.encode(
            self.claims(**changes), self.keys[key_id], "RS256", headers={"kid": key_id}
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        """The JWKS document."""
        self.fetches += 1
        if self.broken:
            return httpx.Response(503)
        listed = [public_entry(key_id, key) for key_id, key in self.keys.items()]
        return httpx.Response(200, json={"keys": [*listed, *self.extra_entries]})

    def jwks(self, **options: Any) -> JwksKeys:
        """A source of this issuer's keys."""
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        return JwksKeys(JWKS_URL, client=client, **options)

    def verifier(self, **options: Any) -> IdentityVerifier:
        """A verifier of this issuer's tokens."""
        return IdentityVerifier(issuer=ISSUER, audience=AUDIENCE, keys=self.jwks(), **options)


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    """A token put together by hand, whatever its header says."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
