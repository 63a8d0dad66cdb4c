"""Random small markets and strategies for the properties of the reference."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tests.exact_fraction import Fraction
from tests.fidelity.positions.market import HOUR, START, Bar, Market, bars_of
from tests.fidelity.positions.settings import (
    Add,
    BuyEvery,
    Costs,
    Forecast,
    Grid,
    Halt,
    Instrument,
    Limits,
    Net,
    Portfolio,
    Position,
    Rebalance,
    Sides,
    Signal,
    Sizing,
    Stops,
    Strategy,
    Take,
    TradingHours,
    Trailing,
)

__all__ = ["SEEDS", "TAKES", "ending", "market_of", "portfolios", "signed", "steps", "thin"]

NAN = float("nan")
SEEDS = st.integers(0, 2**32)
"""Seeds of markets: a drawn market itself would be printed whole."""
NAMES = ("A", "B", "C", "D")


def _rows(draw: random.Random, count: int, holes: float) -> list[tuple[float, ...] | None]:
    price, rows = 100.0, list[tuple[float, ...] | None]()
    for number in range(count):
        opened = price + draw.choice((0.0, 0.0, 0.5, -0.5, 4.0, -4.0))
        closed = max(20.0, opened + draw.choice((-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0)))
        high = max(opened, closed) + draw.choice((0.0, 0.5, 1.0, 4.0))
        low = max(10.0, min(opened, closed) - draw.choice((0.0, 0.5, 1.0, 4.0)))
        rows.append((opened, high, low, closed) if number < 3 or draw.random() > holes else None)
        price = closed
    return rows


def _halves(bars: list[Bar], draw: random.Random) -> list[Bar]:
    """Return two finer bars for most bars, the high in one half and the low in the other."""
    found = []
    for bar in bars:
        if draw.random() < 0.2:
            continue
        middle = draw.choice((bar.open, bar.close, bar.high, bar.low))
        first = (bar.high, min(bar.open, middle)), (max(bar.open, middle), bar.low)
        second = (max(bar.close, middle), bar.low), (bar.high, min(bar.close, middle))
        way = draw.random() < 0.5
        for number, (edges, opened, closed) in enumerate(
            ((first[way], bar.open, middle), (second[way], middle, bar.close))
        ):
            found.append(Bar(bar.open_ns + number * HOUR // 2, opened, *edges, closed))
    return found


def market_of(seed: int, symbols: int = 3, count: int = 24, holes: float = 0.05) -> Market:
    """Return rough hourly bars, a share of them missing, and features; `side` is a signal."""
    chance = random.Random(seed)
    names = NAMES[:symbols]
    bars = {name: bars_of(_rows(chance, count, holes), HOUR, START) for name in names}

    def column(values: list[float], holes: float) -> dict[str, list[float]]:
        return {
            name: [NAN if chance.random() < holes else chance.choice(values) for _ in each]
            for name, each in bars.items()
        }

    features = {
        "side": column([1.0, 1.0, 0.0, -1.0], 0.4), "x": column([3.0, 2.0, 1.0, -1.0, -2.0], 0.1),
        "w": column([0.5, 0.3, 0.1, 0.0], 0.1), "vol": column([0.1, 0.2, 0.4], 0.05),
        "beta": column([0.5, 1.0, 1.5], 0.02), "ok": column([1.0, 1.0, 0.0], 0.05),
        "atr": column([1.0, 2.0, 3.0], 0.02), "floor": column([90.0, 95.0, 97.0], 0.1),
        "f": column([1.0, 2.0, -1.0, 0.0], 0.0),
    }  # fmt: skip
    late = frozenset(
        (name, START + chance.randrange(count) * HOUR) for name in names for _ in range(2)
    )
    fine = {name: _halves(each, chance) for name, each in bars.items()}
    return Market(HOUR, bars, features, late, fine, HOUR // 2)


def signed(market: Market, seed: int) -> Market:
    """Return a market whose given weights change sides, by way of small ones and of none."""
    chance = random.Random(seed)
    values = [0.3, 0.3, -0.3, -0.3, 0.04, 0.02, -0.02, -0.04, 0.0, NAN]
    features = dict(market.features)
    features["w"] = {
        name: [chance.choice(values) for _ in each] for name, each in market.bars.items()
    }
    return replace(market, features=features)


def ending(seed: int) -> Market:
    """Return a longer market in which two of four symbols have no bar for some twenty bars.

    One of them for good in most markets; both at once in some.
    """
    chance = random.Random(seed)
    market = market_of(seed, 4, 64)
    bars, features = dict(market.bars), {n: dict(each) for n, each in market.features.items()}
    for name in ("B", "D"):
        first = chance.randrange(5, 30)
        last = first + chance.choice((18, 19, 20, 21, 22, 28, 64))
        gone = range(START + first * HOUR, START + last * HOUR, HOUR)
        keep = [n for n, bar in enumerate(bars[name]) if bar.open_ns not in gone]
        bars[name] = [bars[name][n] for n in keep]
        for columns in features.values():
            columns[name] = [columns[name][n] for n in keep]
    return replace(market, bars=bars, features=features)


def forecast(seed: int) -> Market:
    """Return a longer market with more holes, whose forecasts are known at every bar."""
    market = market_of(seed, 4, 70, holes=0.15)
    chance = random.Random(seed)
    values = {"f": [1.0, 2.0, -1.0, 0.0], "x": [3.0, 1.0, -1.0, -2.0], "vol": [0.1, 0.2, 0.4]}
    features = dict(market.features)
    for name, some in values.items():
        features[name] = {
            symbol: [chance.choice(some) for _ in bars] for symbol, bars in market.bars.items()
        }
    return replace(market, features=features)


def thin(market: Market, seed: int) -> Market:
    """Return a market some of whose bars have little volume, or none."""
    chance = random.Random(seed)
    volumes = [Fraction(each) for each in (0, 7, 40, 150, 400, 5_000)]
    return replace(
        market, bars={
            name: [replace(bar, volume=chance.choice(volumes)) for bar in each]
            for name, each in market.bars.items()
        }
    )  # fmt: skip


COSTS = st.sampled_from([Costs(), Costs(0.0002, 0.001, 0.0005), Costs(0.001, 0.002, 0.001, HOUR)])
INSTRUMENTS = st.sampled_from(
    [
        Instrument(lot=0.01),
        Instrument(lot=1.0, tick=0.5, min_notional=200.0),
        Instrument(tick=0.1),
        Instrument(lot=1.0, min_quantity=2.0),
    ]
)
HOURS = st.sampled_from(
    [
        None,
        TradingHours(open="mon-sun 06:00-17:00 UTC"),
        TradingHours(open="mon 02:00-07:00, mon-tue 12:00-22:00 UTC", flat_at_close=True),
    ]
)
STOPS = st.sampled_from(
    [
        Stops(),
        Stops(stop_loss="3 * atr", take_profit="4R"),
        Stops(stop_loss="4%", level="floor"),
        Stops(level=Sides("floor", None)),
        Stops(stop_loss="2 * atr", trailing=Trailing("1.5 * atr", after="1R")),
        Stops(trailing=Trailing("3%"), take_profit="6%"),
        Stops(stop_loss="2 * atr", break_even="1R"),
        Stops(stop_loss="5%", break_even="1.5%"),
        Stops(break_even="1 * atr", take_profit="5%"),
    ]
)
TAKES: Any = st.lists(
    st.sampled_from(
        [
            Take(0.5, at="1R", then_stop="break_even"),
            Take(0.3, when="bars_held > 2"),
            Take(0.2, at="2%"),
            Take(0.4, when="ok > 0 and open_return > 0"),
        ]
    ),
    max_size=2,
    unique=True,
).map(tuple)
ADDS: Any = st.lists(
    st.sampled_from(
        [
            Add(0.5, when="close > last_price + 1", times=2, min_interval=2),
            Add(1.0, at=("-2%", "-4%")),
            Add(0.5, at=("1R", "3%")),
            Add(0.3, when="ok > 0", times=3),
        ]
    ),
    max_size=2,
    unique=True,
).map(tuple)
REENTRY: Any = st.sampled_from(["rearm", "immediate", 2])


@st.composite
def steps(draw: Any) -> Strategy:
    """Draw a strategy of one position in steps: rules or a grid, adds, takes, regular buys."""
    account = draw(st.sampled_from(["spot", "perpetual"]))
    short = account == "perpetual"
    rules = Signal("side > 0", "side < 0" if short else None, "side == 0", min_interval=2)
    grid = Grid("close + 1", 0.01, 3, 0.08, short)
    signal = draw(st.sampled_from([rules, rules, grid, None]))
    buys = draw(st.sampled_from([None, BuyEvery("5h", 700.0)])) if signal is not grid else None
    position = Position(() if signal is grid else draw(ADDS), draw(TAKES), buys)
    return Strategy(
        account=account, costs=draw(COSTS), instrument=draw(INSTRUMENTS), signal=signal,
        reentry=draw(REENTRY), stops=draw(STOPS), position=position, hours=draw(HOURS),
        sizing=draw(st.sampled_from([Sizing("fixed_fraction", 0.2), Sizing("fixed_risk", 0.01)])),
        limits=draw(st.sampled_from([Limits(), Limits(0.3, 0.8, max_positions=2)])),
        halt=draw(st.sampled_from([None, Halt(0.05, "flatten", 5), Halt(0.05, "block_entries")])),
        intrabar=draw(st.booleans()),
    )  # fmt: skip


@st.composite
def portfolios(
    draw: Any, uses: tuple[str, ...] = ("top", "top", "weights", "forecast")
) -> Strategy:
    """Draw a portfolio: the best by a feature, given weights, or forecasts."""
    account = draw(st.sampled_from(["spot", "perpetual"]))
    short = draw(st.integers(0, 1)) if account == "perpetual" else 0
    rebalance = Rebalance(
        every=draw(st.sampled_from(["1 bars", "3 bars", "4h", "0 */5 * * *"])),
        drift=draw(st.sampled_from([0.0, 0.03])),
        to=draw(st.sampled_from(["target", "edge"])),
        max_turnover=draw(st.sampled_from([None, 0.3])),
        quorum=draw(st.sampled_from([0.6, 1.0])),
    )
    use = draw(st.sampled_from(uses))
    net = st.sampled_from([None, Net(0.0), Net(0.2, "beta")])
    weight: Any = st.sampled_from(["equal", "score", "rank", {"inverse_volatility": "vol"}])
    portfolio = Portfolio(
        use=use, by="x", long=draw(st.integers(1, 2)), short=short,
        hold_rank=draw(st.integers(0, 3)), where=draw(st.sampled_from([None, "ok > 0"])),
        weight=draw(weight), weights="w", gross=draw(st.sampled_from([1.0, 0.8])),
        forecast=Forecast({"f": 0.7, "x": 0.3}, "vol", 0.1, window=5),
        net=draw(net) if short else None, max_weight=draw(st.sampled_from([None, 0.4])),
        exit_if=draw(st.sampled_from([None, "ok == 0 and bars_held > 3"])), rebalance=rebalance,
    )  # fmt: skip
    return Strategy(
        account=account, costs=draw(COSTS), instrument=draw(INSTRUMENTS), portfolio=portfolio,
        reentry=draw(REENTRY), stops=draw(STOPS), position=Position(take=draw(TAKES)),
        hours=draw(HOURS), limits=draw(st.sampled_from([Limits(), Limits(0.5, 0.9)])),
        halt=draw(st.sampled_from([None, Halt(0.05, "flatten", 5)])), intrabar=draw(st.booleans()),
    )  # fmt: skip
