"""A real Keycloak for tests: one for all workers of a run, with a client that gets tokens.

The realm is the one that platform engineers get. The client that takes a user's password directly
is added here through the admin API, since only a test's realm should have one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tools.keycloak import REALM, Keycloak, find, running

LIFETIME_S = 1800
TIMEOUT_S = 60.0


@contextlib.contextmanager
def shared_keycloak(folder: Path) -> Iterator[Keycloak]:
    """The Keycloak of all processes that share `folder`: the first starts it, and ends it when
    the last is done. Raises KeycloakError on a machine without one."""
    told = folder / "keycloak.json"
    with (
        (folder / "keycloak.lock").open("w") as starting,
        (folder / "keycloak.users").open("w") as users,
    ):
        fcntl.flock(starting, fcntl.LOCK_EX)
        if told.exists():
            fcntl.flock(users, fcntl.LOCK_SH)
            fcntl.flock(starting, fcntl.LOCK_UN)
            yield Keycloak(**json.loads(told.read_text(encoding="utf-8")))
            return
        with running(find(), lifetime_s=LIFETIME_S) as keycloak:
            told.write_text(json.dumps(dataclasses.asdict(keycloak)), encoding="utf-8")
            fcntl.flock(starting, fcntl.LOCK_UN)
            try:
                yield keycloak
            finally:
                fcntl.flock(starting, fcntl.LOCK_EX)
                told.unlink()
                fcntl.flock(users, fcntl.LOCK_EX)


class Realm:
    """The realm by its admin API, and tokens of its users by a confidential test client."""

    def __init__(self, keycloak: Keycloak) -> None:
        self.keycloak = keycloak
        self._http = httpx.Client(timeout=TIMEOUT_S, trust_env=False)
        self._client_id = f"tests-{secrets.token_hex(4)}"
        self._client_secret = secrets.token_urlsafe(24)
        scopes = ["basic", "profile", "roles", "tenant", "platform-api"]
        self.admin(
            "POST",
            "clients",
            {
                "clientId": self._client_id,
                "secret": self._client_secret,
                "publicClient": False,
                "standardFlowEnabled": False,
                "directAccessGrantsEnabled": True,
                "fullScopeAllowed": True,
                "defaultClientScopes": scopes,
                "optionalClientScopes": [],
            },
        )

    def close(self) -> None:
        self._http.close()

    def admin(self, method: str, path: str, body: object = None) -> Any:
        """What the admin API answers to a call below the realm."""
        login = self._http.post(
            f"{self.keycloak.url}/realms/master/protocol/openid-connect/token",
            data={
                "grant_type": "password",
                "client_id": "admin-cli",
                "username": self.keycloak.admin_name,
                "password": self.keycloak.admin_password,
            },
        ).raise_for_status()
        response = self._http.request(
            method,
            f"{self.keycloak.url}/admin/realms/{REALM}/{path}".rstrip("/"),
            json=body,
            headers={"authorization": f"Bearer {login.json()['access_token']}"},
        ).raise_for_status()
        return response.json() if response.content else None

    def tokens(self, username: str) -> dict[str, str]:
        """New tokens of the user, as the token endpoint gives them."""
        response = self._http.post(
            self.keycloak.token_url,
            data={
                "grant_type": "password",
                "scope": "openid",
                "client_id": self._client_id,
                "client_secret": self._client_secret,
                "username": username,
                "password": self.keycloak.user_password,
            },
        ).raise_for_status()
        answer: dict[str, str] = response.json()
        return answer

    def rotate_keys(self) -> None:
        """Adds a new RSA key that signs from now on; the old one still verifies."""
        self.admin(
            "POST",
            "components",
            {
                "name": f"rotated-{secrets.token_hex(4)}",
                "providerId": "rsa-generated",
                "providerType": "org.keycloak.keys.KeyProvider",
                "parentId": self.admin("GET", "")["id"],
                "config": {
                    "priority": ["200"],
                    "enabled": ["true"],
                    "active": ["true"],
                    "algorithm": ["RS256"],
                    "keySize": ["2048"],
                },
            },
        )
