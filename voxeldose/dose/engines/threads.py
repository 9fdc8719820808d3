"""How many threads a run may use, and work shared among them: the only place that decides."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["cores", "in_threads", "processors"]


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processors() -> int:
    """How many threads a run takes: as many as ``NUMBA_NUM_THREADS`` says, else :func:`cores`."""
    wanted = os.environ.get("NUMBA_NUM_THREADS")
    return int(wanted) if wanted else cores()


def in_threads(work: Callable[[int, int], None], part: slice, slabs: int, threads: int) -> None:
    """Call ``work`` on so many slabs of slices; it writes to no other slice, so their order does not matter."""
    slabs = min(slabs, part.stop - part.start)
    edges = [part.start + (part.stop - part.start) * n // slabs for n in range(slabs + 1)]
    if threads == 1:
        for begin, end in pairwise(edges):
            work(begin, end)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, begin, end) for begin, end in pairwise(edges)]:
            done.result()
