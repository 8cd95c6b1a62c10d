"""The order of environments in their graph. Pure; imports no slow model.

Environments are in the order in which releases reach them: each after those that it promotes from.
Ties are broken by the lower stage, then by name.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.models.draft_state import STAGES

_RANKS: dict[str, int] = {stage: rank for rank, stage in enumerate(STAGES)}


@dataclass(frozen=True, slots=True)
class EnvironmentPlace:
    """The place of one environment: its stage, and what it promotes from."""

    stage: str
    sources: tuple[str, ...] = ()

    @property
    def rank(self) -> int:
        """The position of its stage; after all stages for an unknown one."""
        return _RANKS.get(self.stage, len(_RANKS))


def ordered(places: Mapping[str, EnvironmentPlace]) -> tuple[str, ...]:
    """The environments in the order of their graph; those in or after a cycle come last."""
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


def comes_before(places: Mapping[str, EnvironmentPlace], one: str, other: str) -> bool:
    """Whether `other` promotes from `one`, directly or indirectly; each comes before itself."""
    pending, seen = [other], set[str]()
    while pending:
        name = pending.pop()
        if name == one:
            return True
        if name not in seen and name in places:
            seen.add(name)
            pending += places[name].sources
    return False


def is_first(places: Mapping[str, EnvironmentPlace], name: str) -> bool:
    """Whether releases start here: it promotes from nowhere and has the lowest stage in use."""
    place = places[name]
    return not place.sources and place.rank == min(p.rank for p in places.values())


def is_reached(places: Mapping[str, EnvironmentPlace], name: str) -> bool:
    """Whether releases can reach an environment from one where they start."""
    return any(is_first(places, one) and comes_before(places, one, name) for one in places)
