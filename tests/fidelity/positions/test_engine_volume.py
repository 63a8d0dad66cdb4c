"""The engine against the reference where a share of each bar's volume caps what fills in it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from septet._kernel import layout
from septet.errors import ConfigError
from tests.core.paths import by_batch, by_events, plainly
from tests.core.table_comparison import assert_same
from tests.core.world import session_of_text
from tests.fidelity.positions import draws
from tests.fidelity.positions.cases import LONG_ONLY, market
from tests.fidelity.positions.exact import exact
from tests.fidelity.positions.in_engine import (
    assert_same_by_events,
    assert_same_run,
    bars_of,
    file_of,
    series_of,
    session_for,
)
from tests.fidelity.positions.properties import OF_EVERY_RUN
from tests.fidelity.positions.settings import (
    Add,
    Costs,
    Grid,
    Instrument,
    Limits,
    Position,
    Sizing,
    Stops,
    Strategy,
    Take,
    Trailing,
)
from tests.fidelity.positions.simulator import simulate
from tests.fidelity.positions.test_engine_steps import SHAPES, buyers, grids, market_of, served
from tests.scale import SOAK, examples

SHARES = st.sampled_from([0.02, 0.1, 0.5])


def assert_shared(s: Strategy, seed: int, share: float) -> None:
    """Check batch, event and reference of one strategy on a market with little volume."""
    s = replace(s, costs=replace(s.costs, participation=share))
    market = draws.thin(market_of(seed), seed)
    out = simulate(s, market)
    for holds in OF_EVERY_RUN:
        holds(s, market, out)
    try:
        left = assert_same_run(s, market, out)
    except ConfigError:  # R, or a size by risk, without a stop from the first fill on
        reject()
    assert_same_by_events(left)


@given(st.data(), draws.SEEDS, SHARES)
@settings(max_examples=examples(36))
def test_steps_share_the_volume_of_a_bar(data: st.DataObject, seed: int, share: float) -> None:
    assert_shared(served(data.draw(draws.steps())), seed, share)


@given(buyers(), draws.SEEDS, SHARES)
@settings(max_examples=examples(20))
def test_regular_buys_share_the_volume_of_a_bar(s: Strategy, seed: int, share: float) -> None:
    assert_shared(s, seed, share)


@given(grids(), draws.SEEDS, SHARES)
@settings(max_examples=examples(24))
def test_grids_share_the_volume_of_a_bar(s: Strategy, seed: int, share: float) -> None:
    assert_shared(s, seed, share)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [1, 3, 5, 6])
def test_shapes_of_traders_share_the_volume_of_a_bar(shape: str, seed: int, share: float) -> None:
    assert_shared(SHAPES[shape], seed, share)


REMAINDERS = {
    "one side": Strategy(
        signal=Grid("close", 0.01, 3, 0.08), reentry="immediate", costs=Costs(0.0002, 0.001),
        instrument=Instrument(lot=1.0, tick=0.5, min_notional=600.0), stops=Stops(stop_loss="4%"),
    ),
    "both sides, takes": Strategy(
        account="perpetual", signal=Grid("close + 1", 0.02, 2, 0.1, short=True),
        reentry="immediate", instrument=Instrument(lot=1.0, min_notional=700.0),
        stops=Stops(stop_loss="5%", trailing=Trailing("3%"), take_profit="6%"),
        position=Position(take=(Take(0.5, at="2%"),)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", REMAINDERS)
@pytest.mark.parametrize("seed", [1, 3, 4, 6, 8, 9])
def test_what_is_too_small_to_be_sold_stops_no_grid(shape: str, seed: int) -> None:
    """The volume leaves parts of levels that are worth less than the venue takes."""
    s = replace(REMAINDERS[shape], costs=replace(REMAINDERS[shape].costs, participation=0.1))
    out = simulate(s, draws.thin(market_of(seed), seed))
    waited = [each.time_ns for each in out.findings if each.what == "too_small"]
    assert waited, "nothing was too small"
    assert any(each.time_ns > waited[0] for each in out.fills), "it traded no more"
    assert_shared(REMAINDERS[shape], seed, 0.1)


@pytest.mark.skipif(not SOAK, reason="compiles a plan of a minute: make soak does")
@pytest.mark.compiled
def test_a_compiled_grid_shares_the_volume_of_a_bar_as_plain_text_does() -> None:
    """Both sides, a stop, a limit and two shares of the volume: one module, one answer a path."""
    grid = Grid("close", 0.01, 4, 0.08, short=True)
    s = Strategy(
        account="perpetual", signal=grid, reentry="immediate", limits=Limits(0.3, 0.6),
        costs=Costs(0.0002, 0.001, 0.0005), stops=Stops(stop_loss="6%"),
    )  # fmt: skip
    for share, seed in ((0.02, 1), (0.1, 3), (0.5, 6)):
        shared = replace(s, costs=replace(s.costs, participation=share))
        market = draws.thin(market_of(seed), seed)
        assert len(simulate(shared, market).fills) > 4, "nothing happened"
        plain = assert_same_run(shared, market, simulate(shared, market))
        assert_same(plain, by_batch(session_for(shared, market)))
        assert_same(plain, by_events(session_for(shared, market), 20))


@pytest.mark.parametrize(("at", "opened"), [("-0.8%", 98.0), ("0.8%", 102.0)])
def test_an_add_whose_price_has_passed_when_it_is_placed_fills_at_that_open(
    at: str, opened: float
) -> None:
    """The first order ends at an open that lies beyond its level: it takes liquidity there."""
    rows = [(100.0,), (100.0,), (opened, opened + 0.1, opened - 0.1, opened), (opened,)]
    made = market({"A": rows}, {"side": {"A": [1.0, math.nan, math.nan, math.nan]}})
    volumes = [99, 8, 99, 99]
    bars = [replace(bar, volume=exact(v)) for bar, v in zip(made.bars["A"], volumes, strict=True)]
    made = replace(made, bars={"A": bars})
    s = Strategy(
        signal=LONG_ONLY, sizing=Sizing("fixed_quantity", 10), instrument=Instrument(lot=1.0),
        costs=Costs(taker=0.001, participation=0.5), position=Position(add=(Add(0.5, at=(at,)),)),
    )  # fmt: skip
    text = file_of(s, made).replace("participation:", "time_in_force: 2 bars, participation:")
    session = session_of_text(text, [bars_of(made, "A")], 0, series_of(made))
    left = by_batch(plainly(session))
    scale = left.outcome.state.B[0, layout.SCALE]
    found = [
        (real[0] / scale, real[1], real[2])
        for whole, real in zip(left.outcome.LI.tolist(), left.outcome.LF.tolist(), strict=True)
        if whole[0] == layout.FILL
    ]
    assert [each[:2] for each in found] == [(4.0, 100.0), (6.0, opened), (5.0, opened)]
    assert found[2][2] == pytest.approx(5.0 * opened * 0.001)
