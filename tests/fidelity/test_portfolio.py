"""Portfolios on the engine trade what the independent reference trades, in both paths."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from septet.errors import ConfigError
from tests.core.table_comparison import assert_same
from tests.fidelity.portfolio_engine import Traded, both_paths, traded
from tests.fidelity.positions import draws
from tests.fidelity.positions.cases import market as made_market
from tests.fidelity.positions.market import HOUR, Market
from tests.fidelity.positions.settings import (
    Costs,
    Halt,
    Instrument,
    Limits,
    Portfolio,
    Position,
    Rebalance,
    Stops,
    Strategy,
    Take,
    Trailing,
)
from tests.fidelity.positions.simulator import Result, simulate
from tests.scale import examples

CLOSE = 1e-9 * 10_000.0
"""A share of the capital of the drawn strategies."""
STOPS = st.sampled_from(
    [
        Stops(),
        Stops(),
        Stops(stop_loss="4%"),
        Stops(stop_loss="3 * atr"),
        Stops(trailing=Trailing("3%"), take_profit="6%"),
    ]
)
LIMITS = st.sampled_from(
    [Limits(), Limits(0.5, 0.9), Limits(0.6, 1.0, {"two": (("A", "B"), 0.55)})]
)


@st.composite
def strategies(draw: Any) -> Strategy:
    """Draw a portfolio without what is tested elsewhere: takes, levels in R, finer bars."""
    s = draw(draws.portfolios())
    assert s.portfolio is not None
    portfolio = s.portfolio
    if portfolio.exit_if is not None:
        portfolio = replace(portfolio, exit_if="ok == 0")
    stops = draw(STOPS)
    if stops != Stops():  # where an increase leaves a stop is tested with positions in steps
        rebalance = replace(portfolio.rebalance, drift=0.9, to="target")
        portfolio = replace(portfolio, rebalance=rebalance)
    return replace(
        s, portfolio=portfolio, position=Position(), intrabar=False, stops=stops,
        limits=draw(LIMITS),
    )  # fmt: skip


def _net(fills: Any) -> dict[tuple[int, str], list[float]]:
    """Return signed quantity, notional and fee by instant and symbol."""
    found: dict[tuple[int, str], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for time_ns, symbol, units, price, fee in fills:
        for at, value in enumerate((units, units * price, fee)):
            found[time_ns, symbol][at] += value
    return dict(found)


OF_TARGETS = {
    "drift", "keeps_units", "keeps_weight", "below_rank", "not_ranked", "wrong_sign", "net_target",
}  # fmt: skip
"""Reasons of a change that no one asks for: they follow from the targets, which are compared."""


def _rejections(out: Result) -> dict[tuple[int, str], str]:
    """Return why a change of a rebalance was not sent; without a bar there is no decision.

    What is too small to be closed alone may be closed by the order of the other side.
    """
    sent = {(each.time_ns, each.symbol) for each in out.orders if not each.reduces}
    return {
        (each.time_ns, each.symbol): each.what
        for each in out.findings
        if each.of == "rebalance" and each.symbol and each.what != "no_bar"
        and not each.what.startswith("capped_by") and (each.time_ns, each.symbol) not in sent
    }  # fmt: skip


def _compare(out: Result, made: Traded) -> None:
    assert made.rebalances == [targets.time_ns for targets in out.rebalances]
    theirs = _net([(f.time_ns, f.symbol, float(f.units), float(f.price), float(f.fee))
                   for f in out.fills])  # fmt: skip
    ours = _net(made.fills)
    assert sorted(ours) == sorted(theirs)
    for place, values in theirs.items():
        assert ours[place] == pytest.approx(values, rel=1e-9, abs=CLOSE), place
    assert made.equity == pytest.approx([float(each) for _, each in out.curve], abs=CLOSE)
    trades = [(t.symbol, t.opened_ns, t.closed_ns, float(t.result)) for t in out.trades]
    assert [each[:3] for each in sorted(made.trades)] == [each[:3] for each in sorted(trades)]
    assert [each[3] for each in sorted(made.trades)] == pytest.approx(
        [each[3] for each in sorted(trades)], abs=CLOSE
    )
    asked = {place: why for place, why in made.rejected.items() if why not in OF_TARGETS}
    assert asked == _rejections(out)


def _check(s: Strategy, seed: int, market: Market | None = None) -> None:
    market = market or draws.market_of(seed)
    if s.costs.participation is not None:
        market = draws.thin(market, seed)
    market = Market(market.bar_ns, market.bars, market.features)
    out = simulate(s, market)
    whole, events = both_paths(s, market)
    assert_same(whole, events)
    _compare(out, traded(whole))


@given(strategies(), draws.SEEDS)
@settings(max_examples=examples(36))
def test_the_engine_trades_what_the_reference_trades(s: Strategy, seed: int) -> None:
    _check(s, seed)


@given(strategies(), draws.SEEDS)
@settings(max_examples=examples(20))
def test_symbols_whose_bars_end_are_counted_as_in_the_reference(s: Strategy, seed: int) -> None:
    _check(s, seed, draws.ending(seed))


@st.composite
def forecasters(draw: Any) -> Strategy:
    """Draw a portfolio of forecasts, rebalanced also where half of the members lack a bar."""
    s = draw(strategies())
    assert s.portfolio is not None
    portfolio = replace(
        s.portfolio, use="forecast", rebalance=replace(s.portfolio.rebalance, quorum=0.5)
    )
    return replace(s, portfolio=portfolio)


@given(forecasters(), draws.SEEDS, st.booleans())
@settings(max_examples=examples(20))
def test_forecasts_of_symbols_without_a_bar_at_t_are_in_the_estimate(
    s: Strategy, seed: int, ends: bool
) -> None:
    market = draws.forecast(seed)
    if ends:  # the last bars of one symbol do not come, and at some time it is no member
        gone = 30
        bars = {**market.bars, "B": market.bars["B"][:gone]}
        features = {
            name: {k: v[:gone] if k == "B" else v for k, v in each.items()}
            for name, each in market.features.items()
        }
        market = Market(market.bar_ns, bars, features)
    _check(s, seed, market)


@pytest.mark.parametrize("after", [150.0, 60.0])
@pytest.mark.parametrize("offset", range(3))
def test_without_a_bar_a_held_name_is_not_traded(after: float, offset: int) -> None:
    """It is brought to its weight when a bar has come: its gap is not known before."""
    flat, moved = [(100.0,)] * (4 + offset), [(after,)] * (7 - offset)
    rows = {"A": [*flat, (after,), None, *moved], "B": [(100.0,)] * 13}
    market = made_market(rows, {"x": {"A": [2.0] * 13, "B": [1.0] * 13}})
    every = Rebalance(every="3 bars", quorum=0.5)
    _check(Strategy(portfolio=Portfolio(by="x", long=2, rebalance=every)), 0, market)


@st.composite
def turners(draw: Any) -> Strategy:
    """Draw a portfolio of given weights, of both signs, some too small to be sent."""
    s = draw(strategies())
    assert s.portfolio is not None
    portfolio = replace(s.portfolio, use="weights", net=None)
    least = draw(st.sampled_from([0.0, 150.0, 250.0, 350.0]))
    instrument = Instrument(lot=draw(st.sampled_from([0.01, 1.0])), min_notional=least)
    costs = replace(s.costs, participation=draw(st.sampled_from([None, None, 0.05, 0.5])))
    taken = draw(draws.TAKES) if s.stops == Stops() else ()
    return replace(
        s, account="perpetual", portfolio=portfolio, instrument=instrument, costs=costs,
        position=Position(take=tuple(each for each in taken if each.at != "1R")),
    )  # fmt: skip


@given(turners(), draws.SEEDS)
@settings(max_examples=examples(48))
def test_a_remainder_too_small_to_be_sent_stops_no_change_of_side(s: Strategy, seed: int) -> None:
    _check(s, seed, draws.signed(draws.market_of(seed), seed))


@st.composite
def takers(draw: Any) -> Strategy:
    """Draw a portfolio with takes, stops that are read or follow from R, and words in its exit."""
    s = draw(draws.portfolios())
    taken = draw(draws.TAKES)
    assume(taken)
    return replace(
        s, position=Position(take=taken), intrabar=False, limits=draw(LIMITS),
        halt=draw(st.sampled_from([None, None, Halt(0.05, "flatten", 5)])),
    )  # fmt: skip


@given(takers(), draws.SEEDS)
@settings(max_examples=examples(36))
def test_takes_between_rebalances_fill_as_in_the_reference(s: Strategy, seed: int) -> None:
    try:
        _check(s, seed)
    except ConfigError:  # R without a stop from the first fill on
        reject()


def test_a_take_fills_before_the_reduction_of_the_same_time() -> None:
    """The volume of their first open is enough for a part of one of them."""
    every = Rebalance(every="3 bars", quorum=1.0)
    s = Strategy(
        account="perpetual", costs=Costs(0.001, 0.002, 0.001, HOUR, participation=0.5),
        instrument=Instrument(lot=0.01), position=Position(take=(Take(0.3, when="bars_held > 2"),)),
        portfolio=Portfolio(use="weights", by="x", long=1, short=1, weights="w", rebalance=every),
    )  # fmt: skip
    _check(s, 2_031_886_225)


@given(takers(), draws.SEEDS, st.sampled_from([0.02, 0.1, 0.5]))
@settings(max_examples=examples(24))
def test_rebalances_and_takes_share_the_volume_of_a_bar(
    s: Strategy, seed: int, share: float
) -> None:
    try:
        _check(replace(s, costs=replace(s.costs, participation=share)), seed)
    except ConfigError:  # R without a stop from the first fill on
        reject()
