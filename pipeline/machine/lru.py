"""A bounded cache in memory: the least recently used entry goes first."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Values by key, as many as fit into `most_bytes`; `size_of` gives each value's bytes.

    For keys or values from outside; `functools.lru_cache` counts entries, and one entry can be
    large.
    """

    def __init__(self, most_bytes: int, size_of: Callable[[V], int]) -> None:
        self._most_bytes = most_bytes
        self._size_of = size_of
        self._kept: dict[K, tuple[V, int]] = {}
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """The kept value, or None."""
        kept = self._kept.pop(key, None)
        if kept is None:
            return None
        self._kept[key] = kept  # a dict keeps insertion order
        return kept[0]

    def put(self, key: K, value: V) -> V:
        """The value, which is kept unless it alone is too large."""
        size_bytes = self._size_of(value)
        self.size_bytes += size_bytes - self._kept.pop(key, (value, 0))[1]
        self._kept[key] = (value, size_bytes)
        while self.size_bytes > self._most_bytes:
            oldest = next(iter(self._kept))
            self.size_bytes -= self._kept.pop(oldest)[1]
        return value
