"""A cache in memory with a bound: what was not asked for longest is forgotten first."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Values by key, as many as fit into `most_bytes` by `size_of` (each value's bytes).

    For keys or values that people or programs outside decide; `functools.lru_cache` counts
    entries, and one entry of theirs can be large.
    """

    def __init__(self, most_bytes: int, size_of: Callable[[V], int]) -> None:
        self._most_bytes = most_bytes
        self._size_of = size_of
        self._kept: dict[K, tuple[V, int]] = {}
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """The value that is kept, or None."""
        kept = self._kept.pop(key, None)
        if kept is None:
            return None
        self._kept[key] = kept  # a dict keeps the order in which keys come in
        return kept[0]

    def put(self, key: K, value: V) -> V:
        """Keep the value, if it is not too large by itself, and return it."""
        size_bytes = self._size_of(value)
        self.size_bytes += size_bytes - self._kept.pop(key, (value, 0))[1]
        self._kept[key] = (value, size_bytes)
        while self.size_bytes > self._most_bytes:
            oldest = next(iter(self._kept))
            self.size_bytes -= self._kept.pop(oldest)[1]
        return value
