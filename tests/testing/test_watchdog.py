"""What counts as not ended: a plugin's lines by the wall's time, septet's work by a processor's."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from septet.testing import watchdog
from septet.testing.watchdog import NotEnded, run_within

PLACE = "/elsewhere/odd_steps/steps.py:7"


class Machine:
    """Clocks that go on by what the test says at each look, and work that ends when it says."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *used_s: float, wall_s: float = 0.0
    ) -> None:
        self.used_s, self.wall_s, self.ends = list(used_s), wall_s, threading.Event()
        self.looks = 0
        monkeypatch.setattr(watchdog, "PAUSE_S", 0.0)
        monkeypatch.setattr("septet.testing.watchdog.time.process_time", self.process_time)
        monkeypatch.setattr("septet.testing.watchdog.time.monotonic", self.monotonic)

    def monotonic(self) -> float:
        return self.wall_s * self.looks

    def process_time(self) -> float:
        self.looks += 1
        if self.looks > len(self.used_s):
            self.ends.set()
            return self.used_s[-1]
        return self.used_s[self.looks - 1]

    def work(self) -> str:
        self.ends.wait()
        return "done"


def test_work_of_septet_that_waits_for_a_processor_is_awaited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a busy machine planning a plugin took longer than its bound: the plugin was refused."""
    machine = Machine(monkeypatch, 10.0, 10.0, 10.0)
    assert run_within(0.001, machine.work, PLACE) == "done"


def stands(seconds: float, call: Callable[[], object], place: str = PLACE) -> str:
    with pytest.raises(NotEnded) as caught:
        run_within(seconds, call, place)
    return str(caught.value)


def test_work_that_has_used_its_time_of_a_processor_has_not_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch, 10.0, 11.0, 11.0, 11.0)
    assert stands(0.5, machine.work).startswith(f"{PLACE}: did not end within 0.5 s")
    assert machine.looks == 2
    machine.ends.set()


def test_work_is_not_awaited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, *[10.0] * 99, wall_s=0.01)
    assert "did not end" in stands(0.01, machine.work)
    assert machine.looks < 99
    machine.ends.set()


def test_a_line_of_the_plugin_that_waits_counts_by_the_wall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch, *[10.0] * 99)
    assert f"{__file__}:" in stands(0.001, machine.work, f"{__file__}:1")
    assert machine.looks == 2
    machine.ends.set()
