"""A model that nothing trains again halts at the third bad reading, in both paths alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from septet._config import load
from septet._data.calendars import Sessions, load_calendar
from septet._shell.backtest import backtest
from septet._store.tables import frames_of

__all__ = ["BARS", "BEGIN_NS", "HOUR_NS", "strategy_that_turns"]

HOUR_NS = 3_600_000_000_000
BEGIN_NS = int(np.datetime64("2021-01-04T14:30", "ns").astype(np.int64))
BARS, TURN = 24 * 40, 24 * 25 + 5
FILE = """\
version: 1
name: outside
account: {capital: 10000, currency: USD, type: perpetual}
universe: {symbols: [A/USD], bar: BAR}
data:
  candles: {use: csv, path: x.csv, stamp: open, CALENDAR}
  forecast: {use: csv_series, path: p.csv, time: time, value: value, time_zone: UTC,
             known_after: 0s, max_age: 5d}
features: {p: {use: series, of: forecast}}
model: {use: series, of: p, label: {use: direction, horizon: 1 bar}}
signal: {use: confidence, threshold: 0.02}
perpetual: {leverage: 2, funding: {rate: 0bps, every: 8h}}
risk: {sizing: {use: fixed_fraction, fraction: 20%}}
execution:
  simulation: {fee: 1bps, slippage: 1bps}
  instruments: {A/USD: {tick: 0.01, lot: 0.001, min_notional: 0}}
monitoring: {model: {auc_window: 100, auc_floor: 0.5, auc_warn: 0.55}}
"""


def strategy_that_turns(
    folder: Path, open_ns: np.ndarray[Any, Any], bar: str, calendar: str
) -> Path:
    """A forecast that is right, and from one bar on always wrong."""
    chance, count = np.random.default_rng(1), len(open_ns)
    close = 100.0 * np.exp(np.cumsum(chance.normal(0.0, 0.006, count)))
    first = np.concatenate([[100.0], close[:-1]])
    rises = np.append(close[1:] > close[:-1], False)
    up = np.where(rises, 0.6, 0.4) + chance.normal(0.0, 0.03, count)
    up[TURN:] = 1.0 - up[TURN:]
    stamps = pl.Series(open_ns).cast(pl.Datetime("ns", "UTC"))
    length = {"1h": HOUR_NS, "30m": HOUR_NS // 2}[bar]
    text = "%Y-%m-%dT%H:%M:%SZ"
    bars = {"open": first, "high": np.maximum(first, close), "low": np.minimum(first, close)}
    pl.DataFrame(
        {
            "timestamp": stamps.dt.strftime(text),
            **bars,
            "close": close,
            "volume": np.full(count, 1e6),
        }
    ).write_csv(folder / "x.csv")
    known = pl.Series(open_ns + length).cast(pl.Datetime("ns", "UTC"))
    pl.DataFrame({"time": known.dt.strftime(text), "value": up}).write_csv(folder / "p.csv")
    path = folder / "outside.yaml"
    written = FILE.replace("BAR", bar).replace("CALENDAR", calendar)
    path.write_text(written, encoding="utf-8")
    return path


def _sessions() -> np.ndarray[Any, Any]:
    """Opens of bars of half an hour of XNYS."""
    calendar = load_calendar("XNYS", BEGIN_NS, BEGIN_NS + 120 * 24 * HOUR_NS)
    assert isinstance(calendar, Sessions)
    opens = calendar.opens_ns[calendar.opens_ns >= BEGIN_NS]
    return np.concatenate([each + np.arange(13) * HOUR_NS // 2 for each in opens])[:BARS]


@pytest.mark.parametrize("sessions", [False, True])
def test_a_forecast_that_turns_wrong_halts(sessions: bool, tmp_path: Path) -> None:
    if sessions:
        path = strategy_that_turns(tmp_path, _sessions(), "30m", "calendar: XNYS, adjust: none")
    else:
        opens = BEGIN_NS // HOUR_NS * HOUR_NS + np.arange(BARS) * HOUR_NS
        path = strategy_that_turns(tmp_path, opens, "1h", "calendar: 24x7")
    batch, event = (backtest(load(path), engine=each) for each in ("batch", "event"))
    others = frames_of(event)
    for name, frame in frames_of(batch).items():
        assert_frame_equal(frame, others[name], check_exact=True)
    (halt,) = batch.halts
    assert halt == event.halts[0]
    assert halt.rule == "monitoring.model"
    read = others["monitoring"].filter(pl.col("metric") == "auc")
    assert set(read["time"]) <= set(others["decisions"]["time"])
    assert read["time"].dt.date().is_unique().all()
    bad = read.filter(pl.col("compared") < pl.col("threshold"), pl.col("threshold") == 0.5)
    assert bad["verdict"].head(3).to_list() == ["warn", "warn", "halt"]
    assert halt.time_ns == int(bad["time"].cast(pl.Int64)[2])
    later = others["decisions"].filter(pl.col("time").cast(pl.Int64) >= halt.time_ns)
    assert later.height > 10
    assert (later["granted"] == 0).all() or later["granted"].is_null().all()
