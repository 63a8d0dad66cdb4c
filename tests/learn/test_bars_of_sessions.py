"""`purge` and `ready_after` that are written in bars count bars, in sessions too."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from septet._config import load
from septet._data.calendars import Sessions, load_calendar
from septet._learn.schedule import TrainingRule, training_times
from septet._shell.backtest import backtest
from septet_schemas.cron import Cron

HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
BEGIN_NS = int(np.datetime64("2021-01-04", "ns").astype(np.int64))
HALF_NS = HOUR_NS // 2
FILE = """\
version: 1
name: sessions
account: {capital: 10000, currency: USD}
universe: {symbols: [A/USD], bar: BAR}
data: {candles: {use: csv, path: x.csv, stamp: open, calendar: XNYS, adjust: none}}
features: {r: {use: log_return}}
model:
  use: sklearn
  estimator: LogisticRegression
  label: {use: direction, horizon: 5 bars}
  training: {TRAINING, min_rows: 60, min_class: 10}
signal: {use: confidence, threshold: 0.01}
risk: {sizing: {use: fixed_fraction, fraction: 20%}}
execution:
  simulation: {fee: 3bps, slippage: 1bps}
  instruments: {A/USD: {tick: 0.01, lot: 0.001, min_notional: 0}}
"""


def _bars(bar_ns: int, days: int) -> list[tuple[int, int]]:
    """Opens and closes of the bars of XNYS, from the calendar's sessions alone."""
    calendar = load_calendar("XNYS", BEGIN_NS, BEGIN_NS + days * DAY_NS)
    assert isinstance(calendar, Sessions)
    found = []
    for first, last in zip(calendar.opens_ns.tolist(), calendar.closes_ns.tolist(), strict=True):
        if bar_ns == DAY_NS:
            found.append((first, last))
            continue
        cuts = [first, *range(first // bar_ns * bar_ns + bar_ns, last, bar_ns), last]
        found += list(pairwise(cuts))
    return [each for each in found if each[0] >= BEGIN_NS]


@pytest.mark.parametrize("bar_ns", [HALF_NS, HOUR_NS, DAY_NS])
@pytest.mark.parametrize("count", [1, 2, 13, 40])
def test_a_model_is_ready_at_the_close_of_the_last_bar(bar_ns: int, count: int) -> None:
    bars = _bars(bar_ns, 200)
    rule = TrainingRule(DAY_NS, DAY_NS, 0, ready_bars=count, calendar="XNYS", bar_ns=bar_ns)
    for moment in range(BEGIN_NS, BEGIN_NS + 90 * DAY_NS, 5 * HALF_NS):
        after = [close for opens, close in bars if opens >= moment]
        assert rule.ready_at(moment) == after[count - 1]
        assert rule.ready_at(moment) <= moment + rule.longest_ready_ns


@pytest.mark.parametrize("cron", [None, Cron("0 15 * * *")])
def test_times_serve_decisions_from_the_start_to_the_end(cron: Cron | None) -> None:
    step = DAY_NS if cron is None else cron.longest_ns
    rule = TrainingRule(DAY_NS, step, 0, ready_bars=9, calendar="XNYS", bar_ns=HALF_NS, cron=cron)
    last = BEGIN_NS + 60 * DAY_NS
    every = training_times(rule, BEGIN_NS, last)
    assert [each for each in every if rule.ready_at(each) > last] == []
    for start in range(BEGIN_NS + 20 * DAY_NS, last, 7 * HOUR_NS):
        found = training_times(rule, BEGIN_NS, last, start)
        assert found == every[-len(found) :]
        assert rule.ready_at(found[0]) <= start
        assert len(found) == 1 or rule.ready_at(found[1]) > start


@pytest.mark.parametrize(
    ("bar", "training"),
    [
        ("1d", "train: 300d, step: 90d, purge: 20 bars, ready_after: 3 bars"),
        ("30m", "train: 30d, step: 20d, purge: 20 bars, ready_after: 3 bars"),
        ("30m", 'train: 30d, step: "30 15 * * 1,4", purge: 7 bars, ready_after: 15 bars'),
        ("30m", "train: 30d, step: 20d, ready_after: 3 bars"),
    ],
)
def test_a_run_leaves_out_the_bars_that_its_file_asks_for(
    bar: str, training: str, tmp_path: Path
) -> None:
    bar_ns = DAY_NS if bar == "1d" else HALF_NS
    bars = _bars(bar_ns, 700 if bar == "1d" else 110)
    chance = np.random.default_rng(3)
    close = np.round(100.0 * np.exp(np.cumsum(chance.normal(0.0, 0.006, len(bars)))), 2)
    first = np.concatenate([[100.0], close[:-1]])
    opens = pl.Series([each for each, _ in bars]).cast(pl.Datetime("ns", "UTC"))
    pl.DataFrame(
        {
            "timestamp": opens.dt.strftime("%Y-%m-%dT%H:%M:%SZ"), "open": first,
            "high": np.maximum(first, close), "low": np.minimum(first, close), "close": close,
            "volume": np.full(len(bars), 1e6),
        }
    ).write_csv(tmp_path / "x.csv")  # fmt: skip
    path = tmp_path / "x.yaml"
    written = FILE.replace("BAR", bar).replace("TRAINING", training)
    path.write_text(written, encoding="utf-8")
    purge = 20 if "20 bars" in training else 7 if "7 bars" in training else 5
    ready = 15 if "15 bars" in training else 3
    closes = np.array([each for _, each in bars])
    models = [each for each in backtest(load(path)).models if "last_row_ns" in each]
    assert len(models) >= 3
    for each in models:
        trained_to = each["trained_to_ns"]
        known = closes[closes <= trained_to]
        assert int((known > each["last_row_ns"]).sum()) == purge
        begun = [end for first, end in bars if first >= trained_to]
        assert each["ready_ns"] == begun[ready - 1]
