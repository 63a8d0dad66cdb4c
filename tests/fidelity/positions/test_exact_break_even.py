"""`break_even` where a price is exactly at its level, or at the profit from which it is active.

In the reference, whose numbers are exact, and in the engine, whose floats may lie beside them.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest

from tests.fidelity.positions.cases import LETTERS, RULES, fills, market
from tests.fidelity.positions.exact import exact
from tests.fidelity.positions.in_engine import assert_same_run
from tests.fidelity.positions.settings import (
    Costs,
    Instrument,
    Position,
    Sizing,
    Stops,
    Strategy,
    Take,
)
from tests.fidelity.positions.simulator import Result, simulate

TICK = exact("0.01")
PRICES = [47.0, 51.0, 57.3, 58.12, 61.0, 99.1]
BY_STOP = {"stops": Stops(stop_loss="10%", break_even="5%")}
BY_TAKE = {"position": Position(take=(Take(size=0.5, at="5%", then_stop="break_even"),))}
Row = tuple[float, float, float, float]


def on_tick(price: Fraction, side: int) -> Fraction:
    """Round a price to the tick: up for a long position, down for a short one."""
    ticks = price / TICK
    return TICK * (math.ceil(ticks) if side > 0 else math.floor(ticks))


def level_of(price: Fraction, side: int, fee: float) -> Fraction:
    """Where what was entered at a price closes at zero after both fees."""
    share = exact(fee)
    return on_tick(price * (1 + side * share) / (1 - side * share), side)


def row(side: int, opened: Fraction, best: Fraction, worst: Fraction, closed: Fraction) -> Row:
    """Return a bar: `best` and `worst` are what its range is for a position."""
    high, low = (best, worst) if side > 0 else (worst, best)
    return float(opened), float(high), float(low), float(closed)


def ran(
    side: int, price: float, fee: float, best: Fraction, worst: Fraction, keys: dict[str, Any]
) -> Result:
    """Enter at a price; the next bar goes up to `best`, and the one after it down to `worst`."""
    entry = exact(price)
    between = on_tick((best + entry) / 2, side)
    rows = [
        row(side, entry, entry, entry, entry), row(side, entry, best, entry, between),
        row(side, between, between, worst, between), row(side, *[between] * 4),
    ]  # fmt: skip
    letters = ("L" if side > 0 else "S") + "---"
    s = Strategy(
        account="perpetual", signal=RULES, sizing=Sizing("fixed_quantity", 10),
        costs=Costs(maker=fee, taker=fee), instrument=Instrument(lot=1.0, tick=0.01), **keys,
    )  # fmt: skip
    bars = market({"A": rows}, {"side": {"A": [LETTERS[each] for each in letters]}})
    out = simulate(s, bars)
    assert_same_run(s, bars, out)
    return out


def profit(price: float, side: int) -> Fraction:
    """Where the position of a price has a return of exactly 5 %."""
    return exact(price) * (1 + side * exact("0.05"))


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("keys", "fee"), [(BY_STOP, 0.0), (BY_TAKE, 0.0), (BY_TAKE, 0.0005), (BY_TAKE, 0.001)]
)
def test_it_acts_at_its_level_and_one_tick_beside_it_does_not(
    side: int, keys: dict[str, Any], fee: float
) -> None:
    """Of a stop with a fee the level itself is not on the tick, and none is exactly there."""
    for price in PRICES:
        best = on_tick(exact(price) * (1 + side * exact("0.06")), side)
        level = level_of(exact(price), side, fee)
        touched = ran(side, price, fee, best, level, keys)
        assert fills(touched)[-1][::2] == (3.0, float(level)), price
        assert [trade.exit_reason for trade in touched.trades] == ["break_even"], price
        assert not ran(side, price, fee, best, level + side * TICK, keys).trades, price


@pytest.mark.parametrize("side", [1, -1])
def test_it_is_active_from_exactly_its_profit(side: int) -> None:
    found = 0
    for price in [each / 10 for each in range(470, 640, 6)]:
        best, level = profit(price, side), exact(price)
        if best != on_tick(best, side):
            continue  # its profit lies between two ticks
        found += 1
        assert len(ran(side, price, 0.0, best, level, BY_STOP).trades) == 1, price
        assert not ran(side, price, 0.0, best - side * TICK, level, BY_STOP).trades, price
    assert found > 10
