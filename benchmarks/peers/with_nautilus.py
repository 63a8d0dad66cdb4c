"""nautilus_trader's event path, with a strategy and with no callback at all.

Bars become its own objects before the clock starts; a run is `engine.run()`, and resetting the
engine is not timed. A market order sent in `on_bar` is filled at the close of that bar, the last
price its simulated venue has seen: the crosses are the same, the prices are those a moment before
the next open.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from protocol import Answer, Market, Setup, Work, serve

__all__: list[str] = []

DIGITS = 8
WARM = 5_000


def _bars(setup: Setup, market: Market, many: int | None = None) -> tuple[Any, Any, list[Any]]:
    """Instrument, bar type, bars: a million of them take some seconds."""
    import pandas as pd
    from nautilus_trader.model.currencies import BTC, USDT
    from nautilus_trader.model.data import BarType
    from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
    from nautilus_trader.model.instruments import CurrencyPair
    from nautilus_trader.model.objects import Price, Quantity
    from nautilus_trader.persistence.wranglers import BarDataWrangler

    instrument = CurrencyPair(
        instrument_id=InstrumentId(Symbol("BTCUSDT"), Venue("SIM")),
        raw_symbol=Symbol("BTCUSDT"), base_currency=BTC, quote_currency=USDT,
        price_precision=DIGITS, size_precision=6,
        price_increment=Price(10.0**-DIGITS, DIGITS), size_increment=Quantity(1e-6, 6),
        maker_fee=Decimal(str(setup.fee)), taker_fee=Decimal(str(setup.fee)),
        ts_event=0, ts_init=0,
    )  # fmt: skip
    bar_type = BarType.from_str("BTCUSDT.SIM-1-MINUTE-LAST-EXTERNAL")
    frame = pd.DataFrame(
        {"open": market.open, "high": market.high, "low": market.low, "close": market.close,
         "volume": market.volume},
        index=pd.to_datetime(market.time + 60_000_000_000, utc=True),
    ).iloc[:many]  # fmt: skip
    return instrument, bar_type, BarDataWrangler(bar_type, instrument).process(frame)


def _engine(setup: Setup, instrument: Any, bars: list[Any]) -> Any:
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig, RiskEngineConfig
    from nautilus_trader.model.currencies import USDT
    from nautilus_trader.model.enums import AccountType, OmsType
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Money

    engine = BacktestEngine(
        config=BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True), risk_engine=RiskEngineConfig(bypass=True)
        )
    )
    engine.add_venue(
        venue=Venue("SIM"), oms_type=OmsType.NETTING, account_type=AccountType.CASH,
        base_currency=None, starting_balances=[Money(setup.capital, USDT)],
    )  # fmt: skip
    engine.add_instrument(instrument)
    engine.add_data(bars)
    return engine


def _cross(setup: Setup, instrument: Any, bar_type: Any) -> Any:
    from nautilus_trader.indicators import SimpleMovingAverage
    from nautilus_trader.model.enums import OrderSide
    from nautilus_trader.trading.strategy import Strategy

    class Cross(Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.fast = SimpleMovingAverage(setup.fast)
            self.slow = SimpleMovingAverage(setup.slow)
            self.clear()

        def clear(self) -> None:
            self.before, self.held, self.number, self.signals = float("nan"), False, -1, []
            self.last = 0.0

        def on_start(self) -> None:
            self.one = instrument.make_qty(1)
            self.register_indicator_for_bars(bar_type, self.fast)
            self.register_indicator_for_bars(bar_type, self.slow)
            self.subscribe_bars(bar_type)

        def on_bar(self, bar: Any) -> None:
            self.number += 1
            if not self.slow.initialized:
                return
            spread = self.fast.value - self.slow.value
            if spread > 0.0 >= self.before and not self.held:
                self.send(OrderSide.BUY)
            elif spread < 0.0 <= self.before and self.held:
                self.send(OrderSide.SELL)
            self.before = spread

        def send(self, side: Any) -> None:
            self.held = side == OrderSide.BUY
            self.signals.append(self.number)
            self.submit_order(self.order_factory.market(instrument.id, side, self.one))

        def on_reset(self) -> None:
            self.fast.reset()
            self.slow.reset()
            self.clear()

    return Cross()


def _strategy(setup: Setup, market: Market) -> Work:
    from nautilus_trader.model.currencies import BTC, USDT
    from nautilus_trader.model.identifiers import Venue

    instrument, bar_type, bars = _bars(setup, market)
    engine = _engine(setup, instrument, bars)
    strategy = _cross(setup, instrument, bar_type)
    engine.add_strategy(strategy)
    used = [False]

    def run() -> Any:
        engine.run()
        used[0] = True
        return None

    def look(_: Any) -> Answer:
        account = engine.portfolio.account(Venue("SIM"))
        held = account.balance_total(BTC)
        cash = account.balance_total(USDT).as_double()
        equity = cash + (0.0 if held is None else held.as_double()) * float(market.close[-1])
        filled = len(engine.cache.orders_closed())
        signals = list(strategy.signals)
        engine.reset()
        pairs = np.array(signals[: len(signals) // 2 * 2], dtype=np.int64).reshape(-1, 2)
        if filled != len(signals):
            raise RuntimeError(f"{filled} of {len(signals)} orders were filled")
        return Answer(len(pairs), equity, lambda: pairs)

    return Work(run, look, warm=lambda: _warm(setup, market))


def _warm(setup: Setup, market: Market) -> None:
    """A short run in an engine of its own: nothing here is compiled at run time."""
    instrument, bar_type, bars = _bars(setup, market, WARM)
    engine = _engine(setup, instrument, bars)
    engine.add_strategy(_cross(setup, instrument, bar_type))
    engine.run()
    engine.dispose()


def _bare(setup: Setup, market: Market) -> Work:
    instrument, _, bars = _bars(setup, market)
    engine = _engine(setup, instrument, bars)

    def look(_: Any) -> Answer:
        engine.reset()
        return Answer(0, None)

    return Work(engine.run, look, warm=lambda: _warm(setup, market))


if __name__ == "__main__":
    serve("nautilus_trader", {"event": _strategy, "event-bare": _bare})
