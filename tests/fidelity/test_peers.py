"""Portfolios trade what vectorbt and bt trade: the same weights, fills and equity.

The golden files are what the two engines made of four bundled shares in 2009 and 2010: weekly on
the first session of a week, 95 % invested, splits and dividends counted in. They were written by
`benchmarks/peers/golden_portfolios.py`. `equal` holds all four at a quarter, `inverse_volatility`
the two with the best 126-day return, by the inverse of their 60-day volatility of simple returns.
Both pay costs, and both resize all that is held every week.

Where the rules of the engines differ from septet's, and how the case makes them coincide:

======================= ======================= ================================================
septet                  vectorbt                bt
======================= ======================= ================================================
sizes are priced at the at the price of the     at the close of the decision, the same
close of the decision   order; `val_price` says
                        the close before
fills at the next open  at the price it is      at the close of the decision; the bars here open
                        given: the next open    at the close before, so it is the same price
an increase buys        gap / close; it is told the same
gap / (close · costs)   the smaller percent
a reduction sells       the same                gap / (close · (1 − fee)); an algo of its own
gap / close                                     tells it the weight that sells septet's quantity
slippage                the same                it has none, and there none is charged
reductions go first     orders go by value      orders go by name; at 95 % cash is never short
whole lots of 1e-8      any fraction            any fraction
======================= ======================= ================================================

bt pays a fee at the close of the decision, septet at the open after it, so on that close alone the
equity of the two is a fee apart: it is compared with the fees of the fills that follow taken off.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from septet._config import load
from septet._shell.backtest import backtest
from septet._store.tables import as_frame
from septet_plugins.data.sample import FOLDER

GOLDEN = Path(__file__).resolve().parent / "golden"
SYMBOLS = ["AAPL", "GOOG", "IBM", "MSFT"]
FILE = """
version: 1
name: peers
account: {{capital: 1000000, currency: USD}}
universe: {{symbols: [AAPL, GOOG, IBM, MSFT], bar: 1d, start: 2009-01-05, end: 2010-12-31}}
data: {{candles: {candles}}}
features:
  momentum: {{use: roc, period: 126}}
  change: {{use: simple_return}}
  vol_60: {{use: deviation, of: change, period: 60, ddof: 1}}
portfolio:
  use: top
  by: momentum
  long: {long}
  weight: {weight}
  gross: 95%
  rebalance: {{every: 1w on mon 00:00}}
risk: {{limits: {{position: 100%, gross_exposure: 100%}}}}
execution: {{simulation: {{fee: 10bps, slippage: {slippage}}}}}
"""
CASES = {"equal": ("equal", 4), "inverse_volatility": ("{inverse_volatility: vol_60}", 2)}


def _opened_at_the_close_before(folder: Path) -> Path:
    """Write the bundled shares, adjusted, with each open at the close before."""
    rows = pl.read_parquet(FOLDER / "us_stocks_1d.parquet").filter(pl.col("symbol").is_in(SYMBOLS))
    close = pl.col("adj_close")
    before = close.shift(1).over("symbol", order_by="timestamp").fill_null(close)
    frame = rows.select(
        "timestamp", "symbol", open=before, high=pl.max_horizontal(before, close),
        low=pl.min_horizontal(before, close), close=close, volume=pl.col("volume").cast(pl.Float64),
    )  # fmt: skip
    path = folder / "shares.parquet"
    frame.sort("symbol", "timestamp").write_parquet(path)
    return path


@pytest.fixture(
    scope="module",
    params=[(engine, case) for engine in ("vectorbt", "bt") for case in CASES],
    ids="-".join,
)
def both(request: Any, tmp_path_factory: Any) -> tuple[str, dict[str, Any], Any]:
    """Return the engine, what it left, and septet's run of the same."""
    engine, case = request.param
    folder = tmp_path_factory.mktemp("peers")
    candles = "{use: sample, adjust: total}"
    if engine == "bt":
        shares = _opened_at_the_close_before(folder)
        candles = f"{{use: parquet, path: {shares}, calendar: XNYS}}"
    weight, long = CASES[case]
    path = folder / "peers.yaml"
    slippage = "0bps" if engine == "bt" else "5bps"
    path.write_text(FILE.format(candles=candles, weight=weight, long=long, slippage=slippage))
    golden = json.loads((GOLDEN / f"{engine}-{case}.json").read_text(encoding="utf-8"))
    return engine, golden, backtest(load(str(path)))


def _rows(name: str, made: Any) -> list[dict[str, Any]]:
    frame = as_frame(name, getattr(made, name))
    stamps = [pl.col(pl.Datetime).dt.date().cast(pl.String)]
    enums = [pl.col(pl.Enum, pl.Categorical).cast(pl.String)]
    return list(frame.with_columns(*stamps, *enums).iter_rows(named=True))


def test_weights_are_the_same(both: Any) -> None:
    _, golden, made = both
    ours: dict[str, dict[str, float]] = {}
    for row in _rows("decisions", made):
        if row["target_weight"]:  # between rebalances, and of names without a weight, it is zero
            ours.setdefault(row["time"], {})[row["symbol"]] = row["target_weight"]
    theirs = {day: dict(zip(SYMBOLS, weights, strict=True)) for day, *weights in golden["weights"]}
    assert len(theirs) == 104
    assert list(ours) == list(theirs)
    for day, weights in theirs.items():
        found = {name: ours[day].get(name, 0.0) for name in SYMBOLS}
        assert found == pytest.approx(weights, abs=1e-9), day


def test_fills_are_the_same(both: Any) -> None:
    engine, golden, made = both
    days = [row["time"] for row in _rows("equity", made)]
    after = dict(pairwise(days)) if engine == "bt" else {}
    theirs = {(after.get(day, day), symbol): each for day, symbol, *each in golden["fills"]}
    ours = {
        (row["time"], row["symbol"]): [
            row["quantity"] if row["side"] == "buy" else -row["quantity"], row["price"], row["fee"],
        ]
        for row in _rows("fills", made)
    }  # fmt: skip
    assert len(theirs) == len(golden["fills"]) > 200
    assert sorted(ours) == sorted(theirs)
    for place, each in theirs.items():
        assert ours[place] == pytest.approx(each, rel=1e-6), place


def test_equity_is_the_same(both: Any) -> None:
    engine, golden, made = both
    ours = {row["time"]: row["equity"] for row in _rows("equity", made)}
    if engine == "bt":
        before = {later: day for day, later in pairwise(ours)}
        for row in _rows("fills", made):
            ours[before[row["time"]]] -= row["fee"]
    theirs = dict(golden["equity"])
    assert len(theirs) == 503
    assert list(ours) == list(theirs)
    assert ours == pytest.approx(theirs, rel=1e-6)
