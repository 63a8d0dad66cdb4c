"""W3: ten features over a million bars, beside polars, pandas, TA-Lib and a loop by hand.

Log return, RSI 14 (Wilder's), Bollinger width 20, volatility 10, z-score of the volume 20, and the
return of 1, 2, 3, 5 and 10 bars ago. All start from arrays in memory and end in columns; the
answers are compared before their times are. A figure is the least of many turns, taken in
alternation. Ours and the loops by hand write into arrays that are there; what it costs to make them
anew is a row of its own.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import Row, arguments, bars_text, emit, fastest, w1_strategy
from talib_features import talib_features

LAGS = (1, 2, 3, 5, 10)
NAMES = ("ret_1", "rsi_14", "bb_width", "vol_10", "volume_z", *(f"lags_{n}" for n in LAGS))
FEATURES = """\
  ret_1: {use: log_return}
  rsi_14: {use: rsi, period: 14}
  bb_width: {use: bollinger_width, period: 20}
  vol_10: {use: volatility, period: 10}
  volume_z: {use: zscore, of: volume, period: 20}
  lags: {use: lag, of: ret_1, by: [1, 2, 3, 5, 10]}
"""
WARM = 1_000
"""Bars after which Wilder's averages have forgotten how they began."""


def _ours(bars: int) -> tuple[Any, Any, Any]:
    """Return what runs our features, the same into new arrays, and what gives them by name."""
    from septet._config import load
    from septet._core.batch import Batch
    from septet._shell.session import open_session

    with tempfile.TemporaryDirectory() as place:
        loaded = load(str(w1_strategy(Path(place), bars, FEATURES, rules=False)))
        session = open_session(loaded)
    state = session.plan.state(1e7, session.instruments)
    batch = Batch(session.plan, session.aligned, state)
    rows = session.plan.assembly.features

    def run() -> None:
        state.S[:] = 0.0
        batch.observe(0, session.aligned.times)

    def anew() -> None:
        state.S[:] = 0.0
        Batch(session.plan, session.aligned, state).observe(0, session.aligned.times)

    return run, anew, lambda: {name: batch.F[0, rows[name]] for name in NAMES}


def _by_hand(loop: Any, close: Any, volume: Any) -> Any:
    out = np.zeros((len(NAMES), len(close)))

    def run() -> dict[str, Any]:
        loop(close, volume, out)
        return dict(zip(NAMES, out, strict=True))

    return run


def _polars(close: Any, volume: Any) -> Any:
    import polars as pl

    frame = pl.DataFrame({"close": close, "volume": volume})
    c, v, ret = pl.col("close"), pl.col("volume"), pl.col("ret_1")
    change = c.diff()

    def wilder(each: Any) -> Any:
        return each.ewm_mean(alpha=1.0 / 14.0, adjust=False, ignore_nulls=True)

    def run() -> Any:
        up, down = wilder(change.clip(lower_bound=0.0)), wilder((-change).clip(lower_bound=0.0))
        return frame.lazy().with_columns(c.log().diff().alias("ret_1")).select(
            ret,
            (100.0 * up / (up + down)).alias("rsi_14"),
            (4.0 * c.rolling_std(20, ddof=0) / c.rolling_mean(20)).alias("bb_width"),
            ret.rolling_std(10).alias("vol_10"),
            ((v - v.rolling_mean(20)) / v.rolling_std(20, ddof=0)).alias("volume_z"),
            *(ret.shift(n).alias(f"lags_{n}") for n in LAGS),
        ).collect()  # fmt: skip

    return run


def _pandas(close: Any, volume: Any) -> Any:
    import pandas as pd

    c, v = pd.Series(close), pd.Series(volume)

    def run() -> Any:
        ret = np.log(c).diff()
        change = c.diff()
        up = change.clip(lower=0.0).ewm(alpha=1.0 / 14.0, adjust=False).mean()
        down = (-change).clip(lower=0.0).ewm(alpha=1.0 / 14.0, adjust=False).mean()
        roll, by_volume = c.rolling(20), v.rolling(20)
        columns = {
            "ret_1": ret,
            "rsi_14": 100.0 * up / (up + down),
            "bb_width": 4.0 * roll.std(ddof=0) / roll.mean(),
            "vol_10": ret.rolling(10).std(),
            "volume_z": (v - by_volume.mean()) / by_volume.std(ddof=0),
        }
        return pd.DataFrame(columns | {f"lags_{n}": ret.shift(n) for n in LAGS})

    return run


def _agree(ours: dict[str, Any], theirs: Any, whose: str) -> None:
    for name in NAMES:
        one, other = ours[name][WARM:], np.asarray(theirs[name])[WARM:]
        if not np.allclose(one, other, rtol=1e-6, atol=1e-9):
            raise SystemExit(f"W3: {name} differs from {whose} by {np.abs(one - other).max():.3g}")


def measure(bars: int, times: int) -> list[Row]:
    """Compare the answers, then time all in turn."""
    import w3_hand

    from septet_plugins.data.synthetic import w1_bars

    columns = w1_bars(bars)
    given = columns["close"], columns["volume"]
    run, anew, named = _ours(bars)
    calls = {
        "polars": _polars(*given), "pandas": _pandas(*given),
        "TA-Lib": talib_features(*given, LAGS),
        "hand": _by_hand(w3_hand.accurate, *given), "plain": _by_hand(w3_hand.naive, *given),
    }  # fmt: skip
    run()
    for name, call in calls.items():
        _agree(named(), call(), name)
    found = fastest({"septet": run, "anew": anew, **calls}, times)
    ours = found["septet"]

    def row(name: str, figure: str, against: str, factor: float | None = None) -> Row:
        ratio = None if name in ("septet", "anew") else found[name] / ours / (factor or 1.0)
        return Row("W3", figure, f"{found[name] * 1e3:.1f} ms", against, ratio, factor is not None)

    return [
        row("septet", f"ten features, {bars_text(bars)}", ""),
        row("anew", "the same, its result arrays made anew", ""),
        row("polars", "polars, the same features", "septet 3 times as fast", 3.0),
        row("pandas", "pandas, the same features", "septet 6 times as fast", 6.0),
        row("TA-Lib", "TA-Lib, the same features", "septet against TA-Lib"),
        row("hand", "one pass by hand, as accurate", "septet within 20 %", 1.0 / 1.2),
        row("plain", "one pass by hand, plain sums", "septet against it"),
    ]


if __name__ == "__main__":
    asked = arguments(__doc__)
    emit(measure(100_000, 3) if asked.quick else measure(1_000_000, 15), asked.json)
