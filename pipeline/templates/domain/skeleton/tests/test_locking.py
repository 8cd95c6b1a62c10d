"""Optimistic locking: nobody overwrites what they have not read."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_change_names_the_version_it_rests_on(world, path, method):
    where = world.client("POST", path, {"name": "a"}).headers["location"]
    body = {"name": "b"} if method == "PUT" else None
    assert world.client(method, where, body).status == 428
    assert world.client(method, where, body, headers={"If-Match": "*"}).status == 400
    assert world.client(method, where, body, headers={"If-Match": '"2"'}).status == 412
    assert world.client("GET", where).json["version"] == 1
    assert world.client(method, where, body, headers={"If-Match": '"1"'}).status in (200, 204)


def test_of_two_writers_the_second_is_told(world, path):
    where = world.client("POST", path, {"name": "a"}).headers["location"]
    match = {"If-Match": world.client("GET", where).headers["etag"]}
    assert world.client("PUT", where, {"name": "mine"}, headers=match).status == 200
    assert world.client("PUT", where, {"name": "yours"}, headers=match).status == 412
    assert world.client("GET", where).json["name"] == "mine"
