"""backtesting.py: a strategy class with averages made beforehand by pandas.

Orders of a bar are filled at the next open. A position still open at the end stays open and is
valued at the last close, as everywhere else.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from protocol import Answer, Market, Setup, Work, serve

__all__: list[str] = []


def _w1(setup: Setup, market: Market) -> Work:
    warnings.simplefilter("ignore")
    import backtesting
    import pandas as pd

    backtesting.backtesting._tqdm = lambda items, **options: items
    frame = pd.DataFrame(
        {"Open": market.open, "High": market.high, "Low": market.low, "Close": market.close,
         "Volume": market.volume},
    )  # fmt: skip

    def mean(values: Any, period: int) -> Any:
        return pd.Series(values).rolling(period).mean()

    class Cross(backtesting.Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.fast = self.I(mean, self.data.Close, setup.fast)
            self.slow = self.I(mean, self.data.Close, setup.slow)

        def next(self) -> None:
            fast, slow = self.fast, self.slow
            if fast[-1] > slow[-1] and fast[-2] <= slow[-2] and not self.position:
                self.buy(size=1)
            elif fast[-1] < slow[-1] and fast[-2] >= slow[-2] and self.position:
                self.position.close()

    def run(rows: Any = frame) -> Any:
        test = backtesting.Backtest(rows, Cross, cash=setup.capital, commission=setup.fee)
        return test.run()

    def look(stats: Any) -> Answer:
        trades = stats["_trades"]
        equity = float(stats["_equity_curve"]["Equity"].iloc[-1])

        def detail() -> Any:
            return trades[["EntryBar", "ExitBar"]].to_numpy(dtype=np.int64) - 1

        return Answer(len(trades), equity, detail)

    return Work(run, look, warm=lambda: run(frame.iloc[:20_000]))


if __name__ == "__main__":
    serve("backtesting", {"w1": _w1})
