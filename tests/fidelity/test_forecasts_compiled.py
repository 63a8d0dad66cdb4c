"""Forecasts with holes, compiled and as plain Python, in both paths: the same to the last bit."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from septet._kernel import layout
from tests.core.paths import by_batch, by_events, plainly
from tests.core.table_comparison import assert_same
from tests.fidelity.portfolio_engine import session_of
from tests.fidelity.positions import draws
from tests.fidelity.positions.market import Market
from tests.fidelity.positions.settings import Forecast, Limits, Portfolio, Rebalance, Strategy
from tests.scale import examples

ODD = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-300, 1e300)
BLENDED = Strategy(
    account="perpetual", leverage=3.0, limits=Limits(2.0, 3.0),
    portfolio=Portfolio(
        use="forecast", rebalance=Rebalance(every="2 bars", quorum=0.5),
        forecast=Forecast(of={"f": 0.7, "x": 0.3}, volatility="vol", target=0.3, window=6),
    ),
)  # fmt: skip


def holed(market: Market, seed: int) -> Market:
    """Return a market of which a few forecasts are missing, infinite, zero or extreme."""
    chance = random.Random(seed)
    share = chance.choice((0.0, 0.01, 0.03))

    def drawn(values: Any) -> list[float]:
        return [
            chance.choice(ODD) if chance.random() < share else value * chance.uniform(0.5, 2.0)
            for value in values
        ]

    return replace(market, features={
        name: {symbol: drawn(values) for symbol, values in each.items()}
        for name, each in market.features.items()
    })  # fmt: skip


@pytest.mark.compiled
@given(draws.SEEDS)
@settings(max_examples=examples(12))
def test_plain_compiled_and_by_events_it_is_the_same(seed: int) -> None:
    market = holed(draws.forecast(seed), seed)
    whole = by_batch(session_of(BLENDED, market))
    assert whole.session.plan.compiled
    plain = by_batch(plainly(session_of(BLENDED, market)))
    assert not plain.session.plan.compiled
    plain.path = "plain Python"
    assert_same(whole, plain)
    assert_same(whole, by_events(session_of(BLENDED, market), 9))
    assert_same(whole, by_events(plainly(session_of(BLENDED, market)), 9))


def test_forecasts_are_traded() -> None:
    """What is compared is not nothing."""
    left = by_batch(plainly(session_of(BLENDED, holed(draws.forecast(5), 5))))
    fills = (left.outcome.LI[:, 0] == layout.FILL).sum()
    assert fills > 20
