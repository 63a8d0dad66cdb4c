"""What the decisive checks cost is bounded by a count of calls, not by a clock."""

from __future__ import annotations

import importlib
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from septet.testing.verdict import MAX_READS, STARTS, TRIED_BARS, decisive, state_of
from tests.strangers.package import installed, write_package
from tests.strangers.steps import HEAD

RUNS = 1 + 2 + 2 + 1 + STARTS
"""Of a feature: each read watched, twice alike, cut twice, and the memory from several starts."""
MOST_CALLS = 2 * RUNS * TRIED_BARS
FEATURE = """
@feature(Over, lookback=lambda c: c.period, compiled=False)
def broken(i, of, period):
    return of[i] / of[i - period] - 1.0
"""
FADING = """
@feature(Over, memory=lambda c: fading(c.period), state=("mean",), compiled=False)
def broken(i, of, period, state):
    state[0] += (of[i] - state[0]) * 0.9
    return state[0]
"""
STOP = """
@stop(Plain, compiled=False)
def broken(average_price, side, share):
    return average_price * (1.0 - share * side)
"""


def calls_of(folder: Path, source: str, **settings: Any) -> tuple[int, str]:
    """Return how often the step is called while it is checked, and what the checks come to."""
    write_package(folder, "odd-counts", {"steps.py": HEAD + source, "manifest.py": ""})
    calls = 0

    def count(frame: Any, event: str, _: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code is code

    with installed(folder, "odd_counts"):
        module: Any = importlib.import_module("odd_counts.steps")
        code = module.broken.function.__code__
        threading.setprofile(count)
        sys.setprofile(count)
        try:
            checks = decisive(module.broken, module.broken.config(**settings))
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    return calls, state_of(checks)


@pytest.mark.parametrize(
    ("source", "settings"),
    [(FEATURE, {}), (FEATURE, {"period": 2_000}), (STOP, {})],
    ids=["feature", "long look-back", "stop"],
)
def test_a_sound_step_is_called_a_bounded_number_of_times(
    tmp_path: Path, source: str, settings: dict[str, int]
) -> None:
    calls, state = calls_of(tmp_path, source, **settings)
    assert state == "kept"
    assert 50 < calls < MOST_CALLS


def test_a_memory_that_would_take_long_is_not_tried(tmp_path: Path) -> None:
    """It is known from the reads of a short trial, before a long one is begun."""
    calls, state = calls_of(tmp_path, FADING, period=200_000)
    assert state == "not tried"
    assert calls < MOST_CALLS < MAX_READS / 100
