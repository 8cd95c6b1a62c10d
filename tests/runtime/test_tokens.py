"""Tokens of a real Keycloak with the platform's realm.

Bad tokens are made by hand in tests/unit/sdk/test_identity.py.
"""

from __future__ import annotations

import asyncio
import re

import httpx
import jwt
import pytest
from primitive_sdk.identity import Identity, IdentityVerifier, JwksKeys, Unauthenticated

from tests.runtime.keycloak import Realm
from tools.keycloak import Keycloak

CALLBACK = "http://127.0.0.1:43210/app/callback"


def verified(keycloak: Keycloak, token: str, claimed: str | None = None) -> Identity:
    async def verify() -> Identity:
        async with JwksKeys(keycloak.jwks_url) as keys:
            verifier = IdentityVerifier(issuer=keycloak.issuer, audience="platform-api", keys=keys)
            return await verifier.verify(f"Bearer {token}", claimed_tenant=claimed)

    return asyncio.run(verify())


def refusal(keycloak: Keycloak, token: str, claimed: str | None = None) -> str:
    with pytest.raises(Unauthenticated) as refused:
        verified(keycloak, token, claimed)
    return refused.value.code


@pytest.mark.parametrize(
    ("username", "tenant", "role"),
    [
        ("acme-engineer", "acme", "engineer"),
        ("acme-reader", "acme", "reader"),
        ("contoso-engineer", "contoso", "engineer"),
    ],
)
def test_a_users_token_tells_its_tenant_and_roles(
    keycloak: Keycloak, realm: Realm, username: str, tenant: str, role: str
) -> None:
    identity = verified(keycloak, realm.tokens(username)["access_token"], tenant)
    assert identity.tenant_id == tenant
    assert identity.roles & {"engineer", "reader"} == {role}


def test_a_header_of_the_other_tenant_is_refused(keycloak: Keycloak, realm: Realm) -> None:
    token = realm.tokens("contoso-engineer")["access_token"]
    assert refusal(keycloak, token, "acme") == "tenant-mismatch"


def test_an_id_token_tells_the_tenant_but_opens_no_api(keycloak: Keycloak, realm: Realm) -> None:
    token = realm.tokens("acme-engineer")["id_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["tenant_id"] == "acme"
    assert refusal(keycloak, token) == "audience"


def test_a_refresh_token_opens_no_api(keycloak: Keycloak, realm: Realm) -> None:
    # Keycloak signs these with a secret of its own.
    assert refusal(keycloak, realm.tokens("acme-engineer")["refresh_token"]) == "algorithm"


def test_a_token_of_the_master_realm_is_refused(keycloak: Keycloak) -> None:
    response = httpx.post(
        f"{keycloak.url}/realms/master/protocol/openid-connect/token",
        data={
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": keycloak.admin_name,
            "password": keycloak.admin_password,
        },
        timeout=60,
    )
    assert refusal(keycloak, response.json()["access_token"]) == "key-unknown"


def test_old_and_new_tokens_hold_across_a_rotation_of_keys(
    keycloak: Keycloak, realm: Realm
) -> None:
    async def rotate() -> tuple[str, list[str]]:
        async with JwksKeys(keycloak.jwks_url, refetch_after_s=0) as keys:
            verifier = IdentityVerifier(issuer=keycloak.issuer, audience="platform-api", keys=keys)
            old = realm.tokens("acme-engineer")["access_token"]
            subjects = [(await verifier.verify(f"Bearer {old}")).subject]
            realm.rotate_keys()
            new = realm.tokens("acme-engineer")["access_token"]
            for token in (new, old):
                subjects.append((await verifier.verify(f"Bearer {token}")).subject)
            ids = [jwt.get_unverified_header(token)["kid"] for token in (old, new)]
            return "rotated" if ids[0] != ids[1] else "same key", subjects

    rotated, subjects = asyncio.run(rotate())
    assert rotated == "rotated"
    assert len(set(subjects)) == 1


def authorisation(keycloak: Keycloak, **changes: str) -> httpx.Response:
    """What the browser gets when the UI sends it to log in."""
    query = {
        "client_id": "platform-ui",
        "response_type": "code",
        "scope": "openid",
        "redirect_uri": CALLBACK,
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
        **changes,
    }
    return httpx.get(
        f"{keycloak.issuer}/protocol/openid-connect/auth",
        params={name: value for name, value in query.items() if value},
        timeout=60,
    )


def test_the_ui_may_come_back_to_any_port_of_the_loopback_address(keycloak: Keycloak) -> None:
    response = authorisation(keycloak)
    assert response.status_code == 200
    assert re.search(r'<form[^>]+id="kc-form-login"', response.text)


def test_the_ui_may_not_come_back_to_another_host(keycloak: Keycloak) -> None:
    for elsewhere in ("http://127.0.0.1.evil.example/", "https://127.0.0.1/", "http://10.0.0.1/"):
        response = authorisation(keycloak, redirect_uri=elsewhere)
        assert response.status_code == 400
        assert "kc-form-login" not in response.text


def test_the_ui_cannot_log_in_without_pkce(keycloak: Keycloak) -> None:
    response = authorisation(keycloak, code_challenge="", code_challenge_method="")
    assert response.status_code == 302
    assert "error=invalid_request" in response.headers["location"]


def test_a_password_is_taken_by_the_login_page_only(keycloak: Keycloak) -> None:
    response = httpx.post(
        keycloak.token_url,
        data={
            "grant_type": "password",
            "client_id": "platform-ui",
            "username": "acme-engineer",
            "password": keycloak.user_password,
        },
        timeout=60,
    )
    assert response.json()["error"] == "unauthorized_client"


def test_a_user_cannot_choose_its_tenant(realm: Realm) -> None:
    attributes = realm.admin("GET", "users/profile")["attributes"]
    [tenant] = [entry for entry in attributes if entry["name"] == "tenant_id"]
    assert tenant["permissions"]["edit"] == ["admin"]
