"""One reading serves all viewers, and what has changed is read again a second later."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Semaphore, Thread
from typing import Any

import pytest

from septet._dashboard import cached_views
from septet._dashboard.cached_views import Views


class Reads:
    """Counts readings; the folder's summary is what is shown."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.now_s, self.slept = 0, 100.0, list[float]()
        monkeypatch.setattr(cached_views, "open_run", lambda folder, before: folder)
        monkeypatch.setattr(cached_views, "run_view", self.read)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    def read(self, folder: Path) -> dict[str, Any]:
        self.count += 1
        return {"text": (folder / "summary.json").read_text("utf-8")}


def test_a_run_is_read_when_it_has_written_and_at_most_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = Reads(monkeypatch)
    kept = Views(lambda: reads.now_s, reads.sleep)
    file = tmp_path / "summary.json"
    file.write_text("one", "utf-8")
    askers = [Thread(target=kept.of, args=(tmp_path,)) for _ in range(8)]
    for each in askers:
        each.start()
    for each in askers:
        each.join()
    assert reads.count == 1
    file.write_text("two, longer", "utf-8")
    reads.now_s += 0.25
    assert kept.of(tmp_path).shown == {"text": "two, longer"}
    assert reads.slept == [0.75]
    reads.now_s += 3_600.0
    kept.of(tmp_path)
    assert reads.count == 2, "nothing has changed since"
    for number in range(40):
        other = tmp_path / f"{number}"
        other.mkdir()
        (other / "summary.json").write_text("x", "utf-8")
        kept.of(other)
    kept.of(tmp_path)
    assert reads.count == 43, "of many runs the first is let go, and read again"


def test_all_that_wait_for_a_run_that_writes_share_its_next_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = Reads(monkeypatch)
    file = tmp_path / "summary.json"
    file.write_text("one", "utf-8")

    def read(folder: Path) -> dict[str, Any]:
        found = reads.read(folder)
        file.write_text("x" * (10 + reads.count), "utf-8")  # it writes all the time
        return found

    monkeypatch.setattr(cached_views, "run_view", read)
    all_asked, asked, count = Event(), Semaphore(0), 8

    def sleep(seconds: float) -> None:
        assert all_asked.wait(60)
        reads.now_s += seconds

    def clock() -> float:
        reads.now_s += 1e-6
        asked.release()
        return reads.now_s

    kept = Views(clock, sleep)
    kept.of(tmp_path)
    while asked.acquire(blocking=False):
        pass
    texts: list[Any] = []
    askers = [Thread(target=lambda: texts.append(kept.of(tmp_path).shown)) for _ in range(count)]
    for each in askers:
        each.start()
    for _ in range(count + 1):  # each has asked, and one looks how long it sleeps
        assert asked.acquire(timeout=60)
    all_asked.set()
    for each in askers:
        each.join()
    assert reads.count == 2
    assert texts == [{"text": "x" * 11}] * count
