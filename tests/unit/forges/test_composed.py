"""A composed forge passes every call to the part that the port names."""

from __future__ import annotations

import inspect
from typing import Any, cast

import pytest

from pipeline.forges.composed import ComposedForge
from pipeline.forges.port import ChecksAndEvents, Forge, PullRequests, Repositories

PARTS = (Repositories, PullRequests, ChecksAndEvents)


def own(protocol: type) -> dict[str, Any]:
    """The members that a protocol itself declares."""
    return {name: found for name, found in vars(protocol).items() if not name.startswith("_")}


METHODS = [(part, name) for part in PARTS for name, f in own(part).items() if callable(f)]


class Recording:
    """A part that notes what it is asked, and answers with the question."""

    account = 7

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[object, ...], dict[str, object]]] = []

    def __getattr__(self, name: str) -> Any:
        def answer(*arguments: object, **named: object) -> object:
            self.asked.append((name, arguments, named))
            return self.asked[-1]

        return answer


@pytest.mark.parametrize(("part", "name"), METHODS, ids=[name for _, name in METHODS])
def test_each_method_belongs_to_one_part(part: type, name: str) -> None:
    parts = {each: Recording() for each in PARTS}
    forge = ComposedForge(*cast("Any", parts.values()))
    parameters = list(inspect.signature(getattr(part, name)).parameters.values())[1:]
    plain = tuple(f"<{p.name}>" for p in parameters if p.kind is not p.KEYWORD_ONLY)
    named = {p.name: f"<{p.name}>" for p in parameters if p.kind is p.KEYWORD_ONLY}
    answer = getattr(forge, name)(*plain, **named)
    assert {each: found.asked for each, found in parts.items() if found.asked} == {
        part: [(name, plain, named)]
    }
    returns_none = inspect.signature(getattr(part, name)).return_annotation == "None"
    assert answer == (None if returns_none else (name, plain, named))


def test_the_account_comes_from_checks_and_events() -> None:
    events = Recording()
    assert ComposedForge(*cast("Any", (object(), object(), events))).account == 7


def test_a_forge_has_exactly_its_three_parts() -> None:
    assert own(Forge) == {}
    names = [name for part in PARTS for name in own(part)]
    assert len(names) == len(set(names)) == len(own(ComposedForge))
