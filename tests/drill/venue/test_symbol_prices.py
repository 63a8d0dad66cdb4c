"""Bars in, ticks and klines out: nothing is lost on the way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._drill.venue import Bars, MatchingEngine, SymbolConfig, Synthetic, VenueConfig
from septet._drill.venue.market import Market
from septet._drill.venue.symbol_prices import SymbolPrices, load_bars
from septet.errors import InputError

HOUR = 3600 * 10**9
PRICE = st.floats(1e-6, 1e7)


@st.composite
def bars(draw: st.DrawFn) -> Bars:
    """A few bars of any floats, in their order."""
    rows = []
    for number in range(draw(st.integers(1, 4))):
        low, a, b, high = sorted(draw(st.tuples(PRICE, PRICE, PRICE, PRICE)))
        volume = draw(st.floats(0, 1e9))
        rows.append((number * HOUR, a, high, low, b, volume))
    names = ("open_ns", "open", "high", "low", "close", "volume")
    return Bars(**{n: list(c) for n, c in zip(names, zip(*rows, strict=True), strict=True)})


@settings(max_examples=150, deadline=None)
@given(bars(), st.integers(4, 30), st.integers(0, 5), st.sampled_from(["0.01", "0.00001", "1"]))
def test_the_kline_made_of_ticks_is_the_bar(
    given_bars: Bars, ticks: int, seed: int, tick: str
) -> None:
    prices = SymbolPrices(SymbolConfig(base="BTC", tick=tick), given_bars, HOUR, ticks, seed)
    for row, open_ns in enumerate(given_bars.open_ns):
        walk = prices.ticks(row)
        assert len(walk) == ticks
        for each in walk:
            now = prices.apply(open_ns, each)
        closed = prices.closed(row)
        for name in ("open", "high", "low", "close", "volume"):
            value = getattr(given_bars, name)[row]
            assert float(getattr(closed, name)) == value
            assert Decimal(getattr(now, name)) == Decimal(repr(value))
        assert all(each.quantity >= 0 for each in walk)


def market_of(**changes: Any) -> Market:
    symbols = [SymbolConfig(base="BTC", synthetic=Synthetic(count=20)), SymbolConfig(base="ETH")]
    config = VenueConfig(**{"symbols": symbols, "paused": True, "history": 5, **changes})
    return Market(config, MatchingEngine(config.symbols, config.balances))


def test_the_same_seed_gives_the_same_market() -> None:
    def played(seed: int) -> list[Any]:
        market = market_of(seed=seed)
        market.step(3)
        return [list(market.trades[symbol]) for symbol in market.prices]

    assert played(1) == played(1) != played(2)


def test_paused_time_moves_with_the_steps_and_runs_on() -> None:
    market = market_of()
    market.step(2, ticks=1)
    assert market.clock.market_ns() == market.origin_ns + 2 * HOUR
    market.clock.run()
    assert 0 <= market.clock.market_ns() - market.origin_ns - 2 * HOUR < 3 * HOUR
    market.clock.pause()
    assert market.clock.market_ns() == market.clock.market_ns()


def test_the_last_price_stays_when_the_prices_end() -> None:
    market = market_of(symbols=[SymbolConfig(base="BTC", synthetic=Synthetic(count=8))])
    market.step(100)
    assert (market.ended, market.bar) == (True, 3)
    prices = market.prices["BTCUSDT"]
    assert float(prices.last) == prices.bars.close[-1]
    assert len(market.klines("BTCUSDT", None, None, 500)) == 8


def test_a_gap_in_the_bars_has_no_kline() -> None:
    one = [1.0] * 4
    hours = [0, HOUR, 3 * HOUR, 4 * HOUR]
    gapped = Bars(open_ns=hours, open=one, high=one, low=one, close=one, volume=one)
    market = market_of(symbols=[SymbolConfig(base="BTC", bars=gapped)], history=1)
    market.step(4)
    rows = market.klines("BTCUSDT", None, None, 500)
    assert [row[0] for row in rows] == [at // 10**6 for at in hours]


@pytest.mark.parametrize(
    ("open_ns", "close", "says"),
    [
        ([0, HOUR], [1.0], "one length"),
        ([0, HOUR // 2], [1.0, 1.0], "grid"),
        ([], [], "one bar"),
        ([0], [float("nan")], "no bar is made of"),
        ([0], [-1.0], "no bar is made of"),
    ],
)
def test_unfit_bars_are_refused(open_ns: list[int], close: list[float], says: str) -> None:
    unfit = Bars(open_ns=open_ns, open=close, high=close, low=close, close=close, volume=close)
    with pytest.raises(InputError, match=says):
        load_bars(SymbolConfig(base="BTC", bars=unfit), 0, HOUR)


def test_a_length_without_a_word_and_too_much_history_are_refused() -> None:
    with pytest.raises(InputError, match="no bars of 7 s"):
        market_of(bar_ns=7 * 10**9)
    with pytest.raises(InputError, match="leave none to play"):
        market_of(history=1000)
