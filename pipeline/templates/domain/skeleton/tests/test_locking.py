"""Optimistic locking: nobody overwrites what they have not read."""

from __future__ import annotations

import pytest
from conftest import Refused


def change(world, how, kind, id, version):
    if how == "update":
        world.client.update(kind, id, version, "b")
    else:
        world.client.delete(kind, id, version)


@pytest.mark.parametrize("how", ["update", "delete"])
def test_a_change_names_the_version_it_rests_on(world, kind, how):
    id = world.client.create(kind, "a").entity.id
    for version in (0, -1):
        with pytest.raises(Refused) as refused:
            change(world, how, kind, id, version)
        assert (refused.value.status, refused.value.code) == ("INVALID_ARGUMENT", "version-missing")
    with pytest.raises(Refused) as refused:
        change(world, how, kind, id, 2)
    assert (refused.value.status, refused.value.code) == ("ABORTED", "version-changed")
    assert world.client.get(kind, id).version == 1
    change(world, how, kind, id, 1)


def test_of_two_writers_the_second_is_told(world, kind):
    id = world.client.create(kind, "a").entity.id
    world.client.update(kind, id, 1, "first writer")
    with pytest.raises(Refused, match="changed in between"):
        world.client.update(kind, id, 1, "second writer")
    assert world.client.get(kind, id).name == "first writer"
