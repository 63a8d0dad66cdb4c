"""Rules of positions in steps, called one by one: levels, takes, adds, what a bar does to them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from septet._kernel import layout
from septet._rules import adds, decide, levels, resting, steps
from septet._rules import takes as take_rules
from septet._rules.ledger import book_fill, place_order
from septet._rules.run_state import Run
from septet._rules.settings import R_SIZE
from tests.rules.small_run import Fixed, bar, fill_of, order_of, rows, run_of, set_to, status

READ, FIXED, UNITS, PRICE, ORDER, SENT, SINCE = range(layout.B_SLOTS, layout.B_SLOTS + 7)
LEVEL, STOP_CODE = 35, 30


@dataclass(frozen=True)
class Away:
    """A distance that is read at the entry."""

    value: float
    required: bool = True
    signed: bool = False
    read: int = READ
    fixed: int = FIXED

    def distance(self, k: int, i: int, run: Run) -> float:
        """Return it."""
        return self.value


class StopAway(Fixed):
    """A stop so far away as the fixed distance."""

    def level(self, *given: Any) -> float:
        """Return the price."""
        _, side, average_price, *_, run = given
        return float(average_price - side * run.B[0, FIXED])


class AtPrice(Fixed):
    """A stop that is read at every decision."""

    def __init__(self, price: float) -> None:
        super().__init__(price, LEVEL)
        self.reads = True


@dataclass(frozen=True)
class Take:
    """A take at a price, or by a condition."""

    number: int
    size: float
    price: float = math.nan
    met: float = 0.0
    moves_stop: bool = False

    def level(self, *_: Any) -> float:
        """Return the price."""
        return self.price

    def is_met(self, *_: Any) -> float:
        """Return what the condition is."""
        return self.met


@dataclass(frozen=True)
class Rung:
    """A resting add."""

    number: int
    at: float
    size: float = 1.0
    price: int = PRICE
    units: int = UNITS
    order: int = ORDER

    def level(self, k: int, side: float, first_price: float, run: Run) -> float:
        """Return its price."""
        return first_price * (1.0 + side * self.at)


@dataclass(frozen=True)
class When:
    """An add by a condition that is true."""

    number: int = 0
    size: float = 0.5
    times: int = 2
    min_interval: int = 0
    sent: int = SENT
    since: int = SINCE

    def is_met(self, *_: Any) -> float:
        """Return 1: it is true."""
        return 1.0


def run_with_room(bars: int = 4) -> Run:
    """Return a run whose B has columns for a distance, a resting add and an add."""
    run = run_of(bars)
    run.arrays["B"] = np.concatenate([run.B, np.zeros((1, 7))], axis=1)
    run.stop_price[:] = run.first_price[:] = run.last_price[:] = math.nan
    run.cash = run.equity = 10_000.0
    return run


def enter(run: Run, units: float = 10.0, price: float = 100.0, time_ns: int = 0) -> None:
    """Buy, and begin the steps of the trade, as a fill does."""
    was = run.open_side[0]
    book_fill(0, fill_of(units, price, time_ns=time_ns, reason=layout.ENTRY), 0.0, 0, run)
    if was == 0:
        levels.begin_steps(0, time_ns, run)


def test_a_distance_is_fixed_when_the_trade_begins_and_gives_r() -> None:
    run = run_with_room()
    stop = (StopAway(0.0),)
    with set_to(STEPS=True, TRACKS_POSITION=True, DISTANCES=(Away(6.0),), PROTECTIVE=stop):
        assert levels.read_distances(0, 1, 1.0, 60, run) == 1
        assert levels.distance_to_first_stop(0, 1, 1.0, 60, run) == 6.0
        assert run.B[0, READ] == 6.0, "reading a size changes nothing"
        enter(run)
        assert levels.protective_level(0, 1, 60, run) == (94.0, STOP_CODE)
        assert run.first_risk[0] == 6.0
        assert run.first_price[0] == run.last_price[0] == 100.0
    with set_to(STEPS=True, DISTANCES=(Away(math.nan),)):
        assert levels.read_distances(0, 1, 1.0, 60, run) == 0
    with set_to(STEPS=True, DISTANCES=(Away(-1.0, required=False),)):
        assert levels.read_distances(0, 1, 1.0, 60, run) == 1
        assert math.isnan(run.B[0, READ]), "a distance below zero is none"


def test_a_stop_is_only_tightened() -> None:
    run = run_with_room()
    level = AtPrice(95.0)
    with set_to(STEPS=True, TRACKS_POSITION=True, PROTECTIVE=(level,)):
        levels.read_distances(0, 0, 1.0, 60, run)
        enter(run)
        assert (run.stop_price[0], run.stop_reason[0]) == (95.0, LEVEL)
        for price, expected in ((97.0, 97.0), (90.0, 97.0), (math.nan, 97.0), (98.0, 98.0)):
            level.price = price
            levels.tighten(0, 1, 60, 1, run)
            assert run.stop_price[0] == expected
        level.price = 99.0
        levels.tighten(0, 1, 60, 0, run)
        assert run.stop_price[0] == 98.0, "at an open no level is read"


def test_break_even_earns_the_fees_of_both_ways() -> None:
    run = run_with_room()
    run.tick[0] = 0.5
    with set_to(STEPS=True, TRACKS_POSITION=True, TAKER_FEE=0.01):
        book_fill(0, fill_of(10.0, 100.0, reason=layout.ENTRY), 0.01, 0, run)
        levels.begin_steps(0, 0, run)
        exact = (1_000.0 + 10.0) / (10.0 * 0.99)
        assert levels.break_even_of(0, run) == math.ceil(exact * 2) / 2
        run.break_even[0] = 1
        levels.tighten(0, 0, 60, 0, run)
        assert run.stop_price[0] == 102.5


def test_a_take_makes_up_for_one_that_was_too_small() -> None:
    run = run_with_room()
    run.min_notional[0] = 250.0
    with set_to(STEPS=True, TRACKS_POSITION=True):
        enter(run)
        assert take_rules.units_to_take(0, 0.2, 100.0, run) == 0.0
        assert take_rules.units_to_take(0, 0.2, 100.0, run) == 4.0
        assert take_rules.units_to_take(0, 0.5, 100.0, run) == 10.0, (
            "what is left would be too small"
        )


def test_takes_fill_nearest_first_and_each_once() -> None:
    run = run_with_room()
    takes = (Take(0, 0.5, 104.0, moves_stop=True), Take(1, 0.3, 102.0), Take(2, 0.2, 110.0))
    with set_to(STEPS=True, TRACKS_POSITION=True, TAKES_AT=takes, R_TAKE=24):
        enter(run)
        take_rules.fill_takes(0, 0, 105.0, 60, 0, run)
        fills = [(f[0], f[1]) for n, f in zip(run.LI, run.LF, strict=True) if n[0] == layout.FILL]
        assert fills == [(10.0, 100.0), (-3.0, 102.0), (-5.0, 104.0)]
        assert (run.units[0], run.takes_done[0], run.break_even[0]) == (2.0, 0b11, 1)
        take_rules.fill_takes(0, 0, 105.0, 120, 0, run)
        assert run.units[0] == 2.0


def test_a_take_at_a_close_is_an_order_of_its_own_and_an_exit_cancels_it() -> None:
    run = run_with_room()
    takes = (Take(0, 0.5, met=1.0), Take(1, 0.25, met=1.0))
    with set_to(STEPS=True, TRACKS_POSITION=True, TAKES_WHEN=takes, SENDS_TAKES=True):
        enter(run)
        take_rules.take_at_close(0, 0, 60, run)
        assert (run.take_units[0], run.takes_done[0]) == (-7.0, 0b11)
        assert resting.leaving_units(0, run) == 7.0
        resting.end_take(0, 12, 60, run)
        assert status(run)[-1] == (layout.STATUS_CANCELLED, 12)
        run.takes_done[0], run.taken_share[0] = 0, 0.0
        take_rules.take_at_close(0, 0, 120, run)
        bar(run, 1, 101.0, 102.0, 100.0, 101.0)
        run.open_ns[0, 1] = 180
        take_rules.meet_take(0, 1, run)
        assert (run.units[0], run.take_units[0]) == (3.0, 0.0)


def test_a_resting_add_that_does_not_fit_whole_is_not_placed() -> None:
    for cash, placed in ((2_000.0, True), (900.0, False)):
        run = run_with_room()
        run.arrays["A"] = np.concatenate([run.A, np.zeros(8)])
        run.cash = 1_000.0 + cash
        with set_to(STEPS=True, TRACKS_POSITION=True, RUNGS=(Rung(0, -0.02),), NOTIONAL_SLOT=34):
            enter(run)
            adds.place_ladder(0, 0, 0, 0, run)
            assert (run.B[0, UNITS], run.ladder[0]) == (10.0 if placed else 0.0, 1)
            assert len(rows(run, layout.ORDER)) == int(placed)
            if placed:
                assert resting.rung_worth(0, run) == 980.0
                resting.end_steps(0, 1, 60, run)
                assert run.B[0, UNITS] == 0.0


@pytest.mark.parametrize(("low", "adds_first"), [(97.0, True), (98.5, False)])
def test_a_touched_stop_takes_the_adds_before_it_along(low: float, adds_first: bool) -> None:
    run = run_with_room()
    rung = Rung(0, -0.02)
    with set_to(STEPS=True, TRACKS_POSITION=True, RUNGS=(rung,), PROTECTIVE=(Fixed(97.5),)):
        enter(run)
        run.B[0, UNITS], run.B[0, PRICE], run.ladder[0] = 5.0, 98.0, 2
        bar(run, 1, 100.0, 101.0, low, 100.0)
        steps.meet_levels_within(0, 1, 120, run)
        fills = [(f[0], f[1]) for n, f in zip(run.LI, run.LF, strict=True) if n[0] == layout.FILL]
        assert fills[1:] == ([(5.0, 98.0), (-15.0, 97.5)] if adds_first else [])


def test_an_add_waits_its_interval_and_comes_so_often_as_it_may() -> None:
    run = run_with_room()
    add = When(times=1, min_interval=3)
    with set_to(STEPS=True, TRACKS_POSITION=True, ADDS_WHEN=(add,)):
        enter(run)
        run.B[0, SINCE] = 2.0
        assert adds.find_adds(0, 0, run) == 0
        run.B[0, SINCE] = 3.0
        assert adds.find_adds(0, 0, run) == 1
        run.B[0, SENT], run.B[0, SINCE] = 1.0, 0.0
        assert adds.find_adds(0, 0, run) == 0


def test_two_adds_of_one_close_are_one_order() -> None:
    run = run_with_room()
    run.arrays["A"] = np.concatenate([run.A, np.zeros(8)])
    twice = (When(0), When(1, size=0.3, sent=READ, since=FIXED))
    with set_to(STEPS=True, TRACKS_POSITION=True, ADDS_WHEN=twice, NOTIONAL_SLOT=34):
        enter(run)
        run.target_side[0], run.adds_due[0] = 1.0, 0b11
        adds.enter_adds(0, 0, 0, 60, run)
        assert (run.order_units[0], run.adds_working[0], run.adds_due[0]) == (8.0, 2, 0)
        assert len(rows(run, layout.ORDER)) == 1
        place_order(0, order_of(layout.MARKET, 1.0), 0, 0, 0, 0, run)
        run.blocked = 1
        assert adds.send_add(0, 0, 0, 60, 0.5, run) > 0


@pytest.mark.parametrize(
    ("sizes", "granted"), [((0.0, 0.5), 5.0), ((0.5, 0.0), 5.0), ((0.5,), 5.0)]
)
def test_an_add_that_is_sent_does_not_hide_why_another_was_rejected(
    sizes: tuple[float, ...], granted: float
) -> None:
    run = run_with_room()
    run.arrays["A"] = np.concatenate([run.A, np.zeros(8)])
    places = ((SENT, SINCE), (READ, FIXED))
    given = tuple(
        When(n, size=size, sent=places[n][0], since=places[n][1]) for n, size in enumerate(sizes)
    )
    with set_to(STEPS=True, TRACKS_POSITION=True, ADDS_WHEN=given, NOTIONAL_SLOT=34):
        enter(run)
        run.rejected_code[0, 0] = 99  # why nothing was signalled
        run.target_side[0], run.adds_due[0] = 1.0, 0b11
        adds.enter_adds(0, 0, 0, 60, run)
    assert run.granted[0, 0] == granted
    assert run.rejected_code[0, 0] == (R_SIZE + 1 if 0.0 in sizes else 0)


@pytest.mark.parametrize(
    ("state", "taken", "due"),
    [
        ({}, -5.0, 0b1),
        ({"working": 1, "order_units": 1.0}, -5.0, 0),
        ({"exit_to_retry": 3}, 0.0, 0),
        ({"open_side": 0}, 0.0, 0),
    ],
    ids=["held", "an order works", "an exit waits", "flat"],
)
def test_a_close_sends_takes_and_asks_for_adds(
    state: dict[str, float], taken: float, due: int
) -> None:
    run = run_with_room()
    more = {"TAKES_WHEN": (Take(0, 0.5, met=1.0),), "SENDS_TAKES": True, "ADDS_WHEN": (When(),)}
    with set_to(STEPS=True, TRACKS_POSITION=True, **more):
        enter(run)
        for name, value in state.items():
            getattr(run, name)[0] = value
        decide.decide_steps(0, 1, 120, run)
    assert (run.take_units[0], run.adds_due[0]) == (taken, due)
    assert run.target_side[0] == (1.0 if due else 0.0)


def test_resting_adds_are_placed_nearest_first() -> None:
    """The one in front takes the cash: the farther one does not fit whole any more."""
    run = run_with_room()
    run.arrays["A"] = np.concatenate([run.A, np.zeros(8)])
    run.cash = 1_000.0 + 1_500.0
    far = Rung(0, -0.04, price=READ, units=FIXED, order=SENT)
    with set_to(STEPS=True, TRACKS_POSITION=True, RUNGS=(far, Rung(1, -0.02)), NOTIONAL_SLOT=34):
        enter(run)
        adds.place_ladder(0, 0, 0, 0, run)
    assert (run.B[0, UNITS], run.B[0, FIXED]) == (10.0, 0.0)
    assert len(rows(run, layout.ORDER)) == 1
