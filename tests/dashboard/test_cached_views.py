"""One reading serves all viewers, and what has changed is read again a second later."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
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
