"""zipline-reloaded: weights worked out at once, asked for by `order_target_percent` on their days.

Bars come from memory instead of a bundle. It fills at the close after the decision's, holds whole
shares and truncates what it orders to them, so its trades are close to the others' and not the
same. Of metrics it keeps the value of the portfolio alone.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from portfolio_weights import decision_rows, weights_at
from protocol import Answer, Market, Setup, Work, serve

__all__: list[str] = []


def _assets(names: list[str], sessions: Any) -> Any:
    """An asset database in memory."""
    import pandas as pd
    import sqlalchemy
    from zipline.assets import AssetDBWriter, AssetFinder

    engine = sqlalchemy.create_engine(
        "sqlite://", poolclass=sqlalchemy.pool.StaticPool, connect_args={"check_same_thread": False}
    )
    equities = pd.DataFrame(
        {"symbol": names, "asset_name": names, "start_date": sessions[0],
         "end_date": sessions[-1], "exchange": "X"},
        index=range(len(names)),
    )  # fmt: skip
    exchanges = pd.DataFrame({"exchange": ["X"], "canonical_name": ["X"], "country_code": ["US"]})
    AssetDBWriter(engine).write(equities=equities, exchanges=exchanges)
    return AssetFinder(engine)


def _portal(market: Market) -> tuple[Any, Any, Any, Any]:
    """Bars in memory behind zipline's portal; with it assets by number, the calendar, sessions."""
    import pandas as pd
    from zipline.data.data_portal import DataPortal
    from zipline.data.in_memory_daily_bars import InMemoryDailyBarReader
    from zipline.utils.calendar_utils import get_calendar

    sessions = pd.DatetimeIndex(np.asarray(market.time).astype("datetime64[ns]"))
    calendar = get_calendar("24/7", start=sessions[0], end=sessions[-1])
    count = market.close.shape[1]
    finder = _assets([f"S{number:03d}" for number in range(count)], sessions)
    frames = {
        name: pd.DataFrame(np.array(getattr(market, name)), index=sessions, columns=range(count))
        for name in ("open", "high", "low", "close", "volume")
    }
    places = {session: row for row, session in enumerate(sessions)}

    class Reader(InMemoryDailyBarReader):
        """What the reader of this release looks for in places where it has nothing."""

        @property
        def last_available_dt(self) -> Any:
            return sessions[-1]

        def get_value(self, sid: Any, dt: Any, field: str) -> Any:
            return self._values[field][places[dt], int(sid)]

        def get_last_traded_dt(self, asset: Any, dt: Any) -> Any:
            return dt

    currencies = pd.Series("USD", index=range(count))
    reader = Reader(frames, calendar, currencies, verify_indices=False)
    portal = DataPortal(finder, calendar, first_trading_day=sessions[0], equity_daily_reader=reader)
    return portal, finder, calendar, sessions


def _w7(setup: Setup, market: Market) -> Work:
    warnings.simplefilter("ignore")
    import pandas as pd
    from zipline import TradingAlgorithm
    from zipline.api import order_target_percent, set_commission, set_slippage
    from zipline.finance.commission import PerTrade
    from zipline.finance.slippage import FixedSlippage
    from zipline.finance.trading import SimulationParameters

    portal, finder, calendar, sessions = _portal(market)
    assets = finder.retrieve_all(range(market.close.shape[1]))
    rows = decision_rows(market.time, setup)

    def deviation(values: Any, period: int) -> Any:
        return pd.DataFrame(values).rolling(period).std().to_numpy()

    def run(until: int = len(sessions)) -> Any:
        weights = weights_at(rows, market.close, deviation, setup)
        asked = dict(zip(sessions[rows], weights, strict=True))
        sent: list[Any] = []

        def initialize(context: Any) -> None:
            set_slippage(us_equities=FixedSlippage(spread=0.0))
            set_commission(us_equities=PerTrade(0.0))

        def handle_data(context: Any, data: Any) -> None:
            target = asked.get(data.current_session)
            if target is None:
                return
            for asset in [each for each in context.portfolio.positions if not target[each.sid]]:
                sent.append(order_target_percent(asset, 0.0))
            for sid in np.flatnonzero(target).tolist():
                sent.append(order_target_percent(assets[sid], target[sid]))

        terms = SimulationParameters(
            sessions[0], sessions[until - 1], calendar, capital_base=setup.capital,
            data_frequency="daily",
        )  # fmt: skip
        algorithm = TradingAlgorithm(
            sim_params=terms, data_portal=portal, asset_finder=finder, initialize=initialize,
            handle_data=handle_data, trading_calendar=calendar,
            benchmark_returns=pd.Series(0.0, index=sessions), metrics_set="none",
        )  # fmt: skip
        for _ in algorithm.get_generator():
            pass
        return float(algorithm.portfolio.portfolio_value), sent

    def look(left: Any) -> Answer:
        value, sent = left
        return Answer(sum(each is not None for each in sent), value)

    return Work(run, look, warm=lambda: run(setup.portfolio["momentum"] + 30))


if __name__ == "__main__":
    serve("zipline-reloaded", {"w7": _w7})
