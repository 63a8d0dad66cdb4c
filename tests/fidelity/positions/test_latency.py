"""Orders that work from T + latency, and what happens before they fill: reference and engine.

Takes and adds that are in flight while the position shrinks, turns or is closed; regular buys and
grids that wait for their open; hours that end meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from septet.errors import ConfigError
from tests.fidelity.positions import draws
from tests.fidelity.positions.cases import LETTERS, LONG_ONLY, RULES, fills, market, what
from tests.fidelity.positions.in_engine import assert_same_by_events, assert_same_run
from tests.fidelity.positions.market import HOUR, Market
from tests.fidelity.positions.settings import (
    Add,
    BuyEvery,
    Costs,
    Instrument,
    Position,
    Sizing,
    Stops,
    Strategy,
    Take,
    TradingHours,
)
from tests.fidelity.positions.simulator import Result, simulate
from tests.fidelity.positions.test_engine_steps import buyers, grids, market_of, served
from tests.scale import examples

LATE = Costs(latency_ns=HOUR)
FLAT = (100.0,)
TEN = Strategy(
    signal=LONG_ONLY, sizing=Sizing("fixed_quantity", 10), costs=LATE,
    instrument=Instrument(lot=1.0),
)  # fmt: skip


def agreed(s: Strategy, made: Market) -> Result:
    """Run reference, batch and event path; check that they agree, and return the reference's."""
    out = simulate(s, made)
    assert_same_by_events(assert_same_run(s, made, out))
    return out


def ran(s: Strategy, signals: str, rows: list[Any], **features: list[float]) -> Result:
    columns = {"side": {"A": [LETTERS[each] for each in signals]}}
    columns |= {name: {"A": values} for name, values in features.items()}
    return agreed(s, market({"A": rows}, columns))


@given(st.data(), draws.SEEDS, st.integers(1, 2))
@settings(max_examples=examples(30))
def test_steps_with_latency_fill_as_in_the_reference(
    data: st.DataObject, seed: int, bars: int
) -> None:
    s = served(data.draw(draws.steps()))
    try:
        agreed(replace(s, costs=replace(s.costs, latency_ns=bars * HOUR)), market_of(seed))
    except ConfigError:  # R, or a size by risk, without a stop from the first fill on
        reject()


@given(grids(), draws.SEEDS, st.integers(1, 2))
@settings(max_examples=examples(16))
def test_grids_with_latency_fill_as_in_the_reference(s: Strategy, seed: int, bars: int) -> None:
    try:
        agreed(replace(s, costs=replace(s.costs, latency_ns=bars * HOUR)), market_of(seed))
    except ConfigError:  # R without a stop from the first fill on
        reject()


@given(buyers(), draws.SEEDS, st.integers(1, 3))
@settings(max_examples=examples(24))
def test_regular_buys_with_latency_fill_as_in_the_reference(
    s: Strategy, seed: int, bars: int
) -> None:
    try:
        agreed(replace(s, costs=replace(s.costs, latency_ns=bars * HOUR)), market_of(seed))
    except ConfigError:  # R without a stop from the first fill on
        reject()


def test_a_buy_that_is_due_while_another_is_in_flight_is_dropped() -> None:
    """Due at 4 h and 7 h; a missing bar delays the first to 5 h, and it fills at 7 h."""
    rows: list[Any] = [FLAT, FLAT, FLAT, None, FLAT, FLAT, FLAT, FLAT, FLAT]
    s = Strategy(
        position=Position(buy_every=BuyEvery("3 bars", 500.0)), instrument=Instrument(lot=1.0),
        costs=Costs(latency_ns=2 * HOUR), reentry="immediate",
    )  # fmt: skip
    out = ran(s, "-" * 9, rows)
    assert fills(out) == [(7.0, 5.0, 100.0)]
    assert what(out) == [(7.0, "buy_every", "buy_every")]


HALF = Position(take=(Take(0.5, when="ok > 0"),))


def taken(position: Position, signals: str, rows: list[Any], ok: str, **keys: Any) -> Result:
    s = replace(TEN, position=position, **keys)
    return ran(s, signals, rows, ok=[float(each == "1") for each in ok])


def test_a_take_in_flight_sells_the_quantity_of_its_decision() -> None:
    out = taken(HALF, "L------", [FLAT] * 4 + [(101.0,)] * 3, "0001000")
    assert fills(out) == [(2.0, 10.0, 100.0), (5.0, -5.0, 101.0)]


def test_a_take_in_flight_sells_at_most_what_a_level_has_left() -> None:
    """After its decision a take at a level sells what the earlier one leaves."""
    position = Position(take=(Take(0.5, when="ok > 0"), Take(0.5, at="2%")))
    rows = [FLAT] * 4 + [(100.0, 103.0, 100.0, 100.0)] + [FLAT] * 2
    out = taken(position, "L------", rows, "0001000")
    assert fills(out) == [(2.0, 10.0, 100.0), (5.0, -5.0, 102.0), (5.0, -5.0, 100.0)]


