"""Properties of drawn runs of the reference."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fidelity.positions import draws
from tests.fidelity.positions.market import Market
from tests.fidelity.positions.properties import OF_PORTFOLIOS, OF_STEPS
from tests.fidelity.positions.settings import Strategy
from tests.fidelity.positions.simulator import simulate
from tests.fidelity.positions.state import BLOCKING
from tests.scale import examples


@given(draws.steps(), draws.SEEDS)
@settings(max_examples=examples(60))
def test_one_position_in_steps(s: Strategy, seed: int) -> None:
    market = draws.market_of(seed)
    out = simulate(s, market)
    for holds in OF_STEPS:
        holds(s, market, out)


@given(draws.portfolios(), draws.SEEDS)
@settings(max_examples=examples(50))
def test_portfolios(s: Strategy, seed: int) -> None:
    market = draws.market_of(seed, symbols=4)
    out = simulate(s, market)
    for holds in OF_PORTFOLIOS:
        holds(s, market, out)


def head(market: Market, until_ns: int) -> Market:
    """Return the bars and features that are known at a time."""
    count = {
        name: sum(bar.open_ns + market.bar_ns <= until_ns for bar in each)
        for name, each in market.bars.items()
    }
    return replace(
        market,
        bars={name: each[: count[name]] for name, each in market.bars.items()},
        features={
            feature: {name: column[: count[name]] for name, column in columns.items()}
            for feature, columns in market.features.items()
        },
    )


@given(st.one_of(draws.steps(), draws.portfolios()), draws.SEEDS)
@settings(max_examples=examples(20))
def test_same_inputs_same_outputs_and_later_bars_change_nothing_before(
    s: Strategy, seed: int
) -> None:
    market = draws.market_of(seed)
    out = simulate(s, market)
    assert simulate(s, market) == out
    cut = market.times()[len(market.times()) // 2]
    before = simulate(s, head(market, cut))
    assert before.curve == out.curve[: len(before.curve)]
    assert before.fills == out.fills[: len(before.fills)]
    later = out.fills[len(before.fills) :]
    assert all(fill.time_ns >= cut for fill in later)
    assert before.rebalances == [each for each in out.rebalances if each.time_ns <= cut]
    assert before.findings == out.findings[: len(before.findings)]


def test_the_draws_reach_every_kind_of_fill() -> None:
    seen: set[str] = set()

    @given(draws.steps(), draws.SEEDS)
    @settings(max_examples=200, derandomize=True, database=None)
    def look(s: Strategy, seed: int) -> None:
        seen.update(fill.reason for fill in simulate(s, draws.market_of(seed)).fills)

    look()
    assert seen >= BLOCKING - {"daily_loss"} | {
        "entry", "add", "take", "take_profit", "grid", "buy_every", "exit", "opposite",
        "flat_at_close",
    }  # fmt: skip
