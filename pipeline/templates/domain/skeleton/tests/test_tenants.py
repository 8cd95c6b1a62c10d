"""Tenants never meet: in the API, in the storage, in keys."""

from __future__ import annotations

import pytest

from domain_${{ values.primitive_id | replace('-', '_') }} import repository


def test_one_tenant_never_sees_anothers_rows(world, path):
    acme, contoso = world.client.as_tenant("acme"), world.client.as_tenant("contoso")
    where = acme("POST", path, {"name": "of acme"}).headers["location"]
    match = {"If-Match": '"1"'}
    assert contoso("GET", path).json == {"items": []}
    assert contoso("GET", where).status == 404
    assert contoso("PUT", where, {"name": "taken"}, headers=match).status == 404
    assert contoso("DELETE", where, headers=match).status == 404
    assert acme("GET", where).json["name"] == "of acme"


def test_a_page_token_of_another_tenant_opens_nothing(world, path):
    acme, contoso = world.client.as_tenant("acme"), world.client.as_tenant("contoso")
    for name in "abc":
        acme("POST", path, {"name": name})
    token = acme("GET", f"{path}?page_size=1").json["next_page_token"]
    assert contoso("GET", f"{path}?page_token={token}").json == {"items": []}


def test_the_same_idempotency_key_of_two_tenants_makes_two_entities(world, path):
    headers = {"Idempotency-Key": "key-1"}
    acme, contoso = world.client.as_tenant("acme"), world.client.as_tenant("contoso")
    one = acme("POST", path, {"name": "a"}, headers=headers)
    two = contoso("POST", path, {"name": "a"}, headers=headers)
    assert (one.status, two.status) == (201, 201)
    assert one.json["id"] != two.json["id"]


def test_every_statement_on_a_table_is_bound_by_tenant(world, path):
    headers = {"Idempotency-Key": "key-1"}
    where = world.client("POST", path, {"name": "a"}, headers=headers).headers["location"]
    world.client("GET", path)
    world.client("PUT", where, {"name": "b"}, headers={"If-Match": '"1"'})
    world.client("DELETE", where, headers={"If-Match": '"2"'})
    tables = ("records", "idempotency_keys")
    touching = [text for text in world.statements if any(table in text for table in tables)]
    assert len(touching) >= 8
    for text in touching:
        bound = "tenant_id = 'acme'" in text or ("(tenant_id," in text and "('acme'," in text)
        assert bound, text


def test_a_repository_without_tenant_cannot_be_had(world):
    with pytest.raises(ValueError, match="needs a tenant"):
        world.repository.for_tenant("")
    with pytest.raises(repository.NotFound):
        world.repository.for_tenant("acme").read("any", "id")


def test_a_service_of_one_tenant_refuses_the_others(make_world, path):
    world = make_world(ONLY_TENANT="acme")
    assert world.client.as_tenant("acme")("GET", path).status == 200
    assert world.client.as_tenant("contoso")("GET", path).status == 403
