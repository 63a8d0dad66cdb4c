"""Plain twins of features that TA-Lib lacks, written from their definition."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from septet.testing import sample_bars
from septet.testing.bars import Columns

__all__ = ["BARS", "FIRST", "TWINS", "Twin"]

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
