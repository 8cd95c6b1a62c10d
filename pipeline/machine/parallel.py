"""Work split over forked processes, for what mostly computes, draft by draft."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
# Below this weight a process costs more than it saves.
_WORTH_A_PROCESS = 4_000


def run_shared(work: Callable[[Sequence[T]], R], items: Sequence[T], weight: int) -> list[R]:
    """The results of `work` for parts of the items, in order, from as many processes as useful.

    The processes are forks: they see all that this one has read, and their changes are lost, so
    `work` must return its findings. No running child process may be shared with them.
    """
    count = min(os.cpu_count() or 1, weight // _WORTH_A_PROCESS, len(items))
    if count < 2 or "fork" not in multiprocessing.get_all_start_methods():
        return [work(items)]
    global _work
    _work = work
    parts = [items[len(items) * n // count : len(items) * (n + 1) // count] for n in range(count)]
    with multiprocessing.get_context("fork").Pool(count) as pool:
        return pool.map(_do, parts, chunksize=1)


_work: Callable[..., Any] | None = None


def _do(part: Any) -> Any:
    assert _work is not None  # set before the fork
    return _work(part)
