"""Write what vectorbt and bt trade of two portfolios on the bundled shares, as golden files.

    .cache/peers/bin/python benchmarks/peers/golden_portfolios.py

Run by the Python that `make bench` makes from `peers.txt`; nothing here imports septet. The files
lie in `tests/fidelity/golden`; `tests/fidelity/test_peers.py` compares septet with them, and
reports where the rules of the engines differ from septet's.
"""

from __future__ import annotations

import importlib.metadata
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["CASES", "Case", "prices", "with_bt", "with_vectorbt"]

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "fidelity" / "golden"
FILE = ROOT / "plugins" / "septet_plugins" / "data" / "samples" / "us_stocks_1d.parquet"
SYMBOLS = ["AAPL", "GOOG", "IBM", "MSFT"]
READ, FIRST, LAST = "2008-03-03", "2009-01-05", "2010-12-31"
"""Bars are read from the first of these days on, and traded from the second to the third."""
CAPITAL, GROSS, FEE, SLIPPAGE = 1_000_000.0, 0.95, 0.001, 0.0005
MOMENTUM, VOLATILITY = 126, 60

Case = tuple[str, int]

CASES: dict[str, Case] = {"equal": ("equal", 4), "inverse_volatility": ("inverse_volatility", 2)}
"""How chosen symbols are weighed, and how many of the four are chosen, best momentum first."""


