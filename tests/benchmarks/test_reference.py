"""The loop that checks every engine, against a slow twin that uses means of fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from . import conftest  # noqa: F401 - puts the folder of the scripts on the path

Prices = list[float]


def _module(name: str) -> Any:
    return __import__(name)


def _twin(opened: Prices, close: Prices, fast: int, slow: int, first: int) -> Any:
    def mean(i: int, period: int) -> Fraction | None:
        window = close[i - period + 1 : i + 1]
        return sum(map(Fraction, window), Fraction()) / period if i >= period - 1 else None

    cash, entry, trips, fee = 1000.0, None, [], 0.001
    for i in range(first, len(close) - 1):
        now, past = (mean(i, fast), mean(i, slow)), (mean(i - 1, fast), mean(i - 1, slow))
        if now[1] is None or past[1] is None or now[0] is None or past[0] is None:
            continue
        if now[0] > now[1] and past[0] <= past[1] and entry is None:
            entry = i
            cash -= opened[i + 1] * (1.0 + fee)
        elif now[0] < now[1] and past[0] >= past[1] and entry is not None:
            trips.append((entry, i))
            entry = None
            cash += opened[i + 1] * (1.0 - fee)
    return trips, cash + (close[-1] if entry is not None else 0.0)


WHOLE = st.integers(90, 110).map(float)


@given(
    bars=st.lists(st.tuples(WHOLE, WHOLE), min_size=8, max_size=40),
    fast=st.integers(1, 3),
    more=st.integers(1, 3),
    first=st.integers(1, 7),
)
def test_the_loop_is_its_slow_twin(
    bars: list[tuple[float, float]], fast: int, more: int, first: int
) -> None:
    reference = _module("reference")
    opened, close = ([bar[side] for bar in bars] for side in (0, 1))
    market = {"open": np.array(opened), "close": np.array(close)}
    setup = {"first": first, "capital": 1000.0, "fee": 0.001}
    found = reference._solve(reference._loop, market, setup, fast, fast + more)
    trips, equity = _twin(opened, close, fast, fast + more, first)
    assert [tuple(map(int, each)) for each in found.trips] == trips
    assert found.final_equity == pytest.approx(equity, abs=1e-9)


def test_differences_are_reported() -> None:
    reference = _module("reference")
    truth = reference.Exact(np.array([[1, 4], [6, 9]]), 100.0)
    same = np.array([[1, 4], [6, 9]])
    assert reference.difference(same, 100.0, truth) == "the same 2"
    assert reference.difference(same, 100.5, truth) == "the same 2; final equity +0.5000"
    other = np.array([[1, 4], [7, 9]])
    assert reference.difference(other, None, truth) == "1 of 2, and 1 others"


def test_differences_of_a_sweep_are_reported() -> None:
    reference = _module("reference")
    truth = np.array([[3.0, 10.0], [4.0, 11.0]])
    assert reference.table_difference(truth.copy(), truth) == "the same 7"
    assert reference.table_difference(truth[:1], truth) == "1 settings instead of 2"
    drifted = truth + np.array([[0.0, 0.0], [1.0, 0.25]])
    text = "1 of 2 settings differ; equity by up to 0.2500"
    assert reference.table_difference(drifted, truth) == text
