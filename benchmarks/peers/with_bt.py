"""bt: weights worked out at once, rebalanced by its own algos on the days of decisions.

`SelectMomentum` and `WeighInvVol` would ask pandas for every week anew; this is quicker. The
statistics that `bt.run` adds are left out.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from portfolio_weights import decision_rows, weights_at
from protocol import Answer, Market, Setup, Work, serve

__all__: list[str] = []


def _w7(setup: Setup, market: Market) -> Work:
    warnings.simplefilter("ignore")
    import bt
    import pandas as pd

    names = [f"S{number:03d}" for number in range(market.close.shape[1])]
    index = pd.DatetimeIndex(np.asarray(market.time).astype("datetime64[ns]"))
    prices = pd.DataFrame(np.array(market.close), index=index, columns=names)
    rows = decision_rows(market.time, setup)

    def deviation(values: Any, period: int) -> Any:
        return pd.DataFrame(values).rolling(period).std().to_numpy()

    def run(until: int | None = None) -> Any:
        part = prices.iloc[:until]
        asked = pd.DataFrame(
            weights_at(rows, market.close, deviation, setup), index=index[rows], columns=names
        )
        strategy = bt.Strategy("w7", [bt.algos.WeighTarget(asked), bt.algos.Rebalance()])
        test = bt.Backtest(
            strategy, part, initial_capital=setup.capital, integer_positions=False,
            commissions=lambda quantity, price: 0.0, progress_bar=False,
        )  # fmt: skip
        test.run()
        return test.strategy, test.strategy.values

    def look(left: Any) -> Answer:
        strategy, values = left
        changed = strategy.positions.reindex(columns=names).fillna(0.0).diff().iloc[1:].to_numpy()
        at, symbol = np.nonzero(changed)
        orders = np.column_stack((at, symbol, changed[at, symbol]))
        return Answer(len(orders), float(values.iloc[-1]), lambda: orders)

    short = setup.portfolio["momentum"] + 30
    return Work(run, look, warm=lambda: run(short))


if __name__ == "__main__":
    serve("bt", {"w7": _w7})
