"""What a token must prove, and every way in which it may fail to."""

from __future__ import annotations

import base64
import json
import time

import pytest
from conftest import KEY, Client, key_set_of, make_token
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from domain_${{ values.primitive_id | replace('-', '_') }} import identity, settings


def unsigned_token():
    header = {"alg": "none", "typ": "JWT", "kid": "one"}
    body = make_token().split(".")[1]
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return f"{head}.{body}."


def public_key_as_secret():
    """HS256 with the public key as secret, signed by hand since libraries refuse to."""
    import hashlib
    import hmac

    pem = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    header = {"alg": "HS256", "typ": "JWT", "kid": "one"}
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    signed = f"{head}.{make_token().split('.')[1]}"
    code = hmac.new(pem, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(code).decode().rstrip('=')}"


BAD_TOKENS = {
    "malformed": lambda: "a.b.c",
    "expired": lambda: make_token(exp=int(time.time()) - 60),
    "not yet valid": lambda: make_token(nbf=int(time.time()) + 600),
    "without expiry": lambda: make_token(exp=None),
    "without subject": lambda: make_token(sub=None),
    "other audience": lambda: make_token(aud="another-service"),
    "other issuer": lambda: make_token(iss="https://issuer.test/realms/two"),
    "unknown key id": lambda: make_token(kid="two"),
    "without key id": lambda: make_token(kid=None),
    "other key": lambda: make_token(key=ec.generate_private_key(ec.SECP256R1())),
    "unsigned": unsigned_token,
    "public key as secret": public_key_as_secret,
}


@pytest.mark.parametrize("why", BAD_TOKENS)
def test_a_bad_token_is_refused(world, path, why):
    answer = Client(world.client.app, BAD_TOKENS[why]())("GET", path)
    assert answer.status == 401, answer.body
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_good_token_is_accepted(world, path):
    assert world.client("GET", path).status == 200


def test_no_token_is_refused_before_the_body_is_read(world, path):
    client = Client(world.client.app)
    assert client("GET", path).status == 401
    assert client("POST", path, raw=b"{").status == 401
    assert client("GET", path, headers={"authorization": "Basic YTpi"}).status == 401


@pytest.mark.parametrize("tenant", [None, "", 7, ["north"]])
def test_a_token_without_tenant_is_refused(world, path, tenant):
    assert Client(world.client.app, make_token(tenant))("GET", path).status == 403


def test_a_tenant_header_decides_nothing(world, path):
    assert world.client("GET", path, headers={"X-Tenant-Id": "south"}).status == 403
    assert world.client("GET", path, headers={"X-Tenant-Id": "north"}).status == 200


def test_keys_for_other_purposes_are_left_out():
    keys = key_set_of(KEY)
    keys["keys"].append({"kid": "rsa", "kty": "RSA", "use": "enc"})
    read = settings.read_settings({"TOKEN_KEYS": json.dumps(keys), "TOKEN_ISSUER": "x"})
    assert identity.KeySetVerifier(read).ready


@pytest.mark.parametrize(
    "environ",
    [
        {"TOKEN_KEYS": "{"},
        {"TOKEN_KEYS": "[]"},
        {"TOKEN_KEYS": '{"keys": [{}]}'},
        {"TOKEN_KEYS": '{"keys": [{"kid": "a", "kty": "EC"}]}', "TOKEN_ISSUER": "x"},
        {"TOKEN_KEYS": json.dumps(key_set_of(KEY))},
        {"TOKEN_ALGORITHM": "none"},
        {"TOKEN_ALGORITHM": "HS256"},
        {"PORT": "-1"},
        {"PORT": "65536"},
        {"LOG_LEVEL": "LOUD"},
    ],
)
def test_settings_that_would_weaken_or_break_it_stop_the_start(environ):
    with pytest.raises(settings.InvalidSettings):
        identity.KeySetVerifier(settings.read_settings(environ))
