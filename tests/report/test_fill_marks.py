"""Every fill of a trade is a mark of the price chart, not only its entry and its exit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from septet._config import load
from septet._report.chart_data import MARKERS, chart_data
from septet._report.run_charts import price_chart
from septet._report.save import save_run
from septet._shell.backtest import backtest
from septet._store.run_folder import Run
from tests.report.read_once import ReadOnce

TEXT = """\
version: 1
name: steps
universe: {symbols: [AA/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 3000, volatility: 90%, seed: 3}}
features: {slow: {use: sma, period: 40}}
signal: {use: rules, long_if: "crosses_above(close, slow)", exit_if: "crosses_below(close, slow)"}
risk:
  sizing: {use: fixed_fraction, fraction: 20%}
  stops: {stop_loss: 5%}
  position:
    add: [{at: [1%, 2%], size: 50%}]
    take: [{at: 3%, size: 50%}]
"""


def stored(tmp_path: Path) -> Run:
    path = tmp_path / "steps.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return ReadOnce(save_run(backtest(load(path)), tmp_path / "runs", report=False).folder)


def test_adds_and_takes_are_marked(tmp_path: Path) -> None:
    run = stored(tmp_path)
    data = chart_data(run)
    (item,) = data["price"]
    orders = run.table("orders").select("order_id", "reason")
    fills = run.table("fills").join(orders, on="order_id")
    reasons = Counter(fills.filter(pl.col("reason").is_in(["add", "take"])).get_column("reason"))
    assert min(reasons.values()) > 5
    steps = item["trades"]["steps"]
    assert Counter(steps["reason"]) == reasons
    assert [each == "add" for each in steps["reason"]] == steps["up"]
    kinds = Counter(mark["kind"] for mark in price_chart(data)[1][0]["marks"])
    assert (kinds["more-long"], kinds["less"]) == (reasons["add"], reasons["take"])
    assert kinds["long"] == run.table("trades").height


def test_the_marks_of_a_position_with_many_fills_are_bounded(tmp_path: Path) -> None:
    run = stored(tmp_path)
    fills = pl.concat([run.table("fills")] * 200).sort("time")
    run.table("fills")
    run._tables["fills"] = fills  # type: ignore[attr-defined]
    (item,) = chart_data(run)["price"]
    assert 100 < len(item["trades"]["steps"]["row"]) <= MARKERS
