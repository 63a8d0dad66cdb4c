"""A symbol of which no weight is known states so at every rebalance, also before it was held."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from septet._config import load
from septet._report.save import save_run
from septet._report.why import explain, sentence_of
from septet._shell.backtest import backtest
from septet_plugins.data.synthetic import SyntheticConfig, walk_bars
from tests.report.conftest import NOW_NS

HOUR_NS = 3_600_000_000_000
LATE, WINDOW = 150, 40
TEXT = """\
version: 1
name: late
account: {capital: 100000, type: perpetual}
perpetual: {leverage: 2, funding: {rate: 0, every: 8h}}
universe: {symbols: [A/USDT, B/USDT], bar: 1h}
data: {candles: {use: parquet, path: "{symbol}.parquet", stamp: open, calendar: 24x7}}
features:
  move: {use: roc, period: 12}
  vol: {use: volatility, period: 24, annualise: 365d}
  part: {use: expr, formula: "0.1 * sign(move)"}
portfolio: PORTFOLIO
risk: {limits: {position: 200%, gross_exposure: 200%}}
"""
EVERY = "rebalance: {every: 6h, quorum: 50%}"
FORECAST = (
    "{use: forecast, forecast: {of: {move: 100%}, volatility: vol, target: 15%, "
    f"window: {WINDOW} bars}}, {EVERY}}}"
)
GIVEN = f"{{use: weights, weights: part, {EVERY}}}"


@pytest.mark.parametrize("engine", ["batch", "event"])
@pytest.mark.parametrize(("portfolio", "known"), [(FORECAST, WINDOW), (GIVEN, 12)])
def test_what_is_not_known_of_a_late_symbol_is_its_reason(
    tmp_path: Path, portfolio: str, known: int, engine: str
) -> None:
    for seed, name in enumerate("AB"):
        bars = pl.DataFrame(walk_bars(SyntheticConfig(bars=260, seed=seed), name, HOUR_NS))
        bars[LATE * seed :].write_parquet(tmp_path / f"{name}USDT.parquet")
    path = tmp_path / "late.yaml"
    path.write_text(TEXT.replace("PORTFOLIO", portfolio), "utf-8")
    result = backtest(load(path), engine=engine)
    run = save_run(result, tmp_path / "runs", now_ns=NOW_NS)
    table = run.table("decisions").with_columns(pl.col("symbol", "rejected_by").cast(pl.String))
    mine = table.filter((pl.col("symbol") == "B/USDT") & (pl.col("time").dt.hour() % 6 == 0))
    unknown = mine.with_columns(rejected=pl.col("rejected_by") == "keeps_units")["rejected"]
    early = int(unknown.sum())
    assert early >= known // 6
    assert unknown[:early].all(), "at every rebalance until the window is whole"
    assert set(mine["target_weight"][:early]) == {0.0}
    at = np.datetime_as_string(mine["time"][1:2].to_numpy()[0], unit="m")
    text = sentence_of(explain(run, f"B/USDT@{at}"))
    assert "nothing is known of its weight, and it keeps its units" in text
    words = f"not all known over its last {WINDOW} bars, or its volatility is not known now"
    assert (words in text) == (portfolio is FORECAST)
