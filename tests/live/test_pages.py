"""Memory in large pages: what is merged, and that nothing in it changes."""

from __future__ import annotations

import numpy as np

from septet._live import huge_pages
from septet._live.huge_pages import LARGE, full_spans, merge_aside, merge_pages

TEXT = f"""
{0x10000000:x}-{0x10000000 + 3 * LARGE:x} rw-p 00000000 00:00 0                  [heap]
Size:               6144 kB
Rss:                3072 kB
{0x20000000:x}-{0x20000000 + 4 * LARGE:x} rw-p 00000000 00:00 0
Rss:                4092 kB
{0x30000000:x}-{0x30000000 + 2 * LARGE:x} rw-p 00000000 08:01 77                 /usr/lib/one.so
Rss:                4096 kB
{0x40000000:x}-{0x40000000 + 2 * LARGE:x} r-xp 00000000 00:00 0
Rss:                4096 kB
{0x50000000:x}-{0x50000000 + LARGE // 2:x} rw-p 00000000 00:00 0
Rss:                1024 kB
{0x60000000:x}-{0x60000000 + LARGE:x} rw-p 00000000 00:00 0
Rss:                2048 kB
"""


def test_only_memory_of_no_file_that_is_in_use_is_merged() -> None:
    spans = [(0x10000000, 0x10000000 + 3 * LARGE), (0x60000000, 0x60000000 + LARGE)]
    assert list(full_spans(TEXT)) == spans


def test_merging_changes_no_byte(monkeypatch, tmp_path) -> None:
    kept = np.arange(4 * LARGE // 8)
    first, last = kept.ctypes.data, kept.ctypes.data + kept.nbytes
    # The memory of a whole test process takes seconds.
    maps = tmp_path / "smaps"
    maps.write_text(f"{first:x}-{last:x} rw-p 00000000 00:00 0\nRss: {kept.nbytes // 1_024} kB\n")
    monkeypatch.setattr(huge_pages, "_MAPS", maps)
    assert list(full_spans(maps.read_text())) == [(first, last)]
    assert merge_pages() in (0, 3, 4)  # the first and the last need not be whole pages
    merge_aside().join()
    assert (kept == np.arange(4 * LARGE // 8)).all()


def test_a_system_without_memory_information_is_left_alone(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(huge_pages, "_MAPS", tmp_path / "none")
    assert merge_pages() == 0