def prices() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Opens and closes with splits and dividends counted in, a column a symbol."""
    import polars as pl

    rows = pl.read_parquet(FILE).to_dict(as_series=False)
    frame = pd.DataFrame(rows)
    frame = frame[frame["symbol"].isin(SYMBOLS)]
    frame["date"] = pd.to_datetime(frame["timestamp"]).dt.tz_localize(None)
    frame["open"] = frame["open"] * (frame["adj_close"] / frame["close"])
    frame["close"] = frame["close"] * (frame["adj_close"] / frame["close"])
    found = [frame.pivot(index="date", columns="symbol", values=name) for name in ("open", "close")]
    opened, closed = (each.loc[READ:LAST, SYMBOLS] for each in found)
    assert not (opened * closed).isna().any().any()
    return opened, closed


def _first_days(index: pd.DatetimeIndex) -> np.ndarray[Any, Any]:
    """Rows of the first day of each week from `FIRST` on, but for the last row of all."""
    weeks = index.isocalendar()
    week = (weeks["year"] * 100 + weeks["week"]).to_numpy()
    new = np.flatnonzero(np.diff(week, prepend=week[0]) != 0)
    return new[(index[new] >= FIRST) & (new < len(index) - 1)]


def with_vectorbt(case: Case) -> dict[str, Any]:
    """`Portfolio.from_orders` with target percent of shared cash, sizes valued at the last close.

    The orders of a week are those of all weeks before and its own: the percent that a name is
    increased to needs what was held before, and the same call returns it.
    """
    import vectorbt as vbt

    opened, closed = prices()
    weigh, count = case
    momentum = closed.vbt.pct_change(MOMENTUM)
    inverse = 1.0 / closed.vbt.pct_change().vbt.rolling_std(VOLATILITY, ddof=1)
    best = momentum.rank(axis=1, ascending=False) <= count
    share = (inverse if weigh == "inverse_volatility" else inverse * 0.0 + 1.0).where(best, 0.0)
    weights = (GROSS * share.div(share.sum(axis=1), axis=0)).to_numpy()
    percent = np.full(closed.shape, np.nan)

    def run(until: int) -> Any:
        return vbt.Portfolio.from_orders(
            closed.iloc[:until], percent[:until], size_type="targetpercent",
            price=opened.iloc[:until], val_price=-np.inf, fees=FEE, slippage=SLIPPAGE,
            init_cash=CAPITAL, cash_sharing=True, group_by=True, call_seq="auto",
            direction="longonly", freq="1D",
        )  # fmt: skip

    days = _first_days(closed.index)
    for row in days:
        before = run(row + 1)
        held = before.assets().to_numpy()[row] * closed.to_numpy()[row]
        held = held / before.value().to_numpy()[row]
        gap = weights[row] - held
        cost = (1.0 + SLIPPAGE) * (1.0 + FEE)  # septet takes what an increase costs out of its gap
        percent[row + 1] = held + np.where(gap > 0.0, gap / cost, gap)
    whole = run(len(closed))
    records = whole.orders.records
    sign = np.where(records["side"] == 0, 1.0, -1.0)
    dates = closed.index[records["idx"]]
    fills = [
        [str(day.date()), SYMBOLS[column], float(size), float(price), float(fee)]
        for day, column, size, price, fee in zip(
            dates, records["col"], sign * records["size"], records["price"], records["fees"],
            strict=True,
        )
    ]  # fmt: skip
    return _left(closed.index, days, weights, fills, whole.value())


def with_bt(case: Case) -> dict[str, Any]:
    """A `bt.Strategy` of bt's own algos, and one that states what a reduction sells."""
    import bt

    _, closed = prices()
    weigh, count = case
    sessions = pd.date_range(closed.index[0], closed.index[-1], freq="B").difference(closed.index)

    def back(bars: int) -> Any:
        return pd.tseries.offsets.CustomBusinessDay(bars, holidays=sessions.to_list())

    asked: dict[pd.Timestamp, dict[str, float]] = {}

    class Note(bt.Algo):
        """Keep the weights that are asked for."""

        def __call__(self, target: Any) -> bool:
            asked[target.now] = {name: float(w) for name, w in target.temp["weights"].items()}
            return True

    class SellTheGap(bt.Algo):
        """A reduction sells what lies above the weight; bt would sell the fee beside it."""

        def __call__(self, target: Any) -> bool:
            for name, weight in dict(target.temp["weights"]).items():
                held = target.children[name].weight if name in target.children else 0.0
                if 0.0 < weight < held:
                    target.temp["weights"][name] = held - (held - weight) * (1.0 - FEE)
            return True

    weighing = bt.algos.WeighEqually()
    if weigh == "inverse_volatility":
        weighing = bt.algos.WeighInvVol(back(VOLATILITY), pd.DateOffset(0))
    before = pd.Timestamp(FIRST) - pd.Timedelta(days=1)
    strategy = bt.Strategy(
        "peer",
        [
            bt.algos.RunAfterDate(before), bt.algos.RunWeekly(), bt.algos.SelectAll(),
            bt.algos.SelectMomentum(count, back(MOMENTUM), pd.DateOffset(0)), weighing,
            bt.algos.ScaleWeights(GROSS), Note(), SellTheGap(), bt.algos.Rebalance(),
        ],
    )  # fmt: skip
    test = bt.Backtest(
        strategy, closed, initial_capital=CAPITAL, integer_positions=False, progress_bar=False,
        commissions=lambda quantity, price: abs(quantity) * price * FEE,
    )  # fmt: skip
    bt.run(test, progress_bar=False)
    bought = test.strategy.get_transactions().reset_index()
    bought.columns = [str(each).lower() for each in bought.columns]
    fills = [
        [str(row.date.date()), str(row.security), float(row.quantity), float(row.price),
         abs(float(row.quantity)) * float(row.price) * FEE]
        for row in bought.itertuples()
    ]  # fmt: skip
    weights = np.zeros(closed.shape)
    for day, each in asked.items():
        weights[closed.index.get_loc(day)] = [each.get(name, 0.0) for name in SYMBOLS]
    days = np.array([closed.index.get_loc(day) for day in asked])
    return _left(closed.index, days, weights, fills, test.strategy.values.loc[closed.index])


def _left(index: Any, days: Any, weights: Any, fills: list[Any], value: Any) -> dict[str, Any]:
    return {
        "weights": [[str(index[row].date()), *map(float, weights[row])] for row in days],
        "fills": sorted(fills),
        "equity": [[str(day.date()), float(each)] for day, each in value.loc[FIRST:].items()],
    }


def _text(found: dict[str, Any]) -> str:
    """JSON with a row a line."""
    parts = []
    for name, rows in found.items():
        lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
        parts.append(f'"{name}": [\n{lines}\n]' if isinstance(rows, list) else
                     f'"{name}": {json.dumps(rows)}')  # fmt: skip
    return "{" + ",\n".join(parts) + "}\n"


def main() -> None:
    """Write all of them."""
    warnings.simplefilter("ignore")
    for engine, run in (("vectorbt", with_vectorbt), ("bt", with_bt)):
        for name, case in CASES.items():
            made = {"engine": f"{engine} {importlib.metadata.version(engine)}", **run(case)}
            (GOLDEN / f"{engine}-{name}.json").write_text(_text(made), encoding="utf-8")


if __name__ == "__main__":
    main()
