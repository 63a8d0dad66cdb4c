"""The engine against the reference where a share of each bar's volume caps what fills in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from septet.errors import ConfigError
from tests.core.paths import by_events, plainly
from tests.core.table_comparison import assert_same
from tests.fidelity.positions import draws
from tests.fidelity.positions.in_engine import assert_same_run, session_for
from tests.fidelity.positions.properties import OF_EVERY_RUN
from tests.fidelity.positions.settings import Strategy
from tests.fidelity.positions.simulator import simulate
from tests.fidelity.positions.test_engine_steps import SHAPES, buyers, grids, market_of, served
from tests.scale import examples

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
    assert_same(left, by_events(plainly(session_for(s, market)), 20))


@given(st.data(), draws.SEEDS, SHARES)
@settings(max_examples=examples(60))
def test_steps_share_the_volume_of_a_bar(data: st.DataObject, seed: int, share: float) -> None:
    assert_shared(served(data.draw(draws.steps())), seed, share)


@given(buyers(), draws.SEEDS, SHARES)
@settings(max_examples=examples(30))
def test_regular_buys_share_the_volume_of_a_bar(s: Strategy, seed: int, share: float) -> None:
    assert_shared(s, seed, share)


@given(grids(), draws.SEEDS, SHARES)
@settings(max_examples=examples(40))
def test_grids_share_the_volume_of_a_bar(s: Strategy, seed: int, share: float) -> None:
    assert_shared(s, seed, share)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [1, 3, 5, 6])
def test_shapes_of_traders_share_the_volume_of_a_bar(shape: str, seed: int, share: float) -> None:
    assert_shared(SHAPES[shape], seed, share)
