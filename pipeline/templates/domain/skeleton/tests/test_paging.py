"""Lists come in pages: complete, in order, and bounded."""

from __future__ import annotations

import pytest
from conftest import Refused, entities


def test_pages_cover_everything_once_and_in_order(world, kind):
    names = [f"entity {number}" for number in range(7)]
    for name in names:
        world.client.create(kind, name)
    seen, sizes, token = [], [], ""
    while True:
        page = world.client.list(kind, 3, token)
        sizes.append(len(page.entities))
        seen += [entity.name for entity in page.entities]
        token = page.next_page_token
        if not token:
            break
    assert (seen, sizes) == (names, [3, 3, 1])


def test_a_full_last_page_has_no_next(world, kind):
    for name in "ab":
        world.client.create(kind, name)
    assert world.client.list(kind, 2).next_page_token == ""


def test_what_is_removed_between_two_pages_moves_nothing(world, kind):
    made = [world.client.create(kind, name).entity for name in "abcd"]
    token = world.client.list(kind, 2).next_page_token
    world.client.delete(kind, made[0].id, 1)
    world.client.delete(kind, made[1].id, 1)
    assert [e.name for e in world.client.list(kind, 0, token).entities] == ["c", "d"]


def test_without_a_size_a_page_has_fifty(world, kind):
    for number in range(51):
        world.client.create(kind, str(number))
    assert len(world.client.list(kind).entities) == 50


@pytest.mark.parametrize("size", [-1, 201])
def test_a_size_out_of_bounds_is_refused(world, kind, size):
    with pytest.raises(Refused) as refused:
        world.client.list(kind, size)
    assert (refused.value.status, refused.value.code) == ("INVALID_ARGUMENT", "page-size")


@pytest.mark.parametrize("token", ["!", "eA", "e30", "W10", "WzEsMiwzXQ", "W" * 600])
def test_a_token_that_no_list_gave_is_refused(world, kind, token):
    with pytest.raises(Refused) as refused:
        world.client.list(kind, 0, token)
    assert (refused.value.status, refused.value.code) == ("INVALID_ARGUMENT", "page-token")


def test_a_token_of_another_type_is_refused(world):
    one, *others = entities.ENTITY_TYPES
    for name in "ab":
        world.client.create(one, name)
    token = world.client.list(one, 1).next_page_token
    for other in others[:1]:
        with pytest.raises(Refused, match="not one that this list gave"):
            world.client.list(other, 1, token)
