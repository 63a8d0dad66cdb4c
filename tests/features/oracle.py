"""What TA-Lib returns, function by function, and how its answers are compared with ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import talib

from septet.testing import memory_of, run_feature
from septet.testing.bars import HOUR_NS, Columns
from septet.testing.evaluate import resolve
from tests.features import exact

Floats = npt.NDArray[np.float64]
Answers = dict[str, Floats]
Talib = Callable[[Columns], Any]

MA: Any = 0  # the simple average among TA-Lib's kinds
RELATIVE, ABSOLUTE = 1e-9, 1e-12


@dataclass(frozen=True)
class Comparison:
    """One feature against one function: settings, the unit of its scale, and exact answers."""

    feature: str
    settings: Mapping[str, Any]
    function: str
    answers: Callable[[Columns], Answers]
    scale: str
    exact: Callable[[Columns, int], dict[str, float]] | None = None


@dataclass
class Outcome:
    """What a comparison found, added up over all series."""

    rows: int = 0
    flat: int = 0
    largest: float = 0.0
    share: float = 0.0
    beyond: list[tuple[str, int, float, float]] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Take in the outcome of one more series."""
        self.rows += other.rows
        self.flat += other.flat
        self.largest = max(self.largest, other.largest)
        self.share = max(self.share, other.share)
        self.beyond.extend(other.beyond)


def _one(values: Any) -> Answers:
    return {"value": values}


def _named(*names: str) -> Callable[[Any], Answers]:
    return lambda values: dict(zip(names, values, strict=True))


def _hlc(bars: Columns) -> tuple[Floats, Floats, Floats]:
    return bars["high"], bars["low"], bars["close"]


def _bands(bars: Columns) -> Any:
    return talib.BBANDS(bars["close"], 20, 2.0, 2.0, MA)


def _width(bars: Columns) -> Floats:
    upper, middle, lower = _bands(bars)
    return (upper - lower) / middle


def _percent(bars: Columns) -> Floats:
    upper, _middle, lower = _bands(bars)
    with np.errstate(all="ignore"):
        return (bars["close"] - lower) / (upper - lower)


def _obv(bars: Columns) -> Floats:
    # TA-Lib begins at the first bar's volume, ours at zero: the level is a convention.
    return talib.OBV(bars["close"], bars["volume"]) - bars["volume"][0]


def _donchian(bars: Columns) -> Answers:
    top, bottom = talib.MAX(bars["high"], 20), talib.MIN(bars["low"], 20)
    return {"upper": top, "middle": 0.5 * (top + bottom), "lower": bottom}


