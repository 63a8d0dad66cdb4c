"""Features that TA-Lib lacks, against a plain twin written from their definition."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from septet.testing import run_feature, sample_bars
from septet.testing.bars import HOUR_NS, Columns
from septet.testing.evaluate import resolve

Floats = npt.NDArray[np.float64]
Twin = Callable[[Columns, int], Any]

BARS = sample_bars(260, seed=23, flats=False)
BARS["other"] = sample_bars(260, seed=24, flats=False)["close"]
BARS["mood"] = np.where(np.arange(260) % 7 < 4, 30.0, np.nan)
FIRST = 120


def _last(values: Any, i: int, count: int) -> list[float]:
    return [float(value) for value in values[i - count + 1 : i + 1]]


def _returns(values: Any, i: int, count: int) -> list[float]:
    window = _last(values, i, count + 1)
    return [math.log(b / a) for a, b in itertools.pairwise(window)]


def _typical(b: Columns, i: int) -> float:
    return float(b["high"][i] + b["low"][i] + b["close"][i]) / 3


def _since(b: Columns, i: int, column: str) -> range:
    first = i
    while first > 0 and b[column][first - 1] == b[column][i]:
        first -= 1
    return range(first, i + 1)


def _vwap(b: Columns, rows: Any) -> float:
    rows = list(rows)
    value = math.fsum(_typical(b, j) * b["volume"][j] for j in rows)
    return value / math.fsum(b["volume"][j] for j in rows)


def _signed(b: Columns, j: int) -> float:
    move = b["close"][j] - b["close"][j - 1]
    return float(np.sign(move) * b["volume"][j])


def _standard(window: list[float], power: int) -> float:
    mean, sigma = statistics.fmean(window), statistics.pstdev(window)
    return statistics.fmean([(v - mean) ** power for v in window]) / sigma**power


def _rank(window: list[float]) -> float:
    now, others = window[-1], window[:-1]
    return sum((v < now) + 0.5 * (v == now) for v in others) / len(others)


def _rsi_simple(b: Columns, i: int) -> float:
    window = _last(b["close"], i, 15)
    moves = [v - u for u, v in itertools.pairwise(window)]
    up, down = sum(max(m, 0.0) for m in moves), sum(max(-m, 0.0) for m in moves)
    return 100 * up / (up + down)


def _parkinson(b: Columns, i: int) -> float:
    terms = [math.log(b["high"][j] / b["low"][j]) ** 2 for j in range(i - 19, i + 1)]
    return math.sqrt(math.fsum(terms) / (4 * 20 * math.log(2)))


def _garman_klass(b: Columns, i: int) -> float:
    terms = [
        0.5 * math.log(b["high"][j] / b["low"][j]) ** 2
        - (2 * math.log(2) - 1) * math.log(b["close"][j] / b["open"][j]) ** 2
        for j in range(i - 19, i + 1)
    ]
    return math.sqrt(math.fsum(terms) / 20 * 365 * 24)


def _keltner(b: Columns, i: int) -> tuple[float, float, float]:
    middle = statistics.fmean(_last(b["close"], 19, 20))
    for j in range(20, i + 1):
        middle += (float(b["close"][j]) - middle) * 2 / 21
    ranges = [
        max(b["high"][j], b["close"][j - 1]) - min(b["low"][j], b["close"][j - 1])
        for j in range(1, i + 1)
    ]
    reach = statistics.fmean(ranges[:10])
    for each in ranges[10:]:
        reach = (reach * 9 + float(each)) / 10
    return middle + 2 * reach, middle, middle - 2 * reach


def _at(b: Columns, i: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(float(b["local_seconds"][i]), dt.UTC)


def _calendar(b: Columns, i: int) -> tuple[float, float, float, float]:
    time = dt.datetime.fromtimestamp(int(b["seconds"][i]), dt.UTC)
    hour = 2 * math.pi * (time.hour + time.minute / 60) / 24
    day = 2 * math.pi * time.weekday() / 7
    return math.sin(hour), math.cos(hour), math.sin(day), math.cos(day)


def _zscore(window: list[float]) -> float:
    return (window[-1] - statistics.fmean(window)) / statistics.pstdev(window)


TWINS: list[tuple[str, dict[str, Any], Twin]] = [
    ("log_return", {"period": 3}, lambda b, i: math.log(b["close"][i] / b["close"][i - 3])),
    ("ratio", {"of": "high", "to": "low"}, lambda b, i: b["high"][i] / b["low"][i]),
    ("difference", {"of": "high", "minus": "low"}, lambda b, i: b["high"][i] - b["low"][i]),
    ("lag", {"by": [1, 5]}, lambda b, i: (b["close"][i - 1], b["close"][i - 5])),
    ("rsi_simple", {}, _rsi_simple),
    ("vwap", {}, lambda b, i: _vwap(b, _since(b, i, "session"))),
    ("vwap", {"anchor": "day"}, lambda b, i: _vwap(b, _since(b, i, "session"))),
    ("vwap", {"anchor": "week"}, lambda b, i: _vwap(b, _since(b, i, "week"))),
    ("vwap_rolling", {"period": 9}, lambda b, i: _vwap(b, range(i - 8, i + 1))),
    ("obv", {"window": 8}, lambda b, i: math.fsum(_signed(b, j) for j in range(i - 7, i + 1))),
    ("obv", {"anchor": "day"},
     lambda b, i: math.fsum(_signed(b, j) for j in _since(b, i, "session"))),
    ("keltner", {}, _keltner),
    ("volatility", {"period": 10}, lambda b, i: statistics.stdev(_returns(b["close"], i, 10))),
    ("volatility", {"period": 10, "annualise": "365d"},
     lambda b, i: statistics.stdev(_returns(b["close"], i, 10)) * math.sqrt(365 * 24)),
    ("parkinson", {}, _parkinson),
    ("garman_klass", {"annualise": "365d"}, _garman_klass),
    ("zscore", {"of": "volume", "period": 12}, lambda b, i: _zscore(_last(b["volume"], i, 12))),
    ("rank", {"period": 15}, lambda b, i: _rank(_last(b["close"], i, 15))),
    ("skew", {"of": "volume"}, lambda b, i: _standard(_last(b["volume"], i, 60), 3)),
    ("kurtosis", {"of": "volume"}, lambda b, i: _standard(_last(b["volume"], i, 60), 4) - 3),
    ("autocorrelation", {"of": "volume", "lag": 2, "period": 30},
     lambda b, i: statistics.correlation(_last(b["volume"], i, 30), _last(b["volume"], i - 2, 30))),
    ("correlation", {"to": "other", "period": 30}, lambda b, i: statistics.correlation(
        _returns(b["close"], i, 30), _returns(b["other"], i, 30))),
    ("beta", {"to": "other", "period": 30}, lambda b, i: statistics.linear_regression(
        _returns(b["other"], i, 30), _returns(b["close"], i, 30)).slope),
    ("drawdown", {}, lambda b, i: b["close"][i] / b["close"][: i + 1].max() - 1),
    ("drawdown", {"window": 12}, lambda b, i: b["close"][i] / max(_last(b["close"], i, 12)) - 1),
    ("calendar", {}, _calendar),
    ("day_number", {}, lambda b, i: float(b["session"][i])),
    ("hour", {}, lambda b, i: float(_at(b, i).hour)),
    ("minute_of_day", {}, lambda b, i: float(_at(b, i).hour * 60 + _at(b, i).minute)),
    ("weekday", {}, lambda b, i: float(_at(b, i).weekday())),
    ("month", {}, lambda b, i: float(_at(b, i).month)),
    ("series", {"of": "mood", "missing": 50}, lambda b, i: 30.0 if i % 7 < 4 else 50.0),
    ("running_sum", {"of": "volume"}, lambda b, i: math.fsum(b["volume"][: i + 1])),
    ("sum_since", {}, lambda b, i: math.fsum(b["volume"][j] for j in _since(b, i, "session"))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings", "twin"), TWINS, ids=[f"{name}-{settings}" for name, settings, _ in TWINS]
)
def test_agrees_with_its_twin(name: str, settings: dict[str, Any], twin: Twin) -> None:
    step = resolve(name)
    found = list(run_feature(step, step.config(**settings), BARS).values())
    for i in range(FIRST, 260):
        expected = twin(BARS, i)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for values, each in zip(found, expected, strict=True):
            assert values[i] == pytest.approx(each, rel=1e-9, abs=1e-9)


def test_supertrend_agrees_with_its_twin() -> None:
    step = resolve("supertrend")
    found = run_feature(step, step.config(), BARS)
    atr = run_feature(resolve("atr"), resolve("atr").config(period=10), BARS)["value"]
    high, low, close = BARS["high"], BARS["low"], BARS["close"]
    middle = (high + low) / 2
    upper, lower, side = math.inf, -math.inf, 0
    flips = 0
    for i in range(10, 260):
        above, below = middle[i] + 3 * atr[i], middle[i] - 3 * atr[i]
        if i == 10:
            upper, lower, side = above, below, 1 if close[i] >= middle[i] else -1
        else:
            upper = above if above < upper or close[i - 1] > upper else upper
            lower = below if below > lower or close[i - 1] < lower else lower
            before = side
            side = 1 if close[i] > upper else -1 if close[i] < lower else side
            # A close beyond the level it trails turns it; the other level cannot turn it.
            if before == 1 and side == 1 and close[i] < lower:
                side = -1
            flips += side != before
        assert found["direction"][i] == side
        assert found["level"][i] == pytest.approx(lower if side > 0 else upper)
    assert flips > 3


def test_lag_of_one_number_keeps_the_features_name() -> None:
    step = resolve("lag")
    assert step.output_names(step.config(by=3)) == ("",)
    assert step.output_names(step.config(by=[3, 5])) == ("3", "5")


def test_a_missing_value_stays_missing_unless_set() -> None:
    step = resolve("series")
    values = run_feature(step, step.config(of="mood"), BARS)["value"]
    assert np.array_equal(values, BARS["mood"], equal_nan=True)


def test_rank_across_the_universe() -> None:
    from septet._host.plugin_registry import Host
    from septet._kernel.step import compile_step

    step = Host().declaration("features", "cross_rank")
    values = np.array([3.0, 1.0, np.nan, 3.0, 9.0])
    expected = [0.5, 0.0, math.nan, 0.5, 1.0]
    for function in (step.function, compile_step(step.function)):
        found = [function(k, values) for k in range(5)]
        assert np.array_equal(found, expected, equal_nan=True)
        assert math.isnan(function(0, np.array([2.0, np.nan])))


@pytest.mark.parametrize("step", ["obv", "macd"])
def test_settings_that_contradict_are_refused(step: str) -> None:
    from pydantic import ValidationError

    wrong: dict[str, dict[str, Any]] = {
        "obv": {"window": 5, "anchor": "day"},
        "macd": {"fast": 26, "slow": 12},
    }
    with pytest.raises(ValidationError, match="expected"):
        resolve(step).config(**wrong[step])


def test_annualised_by_the_bar() -> None:
    step = resolve("volatility")
    config = step.config(annualise="252d")
    daily = run_feature(step, config, BARS, bar_ns=24 * HOUR_NS)["value"]
    plain = run_feature(step, step.config(), BARS)["value"]
    assert daily[-1] == pytest.approx(plain[-1] * math.sqrt(252))
