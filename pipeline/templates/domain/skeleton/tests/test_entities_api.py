"""Create, read, replace and delete over the API, for every entity."""

from __future__ import annotations

import json

import pytest

from domain_${{ values.primitive_id | replace('-', '_') }} import entities


def test_an_entity_lives_from_create_to_delete(world, path):
    created = world.client("POST", path, {"name": "first", "attributes": {"size": 3}})
    assert created.status == 201
    assert created.headers["etag"] == '"1"'
    where = created.headers["location"]
    assert where == f"{path}/{created.json['id']}"
    assert world.client("GET", where).json == created.json

    changed = world.client("PUT", where, {"name": "second"}, headers={"If-Match": '"1"'})
    assert (changed.status, changed.json["version"]) == (200, 2)
    assert (changed.json["name"], changed.json["attributes"]) == ("second", {})

    assert world.client("DELETE", where, headers={"If-Match": '"2"'}).status == 204
    assert world.client("GET", where).status == 404


def test_every_declared_entity_is_served(world):
    for entity in entities.ENTITIES:
        where = world.client("POST", f"/v1/{entity}", {"name": entity}).headers["location"]
        assert world.client("GET", where).json["name"] == entity


def test_entities_of_one_kind_are_not_found_as_another(world):
    made = world.client("POST", f"/v1/{entities.ENTITIES[0]}", {"name": "a"}).json["id"]
    assert world.client("GET", f"/v1/no-such-entity/{made}").status == 404
    for other in entities.ENTITIES[1:2]:
        assert world.client("GET", f"/v1/{other}/{made}").status == 404


def test_an_unchanged_entity_is_not_sent_again(world, path):
    where = world.client("POST", path, {"name": "a"}).headers["location"]
    answer = world.client("GET", where, headers={"If-None-Match": '"1"'})
    assert (answer.status, answer.body) == (304, b"")


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"name": ""},
        {"name": "  "},
        {"name": 1},
        {"name": "a" * 201},
        {"name": "a", "attributes": []},
        {"name": "a", "tenant_id": "south"},
        {"name": "a", "attributes": {"text": "x" * 17_000}},
        {"name": "a", "attributes": {"text": "\ud800"}},
    ],
)
def test_an_invalid_entity_is_refused_and_not_stored(world, path, body):
    assert world.client("POST", path, body).status == 422
    assert world.client("GET", path).json == {"items": []}


@pytest.mark.parametrize(
    ("raw", "status"),
    [(b"", 400), (b"{", 400), (b"\xff", 400), (b'{"name": NaN}', 400), (b"[" * 60_000, 400)],
)
def test_a_body_that_is_no_json_is_refused(world, path, raw, status):
    assert world.client("POST", path, raw=raw).status == status


def test_a_large_body_is_refused(world, path):
    body = json.dumps({"name": "a" * 70_000}).encode()
    assert world.client("POST", path, raw=body).status == 413


def test_another_content_type_is_refused(world, path):
    headers = {"content-type": "text/plain"}
    assert world.client("POST", path, {"name": "a"}, headers=headers).status == 415


def test_text_comes_back_as_it_was_sent(world, path):
    name = '\'; DROP TABLE records; -- ünï "quoted" ${ {'
    where = world.client("POST", path, {"name": name}).headers["location"]
    assert world.client("GET", where).json["name"] == name
