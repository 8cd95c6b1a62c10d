"""Tenants never meet: in the API, in the storage, in keys."""

from __future__ import annotations

import pytest

from domain_${{ values.primitive_id | replace('-', '_') }} import repository


def test_one_tenant_never_sees_anothers_rows(world, path):
    north, south = world.client.as_tenant("north"), world.client.as_tenant("south")
    where = north("POST", path, {"name": "of north"}).headers["location"]
    match = {"If-Match": '"1"'}
    assert south("GET", path).json == {"items": []}
    assert south("GET", where).status == 404
    assert south("PUT", where, {"name": "taken"}, headers=match).status == 404
    assert south("DELETE", where, headers=match).status == 404
    assert north("GET", where).json["name"] == "of north"


def test_a_page_token_of_another_tenant_opens_nothing(world, path):
    north, south = world.client.as_tenant("north"), world.client.as_tenant("south")
    for name in "abc":
        north("POST", path, {"name": name})
    token = north("GET", f"{path}?page_size=1").json["next_page_token"]
    assert south("GET", f"{path}?page_token={token}").json == {"items": []}


def test_the_same_idempotency_key_of_two_tenants_makes_two_entities(world, path):
    headers = {"Idempotency-Key": "key-1"}
    north, south = world.client.as_tenant("north"), world.client.as_tenant("south")
    one = north("POST", path, {"name": "a"}, headers=headers)
    two = south("POST", path, {"name": "a"}, headers=headers)
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
        bound = "tenant_id = 'north'" in text or ("(tenant_id," in text and "('north'," in text)
        assert bound, text


def test_a_repository_without_tenant_cannot_be_had(world):
    with pytest.raises(ValueError, match="needs a tenant"):
        world.repository.for_tenant("")
    with pytest.raises(repository.NotFound):
        world.repository.for_tenant("north").read("any", "id")


def test_a_service_of_one_tenant_refuses_the_others(make_world, path):
    world = make_world(ONLY_TENANT="north")
    assert world.client.as_tenant("north")("GET", path).status == 200
    assert world.client.as_tenant("south")("GET", path).status == 403
