"""Memory in large pages: what is merged, and that nothing in it changes."""

from __future__ import annotations

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


def test_merging_changes_no_byte() -> None:
    kept = bytearray(range(256)) * (4 * LARGE // 256)
    assert merge_pages() >= 0
    merge_aside().join()
    assert kept == bytearray(range(256)) * (4 * LARGE // 256)


def test_a_system_without_memory_information_is_left_alone(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(huge_pages, "_MAPS", tmp_path / "none")
    assert merge_pages() == 0
