"""A create that is sent twice happens once."""

from __future__ import annotations

from datetime import timedelta

KEY = {"Idempotency-Key": "order-4711"}


def test_the_same_request_again_gives_the_same_entity(world, path):
    first = world.client("POST", path, {"name": "a"}, headers=KEY)
    again = world.client("POST", path, {"name": "a"}, headers=KEY)
    assert (first.status, again.status) == (201, 200)
    assert again.json == first.json
    assert len(world.client("GET", path).json["items"]) == 1


def test_the_same_key_for_another_request_is_refused(world, path):
    world.client("POST", path, {"name": "a"}, headers=KEY)
    assert world.client("POST", path, {"name": "b"}, headers=KEY).status == 422
    assert len(world.client("GET", path).json["items"]) == 1


def test_without_a_key_every_request_makes_an_entity(world, path):
    for _ in range(2):
        assert world.client("POST", path, {"name": "a"}).status == 201
    assert len(world.client("GET", path).json["items"]) == 2


def test_a_key_is_forgotten_after_a_day(world, path):
    world.client("POST", path, {"name": "a"}, headers=KEY)
    world.now += timedelta(hours=25)
    assert world.client("POST", path, {"name": "b"}, headers=KEY).status == 201


def test_a_malformed_key_is_refused(world, path):
    headers = {"Idempotency-Key": "a b"}
    assert world.client("POST", path, {"name": "a"}, headers=headers).status == 400
