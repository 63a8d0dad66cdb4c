"""Features observed ahead: one thread observes the chunk that is traded next.

Both threads process the same chunks in order, so the results do not depend on timing. If features
are not read after the run, a few windows are reused for them, which keeps the memory small.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from septet._core.state import Arrays, Floats

__all__ = ["CHUNK", "chunks_ahead"]

CHUNK: Final = 32_768
"""Bars that are observed while others are traded."""
WINDOWS: Final = 3

Observe = Callable[[int, int, Any], int]


def chunks_ahead(
    arrays: Arrays, times: int, observe: Observe, chunk: int, keep: int | None
) -> Iterator[tuple[int, int]]:
    """Yield consecutive ranges of times, each once its features are computed.

    The next chunks, `chunk` times long, are observed in a thread meanwhile. `keep` is how many bars
    before a chunk its features look back at; None if F holds the whole history. With `keep`, F is
    pointed at the window of the chunk that is yielded.
    """
    chunks = [(at, min(at + chunk, times)) for at in range(0, times, chunk)]
    blocks = [arrays["F"]]
    if keep is not None:
        blocks += [np.zeros_like(arrays["F"]) for _ in range(WINDOWS - 1)]
    free: queue.SimpleQueue[bool] = queue.SimpleQueue()
    ready: queue.SimpleQueue[bool] = queue.SimpleQueue()
    for _ in range(WINDOWS):
        free.put(True)

    def observe_all() -> None:
        try:
            for number, (start, stop) in enumerate(chunks):
                if not free.get():
                    return
                observe(start, stop, _table(arrays, blocks, number, start, keep))
                ready.put(True)
        finally:
            ready.put(False)

    with ThreadPoolExecutor(1, thread_name_prefix="observe") as pool:
        ahead = pool.submit(observe_all)
        try:
            for number, (start, stop) in enumerate(chunks):
                if not ready.get():
                    break
                if keep is not None:
                    arrays.put("F", blocks[number % WINDOWS], first=start - keep)
                yield start, stop
                free.put(True)
        finally:
            free.put(False)
        ahead.result()


def _table(arrays: Arrays, blocks: list[Floats], number: int, start: int, keep: int | None) -> Any:
    """Return the table with which a chunk is observed; its window begins with the bars before."""
    if keep is None:
        return arrays.table
    block, before = blocks[number % WINDOWS], blocks[(number - 1) % WINDOWS]
    if number and keep:
        block[:, :, :keep] = before[:, :, -keep:]
    return arrays.seen("F", block, first=start - keep)
