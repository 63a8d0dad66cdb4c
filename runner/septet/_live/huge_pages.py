"""Huge pages for the memory of a run, which make address translation cheaper.

The processor caches the addresses of some thousand pages, and a run uses more pages of 4 KiB while
a bar becomes an order: after every pause it looks them up again. With pages of 2 MiB they are few.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Final

__all__ = ["full_spans", "merge_aside", "merge_pages"]

LARGE: Final = 2 << 20
COLLAPSE: Final = 25
"""Linux's MADV_COLLAPSE, since 6.1; every other system refuses it, and nothing is changed."""
_MAPPING: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw\S\S \S+ \S+ \d+ *(\S*)$")
_MAPS: Final = Path("/proc/self/smaps")


def merge_aside() -> Thread:
    """Merge pages in a separate thread, once a run has allocated its long-lived memory.

    It takes a tenth of a second or more, during which other threads are delayed a page at a time.
    """
    thread = Thread(target=merge_pages, name="pages", daemon=True)
    thread.start()
    return thread


def merge_pages() -> int:
    """Merge the allocated memory into huge pages; return how many were made.

    It takes little extra memory; later allocations lie in small pages.
    """
    try:
        text = _MAPS.read_text()
        advise = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return 0  # another system: nothing changes
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    merged = 0
    for first, last in full_spans(text):
        start, end = -(-first // LARGE) * LARGE, last // LARGE * LARGE
        if end > start and advise(start, end - start, COLLAPSE) == 0:
            merged += (end - start) // LARGE
    return merged


def full_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield first and last address of anonymous memory of which at least half is in use.

    `text` is Linux's list of a process's mappings. The rest of a span would be taken as well:
    of a thread's stack nearly all.
    """
    first = last = 0
    for line in text.splitlines():
        if (mapping := _MAPPING.match(line)) is not None and mapping[3] in ("", "[heap]"):
            first, last = int(mapping[1], 16), int(mapping[2], 16)
        elif line.startswith("Rss:"):
            if 2 * 1_024 * int(line.split()[1]) >= last - first >= LARGE:
                yield first, last
            first = last = 0
