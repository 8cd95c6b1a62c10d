"""Tenants never meet: in the API, in the store, in keys; and nobody comes in without a token."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from conftest import Refused, make_token
from primitive_sdk.tenancy import NoTenant


def refusal_of(call, *arguments):
    with pytest.raises(Refused) as refused:
        call(*arguments)
    return refused.value.status, refused.value.code


def test_one_tenant_never_sees_anothers_entities(world, kind):
    north, south = world.client.as_tenant("north"), world.client.as_tenant("south")
    made = north.create(kind, "of north").entity
    unknown = ("NOT_FOUND", "entity-unknown")
    assert list(south.list(kind).entities) == []
    assert refusal_of(south.get, kind, made.id) == unknown
    assert refusal_of(south.update, kind, made.id, 1, "taken") == unknown
    assert refusal_of(south.delete, kind, made.id, 1) == unknown
    assert north.get(kind, made.id).name == "of north"


def test_a_page_token_of_another_tenant_opens_nothing(world, kind):
    north, south = world.client.as_tenant("north"), world.client.as_tenant("south")
    for name in "abc":
        north.create(kind, name)
    token = north.list(kind, 1).next_page_token
    assert list(south.list(kind, 0, token).entities) == []


def test_the_same_idempotency_key_of_two_tenants_makes_two_entities(world, kind):
    made = [world.client.as_tenant(t).create(kind, "a", "key-1") for t in ("north", "south")]
    assert [each.replayed for each in made] == [False, False]
    assert made[0].entity.id != made[1].entity.id


def test_no_token_is_refused(world, kind):
    nobody = replace(world.client, metadata=())
    with pytest.raises(Refused, match="token-missing") as refused:
        nobody.list(kind)
    assert refused.value.status == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": int(time.time()) - 60}, "token-expired"),
        ({"aud": "another-service"}, "audience"),
        ({"iss": "https://issuer.test/realms/two"}, "issuer"),
        ({"tenant_id": ""}, "tenant-missing"),
    ],
)
def test_a_token_for_something_else_is_refused(world, kind, claims, code):
    client = world.client.with_token(make_token(**claims))
    with pytest.raises(Refused, match=code) as refused:
        client.create(kind, "a")
    assert refused.value.status == "UNAUTHENTICATED"


def test_a_tenant_in_the_metadata_decides_nothing(world, kind):
    for claimed, lets_in in (("south", False), ("north", True)):
        metadata = (*world.client.metadata, ("x-tenant-id", claimed))
        client = replace(world.client, metadata=metadata)
        if lets_in:
            assert list(client.list(kind).entities) == []
        else:
            with pytest.raises(Refused, match="tenant-mismatch"):
                client.list(kind)


def test_a_service_of_one_tenant_refuses_the_others(make_world, kind):
    world = make_world(ONLY_TENANT="north")
    assert list(world.client.list(kind).entities) == []
    with pytest.raises(Refused, match="tenant-mismatch"):
        world.client.as_tenant("south").list(kind)


def test_outside_of_a_request_there_is_nothing_to_read(world, kind):
    with pytest.raises(NoTenant):
        world.run(world.store.list_page(kind, None, 1))
