"""The streams of a run look at its files once for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._dashboard import events
from septet._dashboard.events import SharedFileStamps


def test_streams_share_a_look_and_a_later_one_is_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, now_s = list[Path](), [10.0]

    def look(folder: Path) -> tuple[tuple[int, int, int], ...]:
        looks.append(folder)
        return ((len(looks), 0, 0),)

    monkeypatch.setattr(events, "file_stamps_of", look)
    shared = SharedFileStamps(lambda: now_s[0])
    assert {shared.of(tmp_path) for _ in range(50)} == {((1, 0, 0),)}
    assert shared.of(tmp_path / "other") == ((2, 0, 0),)
    now_s[0] += 0.1
    assert shared.of(tmp_path) == ((3, 0, 0),)
    for number in range(100):
        shared.of(tmp_path / str(number))
    assert shared.of(tmp_path) == ((104, 0, 0),), "of many runs the first is let go"
