"""Portfolios of `edge`, the model's probability up minus down: by rank, and as a forecast."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from septet._config import load
from septet._results.result import RunResult
from septet._shell.backtest import backtest
from septet._store.tables import as_frame
from tests.fidelity.positions.forecast import forecast_weights
from tests.fidelity.positions.settings import Forecast

NAMES = ("A/USDT", "B/USDT", "C/USDT")
WINDOW = 40
TEXT = """\
version: 1
name: edge
account: {capital: 100000, type: perpetual}
perpetual: {leverage: 5, funding: {rate: 0, every: 8h}}
universe: {symbols: [A/USDT, B/USDT, C/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 1100, seed: 5}}
features:
  ret_1: {use: log_return}
  ret_9: {use: roc, period: 9}
  vol: {use: volatility, period: 30, annualise: 365d}
model:
  use: sklearn
  estimator: LogisticRegression
  scale: standard
  inputs: [ret_1, ret_9]
  label: {use: direction, horizon: 2 bars}
  training: {train: 20d, step: 8d, min_rows: 100}
portfolio: PORTFOLIO
risk: {limits: {position: 500%, gross_exposure: 500%}}
"""
RANKED = "{use: top, by: edge, long: 1, short: 1, weight: score, rebalance: {every: 5 bars}}"
BLENDED = (
    "{use: forecast, forecast: {of: {edge: 70%, ret_9: 30%}, volatility: vol, target: 30%, "
    f"window: {WINDOW} bars}}, rebalance: {{every: 7 bars}}}}"
)


def ran(folder: Path, portfolio: str, engine: str = "batch") -> RunResult:
    path = folder / "x.yaml"
    path.write_text(TEXT.replace("PORTFOLIO", portfolio), "utf-8")
    return backtest(load(path), engine=engine)


def decisions_of(result: RunResult) -> pl.DataFrame:
    assert result.decisions is not None
    return as_frame("decisions", result.decisions).with_columns(pl.col("symbol").cast(pl.String))


def weighed(table: pl.DataFrame) -> list[tuple[Any, dict[str, dict[str, Any]]]]:
    """Return the decision times with a weight, and the rows of all symbols there."""
    found = []
    for (time,), rows in table.group_by("time", maintain_order=True):
        if (rows["target_weight"] != 0.0).any():
            found.append((time, {row["symbol"]: row for row in rows.iter_rows(named=True)}))
    return found


@pytest.mark.parametrize("portfolio", [RANKED, BLENDED], ids=["top", "forecast"])
def test_both_paths_give_one_answer(tmp_path: Path, portfolio: str) -> None:
    batch, event = (ran(tmp_path, portfolio, engine) for engine in ("batch", "event"))
    for name in ("decisions", "orders", "fills", "trades", "equity"):
        one, other = (as_frame(name, getattr(each, name)) for each in (batch, event))
        assert one.equals(other, null_equal=True), name
    assert as_frame("fills", batch.fills).height > 20


def test_the_horizon_of_the_label_closes_no_position_of_a_portfolio(tmp_path: Path) -> None:
    """It is the default of `signal.exit.after`, and no signal holds what a portfolio holds."""
    orders = as_frame("orders", ran(tmp_path, RANKED).orders)
    assert set(orders["reason"].cast(pl.String)) == {"rebalance"}


def test_names_are_ranked_by_probability_up_minus_down(tmp_path: Path) -> None:
    found = weighed(decisions_of(ran(tmp_path, RANKED)))
    assert len(found) > 50
    sides = set()
    for _, rows in found:
        edge = {name: 2.0 * row["probability_up"] - 1.0 for name, row in rows.items()}
        best, worst = max(edge, key=lambda k: edge[k]), min(edge, key=lambda k: edge[k])
        # By score each side has half of gross, and a score of the wrong sign has none of it.
        asked = {best: 0.5 if edge[best] > 0.0 else 0.0, worst: -0.5 if edge[worst] < 0.0 else 0.0}
        for name, row in rows.items():
            assert row["target_weight"] == pytest.approx(asked.get(name, 0.0))
        sides |= {(edge[best] > 0.0, edge[worst] < 0.0)}
    assert len(sides) > 1, "a score of the wrong sign is among them"


def test_a_forecast_of_the_model_is_weighed_as_the_reference_weighs_it(tmp_path: Path) -> None:
    result = ran(tmp_path, BLENDED)
    table = decisions_of(result)
    history = {
        name: table.filter(pl.col("symbol") == name).sort("time").to_dicts() for name in NAMES
    }
    closes = {
        name: dict(zip(bars.known_ns.tolist(), bars.close.tolist(), strict=True))
        for name, bars in result.bars.items()
    }
    settings = Forecast(of={"edge": 0.7, "ret_9": 0.3}, volatility="vol", target=0.3, window=WINDOW)
    compared = 0
    for time, rows in weighed(table)[:40]:
        until = next(n for n, row in enumerate(history[NAMES[0]]) if row["time"] == time)
        if until < WINDOW:
            continue
        span = {name: history[name][until - WINDOW + 1 : until + 1] for name in NAMES}
        features = {
            "edge": {n: [2.0 * row["probability_up"] - 1.0 for row in span[n]] for n in NAMES},
            "ret_9": {n: [row["ret_9"] for row in span[n]] for n in NAMES},
        }
        returns = {}
        for name in NAMES:
            known = sorted(closes[name])
            stamps = [int(row["time"].timestamp()) * 1_000_000_000 for row in span[name]]
            first = known.index(stamps[0])
            price = [closes[name][each] for each in known[first - 1 : first + WINDOW]]
            returns[name] = [b / a - 1.0 for a, b in pairwise(price)]
        volatility = {name: rows[name]["vol"] for name in NAMES}
        expected = forecast_weights(settings, features, returns, volatility)
        for name in NAMES:
            weight = expected[name]
            assert weight is not None
            assert math.isclose(rows[name]["target_weight"], weight, rel_tol=1e-9), (time, name)
        compared += 1
    assert compared > 20