def test_a_stop_ends_a_take_in_flight() -> None:
    rows = [FLAT] * 4 + [(100.0, 100.0, 90.0, 100.0)] + [FLAT] * 2
    out = taken(HALF, "L------", rows, "0001000", stops=Stops(stop_loss="5%"))
    assert fills(out) == [(2.0, 10.0, 100.0), (5.0, -10.0, 95.0)]


def test_an_exit_replaces_a_take_in_flight_and_closes_all_at_its_own_time() -> None:
    out = taken(HALF, "L---x---", [FLAT] * 8, "00010000")
    assert fills(out) == [(2.0, 10.0, 100.0), (6.0, -10.0, 100.0)]


def test_a_take_in_flight_that_closes_all_is_not_replaced_by_an_exit() -> None:
    whole = Position(take=(Take(1.0, when="ok > 0"),))
    out = taken(whole, "L---x---", [FLAT] * 8, "00010000")
    assert fills(out) == [(2.0, 10.0, 100.0), (5.0, -10.0, 100.0)]
    assert [each.exit_reason for each in out.trades] == ["take"]


@pytest.mark.parametrize("back", ["L", "-"])
def test_no_take_is_decided_while_a_flip_is_in_flight(back: str) -> None:
    """The flip is decided at 5 h and would fill at 7 h; where the signal returns, nothing sells."""
    s = replace(
        TEN, account="perpetual", signal=RULES, position=HALF, costs=Costs(latency_ns=2 * HOUR)
    )
    ok = [float(each == "1") for each in "0000010000"]
    out = ran(s, f"L---S-{back}---", [FLAT] * 10, ok=ok)
    assert not [each for each in out.orders if each.reason == "take"]
    assert fills(out)[:1] == [(3.0, 10.0, 100.0)]
    assert len(out.fills) == (1 if back == "L" else 3)


def test_an_add_waits_while_another_is_in_flight() -> None:
    s = replace(TEN, position=Position(add=(Add(0.5, when="close > 0", times=9),)))
    out = ran(s, "L" + "-" * 8, [FLAT] * 9)
    assert [each[0] for each in fills(out)] == [2.0, 4.0, 6.0, 8.0]


def test_a_flip_that_is_cancelled_in_flight_restarts_no_interval_of_an_add() -> None:
    """Opposite at 5 h, the old side again at 6 h: the entry of the position is that of 1 h."""
    add = Add(0.5, when="close > 0", min_interval=4)
    s = replace(TEN, account="perpetual", signal=RULES, position=Position(add=(add,)))
    out = ran(s, "L---SL-----", [FLAT] * 11)
    assert fills(out) == [(2.0, 10.0, 100.0), (7.0, 5.0, 100.0)]


def test_nothing_is_added_while_an_exit_waits() -> None:
    """What is left after a take is too small to be sold, and the add would be large enough."""
    position = Position(take=(Take(0.8, at="1%"),), add=(Add(0.9, when="ok > 0"),))
    s = replace(
        TEN, position=position, costs=Costs(), sizing=Sizing("fixed_quantity", 100),
        instrument=Instrument(lot=1.0, min_notional=2_010.0),
    )  # fmt: skip
    rows = [FLAT, FLAT, (100.0, 102.0, 100.0, 100.0), *[FLAT] * 4]
    signals, held = "L--x---", [float(each == "1") for each in "0000100"]
    out = agreed(s, market({"A": rows}, {"side": {"A": [LETTERS[e] for e in signals]},
                                         "ok": {"A": held}}))  # fmt: skip
    assert fills(out)[0][1] == 100.0
    assert not [each for each in out.orders if each.reason == "add"]


def test_resting_adds_follow_the_hours_of_the_newest_decision() -> None:
    """The entry fills at 16:00; the decision of 16:00 would act at 17:00, after the hours."""
    position = Position(add=(Add(1.0, at=("-1%",)),))
    s = replace(TEN, position=position, hours=TradingHours(open="mon-sun 06:00-17:00 UTC"))
    falls = [*[FLAT] * 16, (100.0, 100.0, 95.0, 95.0), (95.0,), (95.0,)]
    assert fills(ran(s, "-" * 14 + "L----", falls)) == [(16.0, 10.0, 100.0)]
    sooner = [*[FLAT] * 15, (100.0, 100.0, 95.0, 95.0), (95.0,), (95.0,), (95.0,)]
    out = ran(s, "-" * 13 + "L-----", sooner)
    assert fills(out) == [(15.0, 10.0, 100.0), (16.0, 10.0, 99.0)]


@pytest.mark.parametrize("price", [128.064, 103.0, 97.3])
def test_of_resting_adds_at_one_distance_the_first_that_is_written_is_placed_first(
    price: float,
) -> None:
    """A share of 4 % and a multiple of R of the same size differ in the last bits alone."""
    position = Position(add=(Add(1.0, at=("-4%",)), Add(1.0, at=("1R",))))
    s = replace(
        TEN, position=position, stops=Stops(stop_loss="4%"), costs=Costs(),
        capital=price * 25.0, instrument=Instrument(),
    )  # fmt: skip
    flat = (price,)
    out = ran(s, "L---", [flat, flat, (price, price * 1.05, price, price), flat])
    assert [each.tag[1] for each in out.orders if each.reason == "add"] == [0]
    assert len(out.fills) == 1
