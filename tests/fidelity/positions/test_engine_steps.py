"""The engine against the reference: one position in steps, on drawn markets.

Both engines of septet are held to it, so the two of them are compared as well. Latency is in
`test_latency.py`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from septet._core.events import Command, NewOrder, OrderEnded
from septet._shell.event_backtest import decision_times, make_engine
from septet.errors import ConfigError
from tests.core.paths import plainly
from tests.fidelity.positions import draws
from tests.fidelity.positions.in_engine import (
    assert_same_by_events,
    assert_same_run,
    session_for,
)
from tests.fidelity.positions.market import Market
from tests.fidelity.positions.settings import (
    Add,
    BuyEvery,
    Costs,
    Grid,
    Instrument,
    Limits,
    Position,
    Sides,
    Signal,
    Sizing,
    Stops,
    Strategy,
    Take,
    Trailing,
)
from tests.fidelity.positions.simulator import simulate
from tests.scale import examples


def market_of(seed: int) -> Market:
    """Return one symbol or three, most with holes."""
    market = draws.market_of(seed, 1 if seed % 3 == 0 else 3, 40, 0.05 if seed % 5 else 0.0)
    return replace(market, late=frozenset())


def served(s: Strategy) -> Strategy:
    """Return what of a drawn strategy the engine reports in the same terms."""
    assume(isinstance(s.signal, Signal))
    assert isinstance(s.signal, Signal)
    return replace(
        s, intrabar=False, costs=replace(s.costs, latency_ns=0),
        position=replace(s.position, buy_every=None),
    )  # fmt: skip


@given(st.data(), draws.SEEDS)
@settings(max_examples=examples(24))
def test_steps_fill_as_in_the_reference_on_both_paths(data: st.DataObject, seed: int) -> None:
    s, market = served(data.draw(draws.steps())), market_of(seed)
    try:
        left = assert_same_run(s, market, simulate(s, market))
    except ConfigError:  # R, or a size by risk, without a stop from the first fill on
        reject()
    assert_same_by_events(left)


@st.composite
def buyers(draw: st.DrawFn) -> Strategy:
    """Draw regular buys, with takes, stops, limits, halts and hours."""
    s = draw(draws.steps())
    every = draw(st.sampled_from(["1 bar", "3 bars", "5h", "1d at 07:00", "0 */4 * * *"]))
    amount = draw(st.sampled_from([150.0, 700.0, 2_500.0]))
    return replace(
        s, signal=None, sizing=None, intrabar=False, costs=replace(s.costs, latency_ns=0),
        position=Position(take=s.position.take, buy_every=BuyEvery(every, amount)),
        reentry="immediate",
    )  # fmt: skip


@given(buyers(), draws.SEEDS)
@settings(max_examples=examples(24))
def test_regular_buys_fill_as_in_the_reference_on_both_paths(s: Strategy, seed: int) -> None:
    market = market_of(seed)
    try:
        left = assert_same_run(s, market, simulate(s, market))
    except ConfigError:  # R without a stop from the first fill on
        reject()
    assert_same_by_events(left)


SIDED = st.sampled_from([None, Sides("close - 4", "close + 5"), Sides(short="close * 1.04")])


@st.composite
def grids(draw: st.DrawFn) -> Strategy:
    """Draw grids of one or both sides, with takes, stops, limits, halts and hours."""
    s = draw(draws.steps())
    short = s.account == "perpetual" and draw(st.booleans())
    grid = Grid(
        draw(st.sampled_from(["close", "close + 1", "close * 1.003"])),
        draw(st.sampled_from([0.004, 0.01, 0.03])), draw(st.integers(1, 5)),
        draw(st.sampled_from([0.03, 0.08, 0.3])), short,
    )  # fmt: skip
    return replace(
        s, signal=grid, sizing=None, intrabar=False, costs=replace(s.costs, latency_ns=0),
        position=Position(take=s.position.take), reentry="immediate",
        stops=replace(s.stops, level=draw(SIDED)) if short else s.stops,
    )  # fmt: skip


@given(grids(), draws.SEEDS)
@settings(max_examples=examples(24))
def test_a_grid_fills_as_in_the_reference_on_both_paths(s: Strategy, seed: int) -> None:
    market = market_of(seed)
    try:
        left = assert_same_run(s, market, simulate(s, market))
    except ConfigError:  # R without a stop from the first fill on
        reject()
    assert_same_by_events(left)


LONG = Signal("side > 0", None, "side == 0", min_interval=2)
SHAPES = {
    "pyramid": Strategy(
        signal=LONG, sizing=Sizing("fixed_risk", 0.01), costs=Costs(0.0002, 0.001, 0.0005),
        stops=Stops(stop_loss="3 * atr", trailing=Trailing("1.5 * atr", "1R"), take_profit="6R"),
        position=Position(
            add=(Add(0.5, when="close > last_price + 1", times=2, min_interval=2),),
            take=(Take(0.5, at="2R", then_stop="break_even"), Take(0.25, when="bars_held > 4")),
        ),
        limits=Limits(0.6, 0.9),
    ),
    "moves to break-even": Strategy(
        signal=LONG, sizing=Sizing("fixed_risk", 0.01), costs=Costs(0.0002, 0.001, 0.0005),
        stops=Stops(stop_loss="3 * atr", break_even="1R", take_profit="4R"),
        position=Position(add=(Add(0.5, when="close > last_price + 1", times=2),)),
        limits=Limits(0.6, 0.9),
    ),
    "averages down": Strategy(
        account="perpetual", signal=replace(LONG, short_if="side < 0", opposite=False),
        sizing=Sizing("fixed_fraction", 0.1), stops=Stops(stop_loss="8%", level="floor"),
        position=Position(add=(Add(1.0, at=("-2%", "-4%", "1R")),), take=(Take(1.0, at="1.5%"),)),
        instrument=Instrument(lot=1.0, tick=0.5, min_notional=150.0), reentry=2,
    ),
    "few units at a time": Strategy(
        account="perpetual", signal=replace(LONG, short_if="side < 0", opposite=False),
        sizing=Sizing("fixed_fraction", 0.1), stops=Stops(stop_loss="8%", level="floor"),
        position=Position(add=(Add(0.5, at=("-2%", "6%")),), take=(Take(0.3, at="1.5%"),)),
        instrument=Instrument(lot=1.0, tick=0.5, min_quantity=4.0), reentry=2,
    ),
    "turns around": Strategy(
        account="perpetual", signal=Signal("side > 0", "side < 0"), costs=Costs(0.0002, 0.001),
        sizing=Sizing("fixed_fraction", 0.25), stops=Stops(stop_loss="8%", take_profit="12%"),
        position=Position(add=(Add(0.5, at=("-3%", "6%")),), take=(Take(0.5, at="3%"),)),
        limits=Limits(0.3, 0.8),
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [1, 3, 5, 6])
def test_shapes_of_traders_fill_as_in_the_reference(shape: str, seed: int) -> None:
    s, market = SHAPES[shape], market_of(seed)
    out = simulate(s, market)
    assert len(out.fills) > 4, "a market on which nothing happens shows nothing"
    assert any(each.exit_reason == "reversal" for each in out.trades) == (shape == "turns around")
    assert_same_run(s, market, out)


@pytest.mark.parametrize("shape", ["pyramid", "averages down"])
def test_an_order_states_whether_it_reduces_and_a_person_ends_what_rests(shape: str) -> None:
    session = plainly(session_for(SHAPES[shape], market_of(5)))
    names = session.plan.assembly.reasons
    engine = make_engine(session, None, spare=20)
    placed, halted = list[NewOrder](), list[Command]()
    with np.errstate(all="ignore"):
        for event in decision_times(session, 0):
            found = engine.handle(event)
            new = [each for each in found if isinstance(each, NewOrder)]
            ended = {each.order for each in found if isinstance(each, OrderEnded)}
            placed += new
            resting = [e for e in new if names[e.reason] == "add" and e.order not in ended]
            if resting and shape != "pyramid":
                halted = engine.halt(event.time_ns, flatten=False)
                break
    kinds = {(names[each.reason], each.reduces) for each in placed}
    assert ("add", False) in kinds
    assert ("add", True) not in kinds
    assert {reduces for reason, reduces in kinds if reason not in ("entry", "add")} <= {True}
    if shape != "pyramid":
        stopped = [each for each in halted if isinstance(each, OrderEnded)]
        assert {each.order for each in stopped} >= {each.order for each in resting}
        assert {names[each.reason] for each in stopped} == {"operator"}


WORDS = {
    "position": "position < 0 and side > 0",
    "entry_price": "entry_price > first_price + 0.5 or entry_price < first_price - 0.5",
    "first_price": "close > first_price + 3 or close < first_price - 3",
    "last_price": "close > last_price + 4 or close < last_price - 4",
    "bars_held": "bars_held >= 4",
    "open_return": "open_return < -0.02",
    "best_return": "best_return > 0.04",
    "adds": "adds >= 2",
}


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_the_position_ends_trades_when_the_reference_has_it(word: str) -> None:
    """Rules read the words of both sides, with resting adds that move the average cost."""
    s = Strategy(
        account="perpetual", costs=Costs(0.0002, 0.001, 0.0005),
        signal=Signal("side > 0", "side < 0", exit_if=WORDS[word], opposite=False),
        sizing=Sizing("fixed_fraction", 0.1), reentry="immediate",
        position=Position(
            add=(Add(0.5, when="close > last_price + 1", times=2), Add(1.0, at=("-2%", "1%"))),
        ),
    )  # fmt: skip
    ended = 0
    for seed in (1, 3, 5, 6):
        market = market_of(seed)
        out = simulate(s, market)
        ended += sum(each.exit_reason == "exit" for each in out.trades)
        left = assert_same_run(s, market, out)
        assert_same_by_events(left)
    assert ended > 0, "no trade ended by its word"
