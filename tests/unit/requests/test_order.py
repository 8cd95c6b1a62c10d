"""The order of environments follows their graph, whatever the order of their names."""

from __future__ import annotations

import itertools

import pytest

from pipeline.requests.order import EnvironmentPlace, comes_before, is_first, is_reached, ordered

REGIONS = {
    "dev": EnvironmentPlace("dev"),
    "staging": EnvironmentPlace("staging", ("dev",)),
    "canary": EnvironmentPlace("prod", ("staging",)),
    "prod-eu": EnvironmentPlace("prod", ("canary",)),
    "a-prod-us": EnvironmentPlace("prod", ("canary", "staging")),
}
CYCLE = {
    "dev": EnvironmentPlace("dev"),
    "one": EnvironmentPlace("prod", ("two",)),
    "two": EnvironmentPlace("prod", ("one",)),
    "behind": EnvironmentPlace("prod", ("two",)),
}


@pytest.mark.parametrize("names", list(itertools.permutations(REGIONS)))
def test_each_stands_behind_what_it_promotes_from(names: tuple[str, ...]) -> None:
    found = ordered({name: REGIONS[name] for name in names})
    assert found == ("dev", "staging", "canary", "a-prod-us", "prod-eu")


def test_the_lower_stage_is_first_and_then_the_lower_name() -> None:
    places = {
        "z": EnvironmentPlace("dev"),
        "b": EnvironmentPlace("prod", ("z",)),
        "a": EnvironmentPlace("prod", ("z",)),
        "y": EnvironmentPlace("staging", ("z",)),
    }
    assert ordered(places) == ("z", "y", "a", "b")


def test_what_is_in_or_behind_a_cycle_is_last_and_not_reached() -> None:
    assert ordered(CYCLE) == ("dev", "behind", "one", "two")
    assert [name for name in CYCLE if is_reached(CYCLE, name)] == ["dev"]


def test_unknown_sources_and_stages_are_no_error() -> None:
    assert ordered({"a": EnvironmentPlace("qa", ("gone",)), "b": EnvironmentPlace("dev")}) == (
        "b",
        "a",
    )


def test_releases_begin_where_nothing_is_before() -> None:
    assert [name for name in REGIONS if is_first(REGIONS, name)] == ["dev"]
    alone = {**REGIONS, "prod-x": EnvironmentPlace("prod")}
    assert not is_first(alone, "prod-x") and not is_reached(alone, "prod-x")
    assert is_first({"prod": EnvironmentPlace("prod")}, "prod")


def test_what_comes_before_what() -> None:
    assert comes_before(REGIONS, "dev", "prod-eu") and comes_before(REGIONS, "dev", "dev")
    assert not comes_before(REGIONS, "prod-eu", "dev")
    assert not comes_before(REGIONS, "prod-eu", "a-prod-us")
    assert comes_before(CYCLE, "one", "behind")
