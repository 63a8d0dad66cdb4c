"""vectorbt, its Rust or its numba engine: the quickest way to the same arrays that we found.

Rolling means and curves come from its dispatched functions over arrays, without the pandas objects
that `pf.value()` wraps around every step of the way; that is two to four times faster.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from portfolio_weights import decision_rows, weights_at
from protocol import Answer, Market, Setup, Unavailable, Work, crosses, serve

__all__: list[str] = []

TOGETHER = 40
"""Columns a simulation of the sweep: all thousand at once are slower, and take gigabytes."""


def _shifted(signals: Any) -> Any:
    """Move signals to the bar of the fill."""
    moved = np.zeros_like(signals)
    moved[1:] = signals[:-1]
    return moved


def _vectorbt(engine: str) -> Any:
    warnings.simplefilter("ignore")
    import vectorbt
    from vectorbt import _engine

    if engine == "rust" and not _engine.is_rust_available():
        raise Unavailable("vectorbt-rust is not installed")
    vectorbt.settings["engine"] = "auto"
    return vectorbt


def _curve(portfolio: Any, setup: Setup, market: Market, engine: str) -> Any:
    """Equity at each close, from the orders."""
    from vectorbt.portfolio import dispatch

    shape, records = portfolio.wrapper.shape_2d, portfolio.order_records
    columns = portfolio.orders.col_mapper.col_map
    flow = dispatch.asset_flow(shape, records, columns, 0, engine=engine)
    held = dispatch.assets(flow, engine=engine)
    spent = dispatch.cash_flow(shape, records, columns, False, engine=engine)
    cash = dispatch.cash(spent, np.array([setup.capital]), engine=engine)
    worth = dispatch.asset_value(market.close[:, None], held, engine=engine)
    return dispatch.value(cash, worth, engine=engine)[:, 0]


def _w1(engine: str) -> Callable[[Setup, Market], Work]:
    def make(setup: Setup, market: Market) -> Work:
        vbt = _vectorbt(engine)
        from vectorbt.generic.dispatch import rolling_mean_1d

        def run() -> Any:
            fast = rolling_mean_1d(market.close, setup.fast, engine=engine)
            slow = rolling_mean_1d(market.close, setup.slow, engine=engine)
            up, down = crosses(fast, slow, setup.slow - 1)
            began = time.perf_counter()
            portfolio = vbt.Portfolio.from_signals(
                market.close, _shifted(up), _shifted(down), size=1.0, price=market.open,
                fees=setup.fee, init_cash=setup.capital, freq="1min", engine=engine,
            )  # fmt: skip
            spent = time.perf_counter() - began
            curve = _curve(portfolio, setup, market, engine)
            return curve, portfolio.trades.values, spent

        def look(left: Any) -> Answer:
            curve, trades, spent = left
            closed = trades[trades["status"] == 1]

            def detail() -> Any:
                return np.column_stack((closed["entry_idx"] - 1, closed["exit_idx"] - 1))

            return Answer(len(closed), float(curve[-1]), detail, {"simulation": spent})

        return Work(run, look)

    return make


def _w2(engine: str) -> Callable[[Setup, Market], Work]:
    def make(setup: Setup, market: Market) -> Work:
        vbt = _vectorbt(engine)
        from vectorbt.generic.dispatch import rolling_mean_1d

        def part(averages: dict[int, Any], pairs: list[tuple[int, int]]) -> Any:
            shape = (len(market.close), len(pairs))
            up, down = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
            for column, (fast, slow) in enumerate(pairs):
                signals = crosses(averages[fast], averages[slow], setup.first)
                up[1:, column], down[1:, column] = signals[0][:-1], signals[1][:-1]
            portfolio = vbt.Portfolio.from_signals(
                market.close[:, None], up, down, size=1.0, price=market.open[:, None],
                fees=setup.fee, init_cash=setup.capital, freq="1min", engine=engine,
            )  # fmt: skip
            trips = np.atleast_1d(np.asarray(portfolio.trades.closed.count()))
            return np.column_stack((trips, np.atleast_1d(np.asarray(portfolio.final_value()))))

        def run(many: int | None = None) -> Any:
            periods = (*setup.fasts, *setup.slows)
            averages = {
                period: rolling_mean_1d(market.close, period, engine=engine) for period in periods
            }
            pairs = setup.pairs[:many]
            parts = [
                part(averages, pairs[place : place + TOGETHER])
                for place in range(0, len(pairs), TOGETHER)
            ]
            return np.concatenate(parts)

        def look(table: Any) -> Answer:
            return Answer(int(table[:, 0].sum()), None, lambda: table)

        return Work(run, look, warm=lambda: run(TOGETHER))

    return make


def _w7(engine: str) -> Callable[[Setup, Market], Work]:
    """Target percent of shared cash, valued at the close of the decision, filled at the open."""

    def make(setup: Setup, market: Market) -> Work:
        vbt = _vectorbt(engine)
        from vectorbt.generic.dispatch import rolling_std

        close, opened = np.array(market.close), np.array(market.open)
        rows = decision_rows(market.time, setup)

        def deviation(values: Any, period: int) -> Any:
            return rolling_std(values, period, minp=period, ddof=1, engine=engine)

        def run() -> Any:
            percent = np.full(close.shape, np.nan)
            percent[rows + 1] = weights_at(rows, close, deviation, setup)
            began = time.perf_counter()
            portfolio = vbt.Portfolio.from_orders(
                close, percent, size_type="targetpercent", price=opened, val_price=-np.inf,
                init_cash=setup.capital, cash_sharing=True, group_by=True, call_seq="auto",
                direction="longonly", freq="1D", engine=engine,
            )  # fmt: skip
            orders = portfolio.order_records
            spent = time.perf_counter() - began
            return orders, _shared_curve(orders, close, setup.capital), spent

        def look(left: Any) -> Answer:
            orders, curve, spent = left
            sign = np.where(orders["side"] == 0, 1.0, -1.0)
            found = np.column_stack((orders["idx"] - 1, orders["col"], sign * orders["size"]))
            return Answer(len(found), float(curve[-1]), lambda: found, {"simulation": spent})

        return Work(run, look)

    return make


def _shared_curve(orders: Any, close: Any, capital: float) -> Any:
    """Equity of all columns together at each close; `pf.value()` takes several times as long."""
    sign = np.where(orders["side"] == 0, 1.0, -1.0)
    held = np.zeros(close.shape)
    held[orders["idx"], orders["col"]] = sign * orders["size"]
    np.cumsum(held, axis=0, out=held)
    paid = sign * orders["size"] * orders["price"] + orders["fees"]
    cash = capital - np.cumsum(np.bincount(orders["idx"], paid, minlength=len(close)))
    return cash + np.einsum("ij,ij->i", held, close)


if __name__ == "__main__":
    serve(
        "vectorbt",
        {f"{work}-{engine}": make(engine)
         for work, make in (("w1", _w1), ("w2", _w2), ("w7", _w7))
         for engine in ("rust", "numba")},
    )  # fmt: skip
