"""Lists come in pages: complete, in order, and bounded."""

from __future__ import annotations

import pytest


def test_pages_cover_everything_once_and_in_order(world, path):
    names = [f"entity {number}" for number in range(7)]
    for name in names:
        world.client("POST", path, {"name": name})
    seen, target = [], f"{path}?page_size=3"
    sizes = []
    while True:
        page = world.client("GET", target).json
        sizes.append(len(page["items"]))
        seen += [item["name"] for item in page["items"]]
        if "next_page_token" not in page:
            break
        target = f"{path}?page_size=3&page_token={page['next_page_token']}"
    assert (seen, sizes) == (names, [3, 3, 1])


def test_a_full_last_page_has_no_next(world, path):
    for name in "ab":
        world.client("POST", path, {"name": name})
    assert "next_page_token" not in world.client("GET", f"{path}?page_size=2").json


def test_what_is_removed_between_two_pages_moves_nothing(world, path):
    places = [world.client("POST", path, {"name": n}).headers["location"] for n in "abcd"]
    token = world.client("GET", f"{path}?page_size=2").json["next_page_token"]
    world.client("DELETE", places[0], headers={"If-Match": '"1"'})
    rest = world.client("GET", f"{path}?page_token={token}").json["items"]
    assert [item["name"] for item in rest] == ["c", "d"]


@pytest.mark.parametrize(
    "query", ["page_size=0", "page_size=201", "page_size=x", "page_token=!", "page_token=eA"]
)
def test_a_malformed_page_is_refused(world, path, query):
    assert world.client("GET", f"{path}?{query}").status == 400
