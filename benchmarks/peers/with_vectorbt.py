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


if __name__ == "__main__":
    serve(
        "vectorbt",
        {f"{work}-{engine}": make(engine) for work, make in (("w1", _w1), ("w2", _w2))
         for engine in ("rust", "numba")},
    )  # fmt: skip
