"""The order of environments, and what their graph may not be. Pure; imports no model that is slow.

Environments stand in the order in which releases come to them: each after those that it promotes
from. Where that leaves a choice, the lower stage is first, then the lower name.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.models.draft_state import STAGES

_RANKS: dict[str, int] = {stage: rank for rank, stage in enumerate(STAGES)}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one environment stands: its stage, and what it promotes from."""

    stage: str
    sources: tuple[str, ...] = ()

    @property
    def rank(self) -> int:
        """The place of its stage among stages; behind all of them for what is none."""
        return _RANKS.get(self.stage, len(_RANKS))


def ordered(places: Mapping[str, Place]) -> tuple[str, ...]:
    """The environments in the order of their graph; those in and behind a cycle come last."""
    waits = {name: {s for s in place.sources if s in places} for name, place in places.items()}
    ready = [(places[name].rank, name) for name, left in waits.items() if not left]
    heapq.heapify(ready)
    found: list[str] = []
    while ready:
        _, name = heapq.heappop(ready)
        found.append(name)
        for other, left in waits.items():
            if name in left:
                left.remove(name)
                if not left:
                    heapq.heappush(ready, (places[other].rank, other))
    behind = sorted(places.keys() - set(found), key=lambda name: (places[name].rank, name))
    return (*found, *behind)


def comes_before(places: Mapping[str, Place], one: str, other: str) -> bool:
    """Whether `other` promotes from `one`, directly or not; each comes before itself."""
    pending, seen = [other], set[str]()
    while pending:
        name = pending.pop()
        if name == one:
            return True
        if name not in seen and name in places:
            seen.add(name)
            pending += places[name].sources
    return False


def is_first(places: Mapping[str, Place], name: str) -> bool:
    """Whether releases begin here: it promotes from nowhere, and no stage is before its own."""
    place = places[name]
    return not place.sources and place.rank == min(p.rank for p in places.values())


def is_reached(places: Mapping[str, Place], name: str) -> bool:
    """Whether releases can reach an environment from one where they begin."""
    return any(is_first(places, one) and comes_before(places, one, name) for one in places)
