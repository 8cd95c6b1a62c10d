"""Good tokens give an identity; each bad one is refused with its own code."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from primitive_sdk.identity import Identity, IdentityVerifier, KeysUnavailable, Unauthenticated

from tests.unit.sdk.signing import AUDIENCE, ISSUER, Issuer, public_entry, rsa_key, unsigned

FIRST = rsa_key()
SECOND = rsa_key()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer({"first": FIRST})


def verified(
    issuer: Issuer, authorization: str | None, claimed: str | None = None, **options: Any
) -> Identity:
    async def verify() -> Identity:
        return await issuer.verifier(**options).verify(authorization, claimed_tenant=claimed)

    return asyncio.run(verify())


def refusal(
    issuer: Issuer, authorization: str | None, claimed: str | None = None, **options: Any
) -> str:
    with pytest.raises(Unauthenticated) as refused:
        verified(issuer, authorization, claimed, **options)
    return refused.value.code


def test_a_good_token_gives_subject_and_tenant(issuer: Issuer) -> None:
    token = issuer.token()
    identity = verified(issuer, f"Bearer {token}", "acme")
    assert (identity.subject, identity.tenant_id, identity.token) == ("8a5f0c4e", "acme", token)


def test_roles_come_from_the_realm_and_this_audience_only(issuer: Issuer) -> None:
    token = issuer.token(
        realm_access={"roles": ["reader"]},
        resource_access={AUDIENCE: {"roles": ["writer"]}, "another": {"roles": ["owner"]}},
        scope="openid profile",
    )
    identity = verified(issuer, f"Bearer {token}")
    assert identity.roles == {"reader", "writer"}
    assert identity.scopes == {"openid", "profile"}


def test_an_identity_does_not_print_its_token(issuer: Issuer) -> None:
    token = issuer.token()
    assert token not in repr(verified(issuer, f"Bearer {token}"))


@pytest.mark.parametrize("authorization", [None, ""])
def test_no_token_is_refused(issuer: Issuer, authorization: str | None) -> None:
    assert refusal(issuer, authorization) == "token-missing"


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer a.b",
        "Bearer a.b.c.d",
        "Bearer  a.b.c",
        "Bearer é.é.é",
        "Bearer " + "a" * 20_000,
        "Bearer bnVsbA.bnVsbA.bnVsbA",
    ],
)
def test_a_malformed_token_is_refused(issuer: Issuer, authorization: str) -> None:
    assert refusal(issuer, authorization) == "token-malformed"


def test_an_expired_token_is_refused(issuer: Issuer) -> None:
    token = issuer.token(exp=int(time.time()) - 11)
    assert refusal(issuer, f"Bearer {token}") == "token-expired"


def test_the_leeway_covers_clocks_that_differ_a_little(issuer: Issuer) -> None:
    token = issuer.token(exp=int(time.time()) - 1)
    assert verified(issuer, f"Bearer {token}").tenant_id == "acme"


def test_a_token_without_an_end_is_refused(issuer: Issuer) -> None:
    assert refusal(issuer, f"Bearer {issuer.token(exp=None)}") == "token-malformed"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_of_the_future_is_refused(issuer: Issuer, claim: str) -> None:
    token = issuer.token(**{claim: int(time.time()) + 3600})
    assert refusal(issuer, f"Bearer {token}") == "not-yet-valid"


@pytest.mark.parametrize("audience", ["another-api", [], None, ["platform-ui", "account"]])
def test_a_token_for_another_audience_is_refused(issuer: Issuer, audience: object) -> None:
    assert refusal(issuer, f"Bearer {issuer.token(aud=audience)}") == "audience"


@pytest.mark.parametrize("name", [f"{ISSUER}/", "https://issuer.example.invalid", None])
def test_a_token_of_another_issuer_is_refused(issuer: Issuer, name: str | None) -> None:
    assert refusal(issuer, f"Bearer {issuer.token(iss=name)}") == "issuer"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
def test_a_token_without_signature_is_refused(issuer: Issuer, algorithm: str) -> None:
    token = unsigned({"alg": algorithm, "kid": "first"}, issuer.claims())
    assert refusal(issuer, f"Bearer {token}") == "algorithm"


def test_a_public_key_used_as_a_secret_is_refused(issuer: Issuer) -> None:
    public = FIRST.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = unsigned({"alg": "HS256", "kid": "first"}, issuer.claims()).rpartition(".")[0]
    mac = hmac.new(public, body.encode(), hashlib.sha256).digest()
    token = body + unsigned({}, {}, mac)[unsigned({}, {}).rindex(".") :]
    # Whoever takes the algorithm from the token takes this one.
    assert jwt.algorithms.HMACAlgorithm(hashlib.sha256).verify(body.encode(), public, mac)
    assert refusal(issuer, f"Bearer {token}") == "algorithm"


def test_another_asymmetric_algorithm_than_the_keys_is_refused(issuer: Issuer) -> None:
    token = jwt.encode(issuer.claims(), FIRST, "PS256", headers={"kid": "first"})
    code = refusal(issuer, f"Bearer {token}", algorithms=("RS256", "PS256"))
    assert code == "algorithm"


def test_a_changed_token_is_refused(issuer: Issuer) -> None:
    header, _, signature = issuer.token().split(".")
    other = issuer.token(tenant_id="contoso").split(".")[1]
    assert refusal(issuer, f"Bearer {header}.{other}.{signature}") == "signature"


def test_a_token_of_another_key_under_a_known_id_is_refused(issuer: Issuer) -> None:
    token = Issuer({"first": SECOND}).token()
    assert refusal(issuer, f"Bearer {token}") == "signature"


def test_an_unknown_key_is_refused(issuer: Issuer) -> None:
    token = Issuer({"second": SECOND}).token("second")
    assert refusal(issuer, f"Bearer {token}") == "key-unknown"


@pytest.mark.parametrize("key_id", ["", "k" * 300, None])
def test_a_token_without_a_usable_key_id_is_refused(issuer: Issuer, key_id: str | None) -> None:
    headers = {} if key_id is None else {"kid": key_id}
    token = jwt.encode(issuer.claims(), FIRST, "RS256", headers=headers)
    assert refusal(issuer, f"Bearer {token}") == "key-unknown"


def test_a_header_that_must_be_understood_is_refused(issuer: Issuer) -> None:
    headers = {"kid": "first", "crit": ["bound"], "bound": True}
    token = jwt.encode(issuer.claims(), FIRST, "RS256", headers=headers)
    assert refusal(issuer, f"Bearer {token}") == "token-malformed"


@pytest.mark.parametrize(
    "tenant",
    [None, "", " acme", "Acme", "acme\n", "-acme", "a" * 64, ["acme"], 7, "acme' OR '1'='1"],
)
def test_a_token_without_a_proper_tenant_is_refused(issuer: Issuer, tenant: object) -> None:
    assert refusal(issuer, f"Bearer {issuer.token(tenant_id=tenant)}") == "tenant-missing"


@pytest.mark.parametrize("claimed", ["contoso", "", "ACME", "acme,contoso"])
def test_a_header_that_names_another_tenant_is_refused(issuer: Issuer, claimed: str) -> None:
    assert refusal(issuer, f"Bearer {issuer.token()}", claimed) == "tenant-mismatch"


def test_a_header_does_not_stand_in_for_the_claim(issuer: Issuer) -> None:
    token = issuer.token(tenant_id=None)
    assert refusal(issuer, f"Bearer {token}", "acme") == "tenant-missing"


def test_an_instance_for_one_tenant_refuses_the_others(issuer: Issuer) -> None:
    token = issuer.token(tenant_id="contoso")
    assert refusal(issuer, f"Bearer {token}", only_tenant="acme") == "tenant-mismatch"


@pytest.mark.parametrize("subject", ["", None])
def test_a_token_without_a_subject_is_refused(issuer: Issuer, subject: str | None) -> None:
    assert refusal(issuer, f"Bearer {issuer.token(sub=subject)}") == "token-malformed"


@pytest.mark.parametrize("algorithms", [(), ("HS256",), ("RS256", "none")])
def test_a_verifier_takes_asymmetric_algorithms_only(
    issuer: Issuer, algorithms: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="algorithms"):
        issuer.verifier(algorithms=algorithms)


def test_a_verifier_needs_issuer_and_audience(issuer: Issuer) -> None:
    for issuer_name, audience in (("", AUDIENCE), (ISSUER, "")):
        with pytest.raises(ValueError, match="issuer and audience"):
            IdentityVerifier(issuer=issuer_name, audience=audience, keys=issuer.jwks())


def test_a_new_key_is_found_after_the_rotation_and_the_old_one_stays(issuer: Issuer) -> None:
    async def rotate() -> tuple[str, str, int]:
        verifier = IdentityVerifier(
            issuer=ISSUER, audience=AUDIENCE, keys=issuer.jwks(refetch_after_s=0)
        )
        old = issuer.token()
        await verifier.verify(f"Bearer {old}")
        issuer.keys["second"] = SECOND
        new = await verifier.verify(f"Bearer {issuer.token('second')}")
        kept = await verifier.verify(f"Bearer {old}")
        return new.tenant_id, kept.tenant_id, issuer.fetches

    assert asyncio.run(rotate()) == ("acme", "acme", 2)


def test_a_symmetric_key_in_the_issuers_document_is_not_used(issuer: Issuer) -> None:
    issuer.extra_entries.append({"kty": "oct", "kid": "shared", "k": "c2VjcmV0", "alg": "HS256"})
    token = unsigned({"alg": "RS256", "kid": "shared"}, issuer.claims(), b"x")
    assert refusal(issuer, f"Bearer {token}") == "key-unknown"


def test_a_key_for_encryption_is_not_used(issuer: Issuer) -> None:
    issuer.extra_entries.append(public_entry("sealing", SECOND, use="enc"))
    token = Issuer({"sealing": SECOND}).token("sealing")
    assert refusal(issuer, f"Bearer {token}") == "key-unknown"


def test_a_short_key_is_not_used(issuer: Issuer) -> None:
    short = rsa_key(1024)
    issuer.extra_entries.append(public_entry("short", short))
    token = unsigned({"alg": "RS256", "kid": "short"}, issuer.claims(), b"x")
    assert refusal(issuer, f"Bearer {token}") == "key-unknown"


def test_without_keys_a_token_cannot_be_judged(issuer: Issuer) -> None:
    issuer.broken = True
    with pytest.raises(KeysUnavailable):
        verified(issuer, f"Bearer {issuer.token()}")
