"""Create, get, update and delete over the API, for every type of entity."""

from __future__ import annotations

import uuid

import pytest
from ameide.domain.v1 import entity_service_pb2 as api
from conftest import Refused, entities
from google.protobuf.json_format import MessageToDict


def test_an_entity_lives_from_create_to_delete(world, kind):
    created = world.client.create(kind, "first", size=3, tags=["a", None, {"b": 0.5}]).entity
    assert (created.entity_type, created.version, created.name) == (kind, 1, "first")
    assert created.create_time == created.update_time
    assert world.client.get(kind, created.id) == created
    assert MessageToDict(created.attributes) == {"size": 3, "tags": ["a", None, {"b": 0.5}]}

    changed = world.client.update(kind, created.id, 1, "second")
    assert (changed.version, changed.name, dict(changed.attributes)) == (2, "second", {})
    assert changed.create_time == created.create_time
    assert changed.update_time.ToDatetime() > created.update_time.ToDatetime()

    world.client.delete(kind, created.id, 2)
    with pytest.raises(Refused) as refused:
        world.client.get(kind, created.id)
    assert (refused.value.status, refused.value.code) == ("NOT_FOUND", "entity-unknown")


def test_every_declared_type_is_served(world):
    for kind in entities.ENTITY_TYPES:
        made = world.client.create(kind, kind).entity
        assert world.client.get(kind, made.id).name == kind


def test_a_type_that_was_not_declared_is_refused(world):
    with pytest.raises(Refused) as refused:
        world.client.create("no-such-type", "a")
    assert (refused.value.status, refused.value.code) == ("INVALID_ARGUMENT", "type-unknown")


def test_entities_of_one_type_are_not_found_as_another(world):
    made = world.client.create(entities.ENTITY_TYPES[0], "a").entity
    for other in entities.ENTITY_TYPES[1:2]:
        with pytest.raises(Refused, match="no such entity"):
            world.client.get(other, made.id)


@pytest.mark.parametrize("id", ["", "1", str(uuid.uuid4()), "{spelled}", "A" * 5000])
def test_what_was_never_given_out_is_not_found(world, kind, id):
    made = world.client.create(kind, "a").entity
    with pytest.raises(Refused) as refused:
        world.client.get(kind, id.format(spelled=made.id.upper()))
    assert refused.value.status == "NOT_FOUND"


def nested(levels: int) -> dict[str, object]:
    return {"in": nested(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("", {}),
        ("  ", {}),
        ("a" * 201, {}),
        ("nul \0", {}),
        ("a", {"text": "x" * 17_000}),
        ("a", {"deep": ["nul \0"]}),
        ("a", {"nul \0": 1}),
        ("a", {f"n{number}": 1 for number in range(101)}),
        ("a", {"number": float("nan")}),
        ("a", {"number": float("inf")}),
        ("a", nested(17)),
    ],
)
def test_an_invalid_entity_is_refused_and_not_stored(world, kind, name, attributes):
    with pytest.raises(Refused) as refused:
        world.client.create(kind, name, **attributes)
    assert (refused.value.status, refused.value.code) == ("INVALID_ARGUMENT", "entity-invalid")
    assert list(world.client.list(kind).entities) == []


def test_a_value_of_no_kind_becomes_null(world, kind):
    draft = api.EntityDraft(name="a")
    draft.attributes.fields["empty"].SetInParent()
    request = api.CreateEntityRequest(entity_type=kind, entity=draft)
    made = world.client.call("CreateEntity", request).entity
    assert MessageToDict(made.attributes) == {"empty": None}


def test_the_deepest_attributes_come_back(world, kind):
    made = world.client.create(kind, "a", **nested(16)).entity
    assert MessageToDict(world.client.get(kind, made.id).attributes) == nested(16)


def test_a_large_request_is_refused(world, kind):
    with pytest.raises(Refused) as refused:
        world.client.create(kind, "a" * 200_000)
    assert refused.value.status == "RESOURCE_EXHAUSTED"


def test_text_comes_back_as_it_was_sent(world, kind):
    name = '\'; DROP TABLE entities; -- ünï "quoted" \\u0000 %s ${ {'
    made = world.client.create(kind, name, text=name).entity
    found = world.client.get(kind, made.id)
    assert (found.name, found.attributes["text"]) == (name, name)