BANDS = _named("upper", "middle", "lower")
COMPARISONS = [
    Comparison("sma", {"period": 20}, "SMA",
               lambda b: _one(talib.SMA(b["close"], 20)), "price"),
    Comparison("sum", {"period": 20}, "SUM",
               lambda b: _one(talib.SUM(b["close"], 20)), "price"),
    Comparison("ema", {"period": 20}, "EMA",
               lambda b: _one(talib.EMA(b["close"], 20)), "price"),
    Comparison("wma", {"period": 20}, "WMA",
               lambda b: _one(talib.WMA(b["close"], 20)), "price"),
    Comparison("rsi", {"period": 14}, "RSI",
               lambda b: _one(talib.RSI(b["close"], 14)), "100"),
    Comparison("macd", {}, "MACD",
               lambda b: _named("line", "signal", "histogram")(talib.MACD(b["close"], 12, 26, 9)),
               "price"),
    Comparison("bollinger", {}, "BBANDS",
               lambda b: BANDS(_bands(b)), "price", exact.bands),
    Comparison("bollinger_width", {}, "BBANDS",
               lambda b: _one(_width(b)), "1", exact.width),
    Comparison("bollinger_percent", {}, "BBANDS",
               lambda b: _one(_percent(b)), "1", exact.percent),
    Comparison("deviation", {"period": 20}, "STDDEV",
               lambda b: _one(talib.STDDEV(b["close"], 20, 1.0)), "price", exact.deviation),
    Comparison("true_range", {}, "TRANGE",
               lambda b: _one(talib.TRANGE(*_hlc(b))), "price"),
    Comparison("atr", {"period": 14}, "ATR",
               lambda b: _one(talib.ATR(*_hlc(b), 14)), "price"),
    Comparison("directional_move", {}, "PLUS_DM, MINUS_DM",
               lambda b: {"plus": talib.PLUS_DM(b["high"], b["low"], 1),
                          "minus": talib.MINUS_DM(b["high"], b["low"], 1)}, "price"),
    Comparison("plus_di", {"period": 14}, "PLUS_DI",
               lambda b: _one(talib.PLUS_DI(*_hlc(b), 14)), "100"),
    Comparison("minus_di", {"period": 14}, "MINUS_DI",
               lambda b: _one(talib.MINUS_DI(*_hlc(b), 14)), "100"),
    Comparison("dx", {"period": 14}, "DX", lambda b: _one(talib.DX(*_hlc(b), 14)), "100"),
    Comparison("adx", {"period": 14}, "ADX", lambda b: _one(talib.ADX(*_hlc(b), 14)), "100"),
    Comparison("stochastic_fast", {"period": 14}, "STOCHF",
               lambda b: _one(talib.STOCHF(*_hlc(b), 14, 1, MA)[0]), "100"),
    Comparison("stochastic", {"period": 14}, "STOCH",
               lambda b: _named("k", "d")(talib.STOCH(*_hlc(b), 14, 3, MA, 3, MA)), "100"),
    Comparison("williams_r", {"period": 14}, "WILLR",
               lambda b: _one(talib.WILLR(*_hlc(b), 14)), "100"),
    Comparison("cci", {"period": 20}, "CCI",
               lambda b: _one(talib.CCI(*_hlc(b), 20)), "100", exact.cci),
    Comparison("roc", {"period": 10}, "ROC", lambda b: _one(talib.ROC(b["close"], 10)), "100"),
    Comparison("simple_return", {"period": 1}, "ROCP",
               lambda b: _one(talib.ROCP(b["close"], 1)), "1"),
    Comparison("momentum", {"period": 10}, "MOM",
               lambda b: _one(talib.MOM(b["close"], 10)), "price"),
    Comparison("obv", {}, "OBV", lambda b: _one(_obv(b)), "1"),
    Comparison("mfi", {"period": 14}, "MFI",
               lambda b: _one(talib.MFI(*_hlc(b), b["volume"], 14)), "100", exact.mfi),
    Comparison("highest", {"period": 20}, "MAX",
               lambda b: _one(talib.MAX(b["high"], 20)), "price"),
    Comparison("lowest", {"period": 20}, "MIN",
               lambda b: _one(talib.MIN(b["low"], 20)), "price"),
    Comparison("donchian", {"period": 20}, "MAX, MIN", _donchian, "price"),
    Comparison("typical_price", {}, "TYPPRICE",
               lambda b: _one(talib.TYPPRICE(*_hlc(b))), "price"),
    Comparison("parabolic_sar", {}, "SAR",
               lambda b: _one(talib.SAR(b["high"], b["low"], 0.02, 0.2)), "price"),
    Comparison("correlation", {"to": "other", "period": 60, "change": "none"}, "CORREL",
               lambda b: _one(talib.CORREL(b["close"], b["other"], 60)), "1", exact.correlation),
    Comparison("beta", {"to": "other", "period": 60, "change": "simple"}, "BETA",
               lambda b: _one(talib.BETA(b["other"], b["close"], 60)), "1", exact.beta),
]  # fmt: skip


def tolerance(mine: Floats, theirs: Floats, scale: Floats) -> Floats:
    """How far two answers may lie apart."""
    return RELATIVE * np.maximum(np.abs(mine), np.abs(theirs)) + ABSOLUTE * scale


def compare(each: Comparison, bars: Columns, outcome: Outcome, *, bar_ns: int = HOUR_NS) -> Outcome:
    """Compare one feature over one series, after its warm-up, and add to the outcome."""
    step = resolve(each.feature)
    config = step.config(**each.settings)
    memory = memory_of(step, config)
    mine = run_feature(step, config, bars, bar_ns=bar_ns)
    theirs = each.answers(bars)
    price = bars["close"]
    scale = price if each.scale == "price" else np.full(len(price), float(each.scale))
    rows = np.arange(len(scale)) >= memory.bars + 1
    for name, values in mine.items():
        flat = np.isnan(values) & rows
        seen = rows & ~flat
        outcome.rows += int(seen.sum())
        outcome.flat += int(flat.sum())
        apart = np.abs(values - theirs[name])
        share = np.where(seen, apart / tolerance(values, theirs[name], scale), 0.0)
        outcome.largest = max(outcome.largest, float(np.where(seen, apart, 0.0).max()))
        outcome.share = max(outcome.share, float(share.max()))
        for place in np.flatnonzero(~(share <= 1.0)).tolist():
            outcome.beyond.append((name, place, float(values[place]), float(theirs[name][place])))
    return outcome


def count_excused(each: Comparison, bars: Columns, outcome: Outcome) -> int:
    """Count the values beyond the bound where exact arithmetic agrees with us and not with them."""
    if each.exact is None:
        return 0
    right = 0
    answers: dict[int, dict[str, float]] = {}
    for name, place, mine, theirs in outcome.beyond:
        if place not in answers:
            answers[place] = each.exact(bars, place)
        truth = answers[place][name]
        scale = float(bars["close"][place]) if each.scale == "price" else float(each.scale)
        ours_near = abs(mine - truth) <= RELATIVE * max(abs(mine), abs(truth)) + ABSOLUTE * scale
        theirs_near = (
            abs(theirs - truth) <= RELATIVE * max(abs(theirs), abs(truth)) + ABSOLUTE * scale
        )
        right += ours_near and not theirs_near
    return right
