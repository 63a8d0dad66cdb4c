"""How often the venue's clock and filters are queried while a block waits for the answer."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from septet._live.run_steps import MeasurePace


class Run:
    """A strategy whose blocks the test sets."""

    def __init__(self) -> None:
        self.rules: tuple[str, ...] = ()

    @property
    def build(self) -> Any:
        active = [SimpleNamespace(rule=rule) for rule in self.rules]
        return SimpleNamespace(core=SimpleNamespace(guards=SimpleNamespace(active=lambda: active)))


def queries(pace: MeasurePace, run: Any, first_s: int, last_s: int) -> list[int]:
    return [each for each in range(first_s, last_s) if pace.is_due(float(each), [run])]


def test_filters_are_read_again_soon_while_a_position_lacks_its_stop() -> None:
    run, pace = Run(), MeasurePace()
    assert queries(pace, run, 1_000, 1_100) == [1_000]
    run.rules = ("unprotected",)
    assert queries(pace, run, 1_100, 1_150)[:3] == [1_100, 1_110, 1_130]


def test_a_halted_symbol_is_asked_for_ever_less_often() -> None:
    """Each answer is about every symbol of the exchange, and it may be halted for days."""
    run, pace = Run(), MeasurePace()
    assert queries(pace, run, 1_000, 1_600) == [1_000, 1_300]
    run.rules = ("symbol_halted",)
    found = queries(pace, run, 1_600, 4_000)
    assert found[:5] == [1_600, 1_610, 1_630, 1_670, 1_750]
    assert [b - a for a, b in pairwise(found[7:])] == [300] * (len(found) - 8)
    run.rules = ()
    queries(pace, run, 4_000, 4_700)
    run.rules = ("symbol_halted",)
    assert len(queries(pace, run, 4_700, 4_720)) >= 2, "another halt begins anew"


def test_a_clock_that_is_off_is_asked_for_every_five_seconds() -> None:
    run, pace = Run(), MeasurePace()
    run.rules = ("symbol_halted", "clock_skew")
    assert queries(pace, run, 1_000, 1_021) == [1_000, 1_005, 1_010, 1_015, 1_020]
