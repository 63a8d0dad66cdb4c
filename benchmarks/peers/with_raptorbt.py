"""raptorbt: signals from its own averages, one call of its array engine.

It sizes as a share of allotted capital and rounds down to lots: one and a half times the price of
one unit, with lots of one, buys exactly one unit every time.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from protocol import Answer, Market, Setup, Work, crosses, serve

__all__: list[str] = []

TOGETHER = 40
"""Settings a call of the batch engine: more at once is slower, and takes gigabytes."""


def _terms(setup: Setup, market: Market) -> tuple[Any, Any, Any]:
    import raptorbt

    config = raptorbt.BacktestConfig(
        initial_capital=setup.capital, fees=setup.fee, slippage=0.0, fill_timing="next_bar_open"
    )
    instrument = raptorbt.InstrumentConfig(lot_size=1.0, alloted_capital=setup.capital)
    return config, instrument, 1.5 * market.next_open / setup.capital


def _w1(setup: Setup, market: Market) -> Work:
    import raptorbt

    config, instrument, sizes = _terms(setup, market)
    columns = (market.time, market.open, market.high, market.low, market.close, market.volume)

    def run() -> Any:
        fast = raptorbt.sma(market.close, setup.fast)
        slow = raptorbt.sma(market.close, setup.slow)
        up, down = crosses(fast, slow, setup.slow - 1)
        began = time.perf_counter()
        result = raptorbt.run_single_backtest(
            *columns, up, down, 1, 1.0, "W1", config,
            position_sizes=sizes, instrument_config=instrument,
        )  # fmt: skip
        spent = time.perf_counter() - began
        return result.equity_curve(), result.trades(), spent

    def look(left: Any) -> Answer:
        equity, trades, spent = left
        closed = [each for each in trades if each.exit_reason == "Signal"]

        def detail() -> Any:
            pairs = [(each.entry_idx - 1, each.exit_idx - 1) for each in closed]
            return np.array(pairs, dtype=np.int64)

        return Answer(len(closed), float(equity[-1]), detail, {"simulation": spent})

    return Work(run, look)


def _w2(setup: Setup, market: Market) -> Work:
    import raptorbt

    config, instrument, sizes = _terms(setup, market)
    columns = (market.time, market.open, market.high, market.low, market.close, market.volume)

    def run() -> Any:
        periods = (*setup.fasts, *setup.slows)
        averages = {period: raptorbt.sma(market.close, period) for period in periods}
        found, items = [], []
        for number, (fast, slow) in enumerate(setup.pairs, 1):
            signals = crosses(averages[fast], averages[slow], setup.first)
            items.append(
                raptorbt.BatchSingleItem(
                    f"{fast}/{slow}", *signals, 1, 1.0, "W2", None, sizes, instrument
                )
            )
            if len(items) == TOGETHER or number == len(setup.pairs):
                for _, result in raptorbt.batch_single_backtest(*columns, items, config):
                    seen = result.metrics
                    equity = setup.capital * (1.0 + seen.total_return_pct / 100.0)
                    found.append((seen.total_closed_trades, equity))
                items = []
        return found

    def look(found: Any) -> Answer:
        table = np.array(found, dtype=np.float64)
        return Answer(int(table[:, 0].sum()), None, lambda: table)

    return Work(run, look)


if __name__ == "__main__":
    serve("raptorbt", {"w1": _w1, "w2": _w2})
