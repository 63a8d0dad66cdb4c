"""What holds of every run of the reference, as functions of a strategy, a market and its result."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable

from tests.exact_fraction import Fraction
from tests.fidelity.positions.checks import hours_block
from tests.fidelity.positions.exact import ZERO, exact
from tests.fidelity.positions.market import Market
from tests.fidelity.positions.orders import Fill
from tests.fidelity.positions.settings import Strategy
from tests.fidelity.positions.simulator import Result
from tests.fidelity.positions.state import State
from tests.fidelity.positions.trading_hours import is_open

__all__ = ["OF_EVERY_RUN", "OF_PORTFOLIOS", "OF_STEPS"]

EDGE = 1e-9


def trades_explain_equity(s: Strategy, market: Market, out: Result) -> None:
    """Trades, open ones included, sum to final minus initial equity, and to the last fraction."""
    gained = out.curve[-1][1] - out.capital
    assert sum((t.result for t in [*out.trades, *out.open_trades]), ZERO) == gained


def round_trips_explain_trades(s: Strategy, market: Market, out: Result) -> None:
    """Of a symbol that ends flat, round trips sum to its trades."""
    for symbol in set(market.symbols) - {trade.symbol for trade in out.open_trades}:
        trips = sum((t.result for t in out.round_trips if t.symbol == symbol), ZERO)
        assert trips == sum((t.result for t in out.trades if t.symbol == symbol), ZERO)


def fills_lie_in_their_bar(s: Strategy, market: Market, out: Result) -> None:
    """No fill lies outside its bar but by slippage and the tick; a limit fills no worse."""
    slip = exact(s.costs.slippage)
    for fill in out.fills:
        tick = exact(s.instrument_of(fill.symbol).tick)
        assert any(
            bar.low * (1 - slip) - tick <= fill.price <= bar.high * (1 + slip) + tick
            for bar in market.bars[fill.symbol]
            if bar.open_ns <= fill.time_ns <= bar.open_ns + market.bar_ns
        ), fill
        order = out.orders[fill.order]
        if order.kind == "limit" and order.price is not None:
            assert (order.price - fill.price) * fill.units >= 0, fill


def spot_spends_only_its_cash(s: Strategy, market: Market, out: Result) -> None:
    """On spot cash and holdings are never below zero."""
    cash, held = out.capital, defaultdict[str, Fraction](Fraction)
    for fill in out.fills:
        cash -= fill.units * fill.price + fill.fee
        held[fill.symbol] += fill.units
        assert s.account == "perpetual" or min(cash, held[fill.symbol]) >= 0, fill


def fills_never_exceed_orders(s: Strategy, market: Market, out: Result) -> None:
    """What fills is at most what was accepted, once, of the same side; a reversal fills twice."""
    filled = defaultdict[int, list[Fill]](list)
    for fill in out.fills:
        filled[fill.order].append(fill)
        assert fill.units * out.orders[fill.order].units > 0
    for number, fills in filled.items():
        assert sum(abs(fill.units) for fill in fills) <= abs(out.orders[number].asked)
        parts = [fill.reason for fill in fills[:-1]]
        assert s.costs.participation is not None or parts in ([], ["reversal"])


def nothing_increases_outside_hours(s: Strategy, market: Market, out: Result) -> None:
    """An increase at market works from inside the hours, a resting one fills in a bar of them."""
    for fill in out.fills:
        order = out.orders[fill.order]
        if order.reduces:
            continue
        began = (fill.time_ns - 1) // market.bar_ns * market.bar_ns  # of a fill inside a bar
        instants = (order.active_ns,) if order.kind == "market" else (began, fill.time_ns)
        assert any(is_open(s.hours, each) for each in instants), order


def fills_share_the_volume_of_their_bar(s: Strategy, market: Market, out: Result) -> None:
    """What fills in a bar is at most the share of its volume, all orders of a symbol together."""
    if s.costs.participation is None:
        return
    filled = defaultdict[tuple[str, int], Fraction](Fraction)
    for fill in out.fills:
        filled[fill.symbol, fill.bar_ns] += abs(fill.units)
    for symbol in market.symbols:
        for bar in market.bars[symbol]:
            most = exact(s.costs.participation) * bar.volume
            assert filled.pop((symbol, bar.open_ns), ZERO) <= most
    assert not filled


def orders_end_once(s: Strategy, market: Market, out: Result) -> None:
    """What is filled has a fill; reductions are never more than what is held."""
    filled = {fill.order for fill in out.fills}
    for order in out.orders:
        assert (order.status == "filled") <= (order.number in filled), order
        whole = sum((abs(f.units) for f in out.fills if f.order == order.number), ZERO)
        assert (
            order.status != "filled"
            or s.costs.participation is None
            or (whole == abs(order.asked) or order.reduces)
        )
    held = defaultdict[str, Fraction](Fraction)
    for fill in out.fills:
        before = held[fill.symbol]
        held[fill.symbol] += fill.units
        if out.orders[fill.order].reduces:
            assert before * held[fill.symbol] >= 0, fill


def targets_keep_their_bounds(s: Strategy, market: Market, out: Result) -> None:
    """Weights stay within gross and the largest weight, changes within the turnover."""
    portfolio = s.portfolio
    assert portfolio is not None
    most = portfolio.rebalance.max_turnover
    weights: dict[str, float] = {}
    closes: dict[str, float] = {}
    for targets in out.rebalances:
        worth = {n: w * targets.closes[n] / closes[n] for n, w in weights.items() if w}
        whole = 1.0 + sum(worth[n] - weights[n] for n in worth)
        names = {*targets.weights, *worth}
        changes = [targets.weights.get(n, 0.0) - worth.get(n, 0.0) / whole for n in names]
        assert most is None or math.fsum(map(abs, changes)) <= most + EDGE
        if most is None:
            free = [abs(w) for n, w in targets.weights.items() if n not in targets.fixed]
            fixed = math.fsum(abs(targets.weights[n]) for n in targets.fixed)
            kept = any(reason.startswith("kept") for reason in targets.reasons.values())
            own = math.inf if kept or portfolio.use == "forecast" else portfolio.gross
            assert math.fsum(free) <= max(0.0, min(own, s.limits.gross) - fixed) + EDGE
            largest = min(portfolio.max_weight or math.inf, s.limits.position)
            assert max(free, default=0.0) <= largest + EDGE
        weights, closes = targets.weights, targets.closes


def rebalances_are_whole(s: Strategy, market: Market, out: Result) -> None:
    """A rebalance acts where no row is late, enough have a bar, and an increase may fill."""
    portfolio, run = s.portfolio, State(s, market)
    assert portfolio is not None
    times = {targets.time_ns for targets in out.rebalances}
    for time_ns in times:
        present = sum(market.row(n, time_ns) is not None for n in market.symbols)
        members = sum(market.is_member(n, time_ns) for n in market.symbols)
        assert present >= portfolio.rebalance.quorum * members - EDGE
        assert not any((n, time_ns) in market.late for n in market.symbols)
        assert not hours_block(run, time_ns)
    assert {o.time_ns for o in out.orders if o.reason == "rebalance" and not o.reduces} <= times


def _trades(out: Result, symbol: str) -> list[list[Fill]]:
    held, found = ZERO, list[list[Fill]]()
    for fill in out.fills:
        if fill.symbol == symbol:
            if not held:
                found.append([])
            found[-1].append(fill)
            held += fill.units
    return found


def adds_and_takes_keep_their_numbers(s: Strategy, market: Market, out: Result) -> None:
    """Adds at most so often a trade, each resting level once; takes at most 100 %, each once."""
    whole = s.costs.participation is not None  # a level fills in parts
    for symbol in market.symbols:
        for fills in _trades(out, symbol):
            tags = Counter(out.orders[fill.order].tag for fill in fills)
            for index, add in enumerate(s.position.add):
                places = [tag[2] for tag in tags.elements() if tag[:2] == ("add", index)]
                assert whole or len(places) <= (len(add.at) or add.times)
                assert not add.at or whole or len(set(places)) == len(places)
            entered = taken = ZERO
            for fill in fills:
                entered += abs(fill.units) if fill.units * fills[0].units > 0 else ZERO
                taken += abs(fill.units) if fill.reason == "take" else ZERO
                assert taken <= entered
            each_once = all(tags["take", i, 0] <= 1 for i in range(len(s.position.take)))
            assert whole or each_once


Property = Callable[[Strategy, Market, Result], None]
OF_EVERY_RUN: tuple[Property, ...] = (
    trades_explain_equity, round_trips_explain_trades, fills_lie_in_their_bar,
    spot_spends_only_its_cash, fills_never_exceed_orders,
    fills_share_the_volume_of_their_bar, nothing_increases_outside_hours,
    orders_end_once, adds_and_takes_keep_their_numbers,
)  # fmt: skip
OF_STEPS = OF_EVERY_RUN
OF_PORTFOLIOS: tuple[Property, ...] = (
    *OF_EVERY_RUN, targets_keep_their_bounds, rebalances_are_whole,
)  # fmt: skip
