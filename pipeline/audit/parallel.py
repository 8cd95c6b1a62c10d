"""Work shared out to forked processes, since most of an audit is computing, draft by draft."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
# Below so much work a process costs more than it brings.
_WORTH_A_PROCESS = 4_000


def run_shared(work: Callable[[Sequence[T]], R], items: Sequence[T], weight: int) -> list[R]:
    """What `work` gives for parts of the items, in order; in as many processes as are of use.

    The processes are forks: they see all that this one has read, and what they change is lost, so
    `work` returns what it found. Nothing that runs beside this process may be shared with them.
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
