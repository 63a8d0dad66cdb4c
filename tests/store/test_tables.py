from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as draw

from septet._results.result import TABLES
from septet._store.tables import as_frame, coded, empty, feature_names, order_times, thin_bars
from tests.report.synthetic import HOUR_NS, START_NS, make_bars


@pytest.mark.parametrize("name", TABLES)
def test_a_table_without_rows_has_its_columns(name: str) -> None:
    assert as_frame(name, None).schema == empty(name).schema
    assert list(empty(name).schema) == list(TABLES[name])


def test_nanoseconds_become_utc_times() -> None:
    row: dict[str, Any] = {
        "time": np.array([START_NS]),
        "equity": [1],
        "cash": [1],
        "exposure": [0],
        "drawdown": [0],
    }
    frame = as_frame("equity", row)
    assert frame.schema["time"] == pl.Datetime("ns", "UTC")
    assert frame["time"].to_physical().to_list() == [START_NS]
    assert frame.schema["equity"] == pl.Float64


def test_features_stand_between_symbol_and_probability() -> None:
    row: dict[str, Any] = {name: [None] for name in TABLES["decisions"]}
    frame = as_frame("decisions", {**row, "rsi": [1.0], "sma": [2.0]})
    assert frame.columns[:5] == ["time", "symbol", "rsi", "sma", "probability_up"]
    assert feature_names(frame.columns) == ["rsi", "sma"]


def test_unknown_columns_are_refused() -> None:
    row: dict[str, Any] = {name: [None] for name in TABLES["trades"]}
    with pytest.raises(ValueError, match=r"unknown columns \['x'\]"):
        as_frame("trades", {**row, "x": [1]})


def test_codes_become_text() -> None:
    names = ("", "held", "threshold", "held")
    series = coded(np.array([2, 0, 3, 1]), names)
    assert series.to_list() == ["threshold", "", "held", "held"]
    row: dict[str, Any] = {name: [None] * 4 for name in TABLES["decisions"]}
    frame = as_frame("decisions", {**row, "rejected_by": series})
    assert frame.schema["rejected_by"] == series.dtype


def test_few_bars_are_kept_as_they_are() -> None:
    bars = make_bars("A", 50, 1)
    frame, joined = thin_bars({"A": bars}, split_ns=0)
    assert joined == {"A": 1}
    assert frame["close"].to_list() == bars.close.tolist()
    assert frame["time"].to_physical().to_list() == bars.known_ns.tolist()
    assert frame["open_time"].to_physical().to_list() == bars.open_ns.tolist()


@given(
    count=draw.integers(1, 400),
    limit=draw.integers(4, 60),
    split=draw.integers(-3, 420),
)
def test_joined_bars_keep_extremes_volume_and_the_split(count: int, limit: int, split: int) -> None:
    bars = make_bars("A", count, 2)
    split_ns = START_NS + split * HOUR_NS
    frame, joined = thin_bars({"A": bars}, split_ns=split_ns, limit=limit)
    assert frame.height <= max(limit, 1)
    assert frame["high"].max() == bars.high.max()
    assert frame["low"].min() == bars.low.min()
    assert math.fsum(frame["volume"]) == pytest.approx(math.fsum(bars.volume))
    assert frame["open"][0] == bars.open[0]
    assert frame["close"][-1] == bars.close[-1]
    times = frame["time"].to_physical().to_numpy()
    assert np.all(np.diff(times) > 0)
    known = np.flatnonzero(bars.known_ns <= split_ns)
    if count > limit and len(known):
        # The close known at the split stays exact.
        at = np.searchsorted(times, split_ns, side="right") - 1
        assert frame["close"][int(at)] == bars.close[known[-1]]
    widest = int(np.max(np.diff(times, prepend=START_NS))) // HOUR_NS
    assert joined["A"] >= widest


@given(
    count=draw.integers(1, 400),
    limit=draw.integers(4, 60),
    wanted=draw.sets(draw.integers(0, 399), max_size=30),
)
def test_the_bars_of_orders_are_joined_with_no_other(
    count: int, limit: int, wanted: set[int]
) -> None:
    bars = make_bars("A", count, 2)
    rows = sorted(each for each in wanted if each < count)
    alone = {"A": bars.known_ns[rows]}
    plain, _ = thin_bars({"A": bars}, split_ns=START_NS, limit=limit)
    frame, joined = thin_bars({"A": bars}, split_ns=START_NS, limit=limit, alone_ns=alone)
    assert frame.height <= plain.height + 2 * len(rows)
    times = frame["time"].to_physical().to_list()
    for row in rows:
        at = times.index(bars.known_ns[row])
        assert frame["open_time"].to_physical()[at] == bars.open_ns[row]
        assert frame["high"][at] == bars.high[row]
        assert frame["volume"][at] == bars.volume[row]
    assert math.fsum(frame["volume"]) == pytest.approx(math.fsum(bars.volume))
    assert max(np.diff(times, prepend=START_NS)) <= joined["A"] * HOUR_NS


def test_the_newest_orders_of_each_symbol_count() -> None:
    orders = {name: [None] * 5 for name in TABLES["orders"]}
    orders["time"] = [3, 1, 2, 2, 9]  # type: ignore[list-item]
    orders["symbol"] = ["A", "A", "A", "A", "B"]  # type: ignore[list-item]
    found = order_times(orders, limit=2)
    assert {name: each.tolist() for name, each in found.items()} == {"A": [2, 3], "B": [9]}
    assert order_times(None) == {}


def test_a_symbol_without_bars() -> None:
    frame, joined = thin_bars({"A": make_bars("A", 0, 1)}, split_ns=0)
    assert frame.height == 0
    assert joined == {"A": 1}
    assert thin_bars({}, split_ns=0)[0].schema == empty("bars").schema


def test_a_curve_without_cash_and_exposure_is_stored_without_their_values() -> None:
    equity = {"time": np.arange(3), "equity": np.ones(3), "drawdown": np.zeros(3)}
    frame = as_frame("equity", equity)
    assert frame.columns == list(TABLES["equity"])
    assert frame["cash"].null_count() == frame["exposure"].null_count() == 3
    with pytest.raises(ValueError, match="drawdown"):
        as_frame("equity", {"time": np.arange(3), "equity": np.ones(3)})
