"""A create that is sent twice happens once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from conftest import Refused

KEY = "order-4711"


def test_the_same_request_again_gives_the_same_entity(world, kind):
    first = world.client.create(kind, "a", KEY, size=1)
    again = world.client.create(kind, "a", KEY, size=1)
    assert (first.replayed, again.replayed) == (False, True)
    assert again.entity == first.entity
    assert len(world.client.list(kind).entities) == 1


@pytest.mark.parametrize(("name", "size"), [("b", 1), ("a", 2)])
def test_the_same_key_for_another_request_is_refused(world, kind, name, size):
    world.client.create(kind, "a", KEY, size=1)
    with pytest.raises(Refused) as refused:
        world.client.create(kind, name, KEY, size=size)
    assert (refused.value.status, refused.value.code) == ("ALREADY_EXISTS", "key-reused")
    assert len(world.client.list(kind).entities) == 1


def test_without_a_key_every_request_makes_an_entity(world, kind):
    made = {world.client.create(kind, "a").entity.id for _ in range(2)}
    assert len(made) == 2


def test_a_key_is_forgotten_after_a_day(world, kind):
    world.client.create(kind, "a", KEY)
    world.now += timedelta(hours=25)
    assert not world.client.create(kind, "b", KEY).replayed


@pytest.mark.parametrize("key", ["a b", "a\n", "ü", "k" * 129])
def test_a_malformed_key_is_refused(world, kind, key):
    with pytest.raises(Refused) as refused:
        world.client.create(kind, "a", key)
    assert refused.value.code == "key-malformed"
