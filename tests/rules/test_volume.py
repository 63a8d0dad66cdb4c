"""What the volume of a bar leaves of takes, targets, resting adds and levels of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from septet._kernel import layout
from septet._kernel.layout import GRID_BOUGHT, GRID_ENTRY
from septet._rules import fills, grid, orders, steps, stops
from septet._rules import takes as take_rules
from septet._rules.records import RungColumns
from septet._rules.run_state import Run
from septet._rules.settings import R_ADD, R_CASH, R_EXIT, R_UNFILLED
from tests.rules.small_run import Fixed, bar, set_to, status
from tests.rules.test_grid import MINUTE, ONE, laid, level
from tests.rules.test_position_steps import READ, SENT, UNITS, Rung, Take, enter, run_with_room

FILLED, EXPIRED = layout.STATUS_FILLED, layout.STATUS_EXPIRED
CANCELLED = layout.STATUS_CANCELLED
STEPS: dict[str, Any] = {
    "STEPS": True, "TRACKS_POSITION": True, "PARTICIPATION": True, "VOLUME_SHARE": 0.04,
}  # fmt: skip
"""Bars have a volume of 100, so that four units fill in each."""


@dataclass(frozen=True)
class PartTake(Take):
    """A take with the column of its unfilled rest."""

    rest: int = READ


@dataclass(frozen=True)
class PartRung(Rung):
    """A resting add with the column of what it has filled."""

    filled: int = SENT


def fills_of(run: Run) -> list[tuple[float, float]]:
    """Return units and price of each fill, the entry left out."""
    log = zip(run.LI, run.LF, strict=True)
    return [(f[0], f[1]) for n, f in log if n[0] == layout.FILL][1:]


def test_the_volume_of_a_bar_is_used_up_whoever_fills_first() -> None:
    run = run_with_room()
    with set_to(**STEPS):
        enter(run)
        assert fills.share_of_volume(0, 1, -10.0, run) == -4.0
        assert run.volume_used[0] == 0.0, "looking uses nothing"
        assert fills.use_volume(0, 1, -3.0, run) == -3.0
        assert (run.volume_used[0], stops.volume_left(0, 1, run)) == (3.0, 1.0)
        assert fills.use_volume(0, 1, 10.0, run) == 1.0
        assert stops.volume_left(0, 1, run) == 0.0


def test_the_rest_of_a_take_fills_at_its_level_in_later_bars() -> None:
    run = run_with_room()
    takes = (PartTake(0, 0.7, 104.0, moves_stop=True),)
    with set_to(**STEPS, TAKES_AT=takes):
        enter(run)
        take_rules.fill_takes(0, 1, 105.0, 60, 0, run)
        assert (fills_of(run), run.B[0, READ], run.break_even[0]) == ([(-4.0, 104.0)], 3.0, 1)
        take_rules.fill_takes(0, 1, 105.0, 60, 0, run)
        assert len(fills_of(run)) == 1, "no volume is left"
        run.volume_used[0] = 0.0
        bar(run, 2, 106.0, 107.0, 105.0, 106.0)
        take_rules.fill_takes(0, 2, 106.0, 120, 1, run)
        assert fills_of(run) == [(-4.0, 104.0), (-3.0, 106.0)], "an open beyond it is its price"
        run.volume_used[0] = 0.0
        take_rules.fill_takes(0, 3, 107.0, 180, 0, run)
        assert run.units[0] == 3.0, "each take happens once"


def test_a_target_closes_what_the_volume_allows_and_the_exit_it_replaced_goes_on() -> None:
    run = run_with_room()
    with set_to(**STEPS, TARGETS=(Fixed(104.0, 31),)):
        enter(run)
        orders.send_exit(0, R_EXIT, 60, run)
        run.active_ns[0] = 60
        take_rules.fill_takes(0, 1, 105.0, 70, 0, run)
        assert fills_of(run) == [(-4.0, 104.0)]
        assert (CANCELLED, 31) in status(run)
        assert (run.order_units[0], run.order_reason[0], run.active_ns[0]) == (-6.0, R_EXIT, 60)


def test_a_target_too_small_to_be_sold_waits() -> None:
    run = run_with_room()
    run.min_notional[0] = 2_000.0
    with set_to(**STEPS, TARGETS=(Fixed(104.0, 31),)):
        enter(run)
        take_rules.target_at_level(0, 1, 104.0, 31, 0, 60, run)
    assert (fills_of(run), run.exit_to_retry[0]) == ([], 32)


@pytest.mark.parametrize(
    ("at", "price", "rest"),
    [(-0.02, 97.0, 6.0), (0.02, 103.0, 0.0)],
    ids=["a limit keeps resting", "a stop expires"],
)
def test_a_resting_add_fills_at_an_open_as_far_as_the_volume_goes(
    at: float, price: float, rest: float
) -> None:
    run = run_with_room()
    run.arrays["A"] = np.concatenate([run.A, np.zeros(8)])
    with set_to(**STEPS, RUNGS=(PartRung(0, at),), NOTIONAL_SLOT=34):
        enter(run)
        steps.place_late_ladder(0, 1, 1, 60, run)
        assert (run.ladder[0], run.B[0, UNITS]) == (1, 10.0)
        steps.place_late_ladder(0, 1, 1, 60, run)
        assert len([n for n in run.LI if n[0] == layout.ORDER]) == 1, "it is placed once"
        run.ladder[0] = 2
        bar(run, 2, price, price, price, price)
        steps.rungs_meet_open(0, 2, 120, run)
        assert fills_of(run) == [(4.0, price)]
        assert (run.B[0, UNITS], run.adds[0]) == (rest, 1)
        assert status(run) == ([] if rest else [(EXPIRED, R_UNFILLED)])
        if rest:
            run.volume_used[0] = 0.0
            steps.rungs_meet_open(0, 2, 120, run)
            run.volume_used[0] = 0.0
            steps.rungs_meet_open(0, 2, 120, run)
            assert (status(run), run.adds[0]) == ([(FILLED, R_ADD)], 1)


def test_an_add_that_cash_does_not_cover_is_cancelled() -> None:
    run = run_with_room()
    rung = PartRung(0, -0.02)
    with set_to(**STEPS, RUNGS=(rung,)):
        enter(run)
        run.B[0, rung.units], run.B[0, rung.price] = 5.0, 98.0
        run.ladder[0], run.cash = 2, 250.0
        steps.fill_part_of_rung(
            0,
            2,
            RungColumns(units=rung.units, price=rung.price, order=rung.order, filled=rung.filled),
            98.0,
            1,
            120,
            0,
            run,
        )
    assert fills_of(run) == [(2.0, 98.0)]
    assert (run.B[0, UNITS], status(run)) == (0.0, [(CANCELLED, R_CASH)])


def test_of_several_adds_the_first_that_was_placed_fills_first() -> None:
    run = run_with_room()
    near, far = PartRung(0, -0.02), PartRung(1, -0.04, price=READ, units=READ + 1, order=SENT + 1)
    with set_to(**STEPS, RUNGS=(near, far)):
        enter(run)
        for rung, order in ((near, 7.0), (far, 5.0)):
            run.B[0, rung.units], run.B[0, rung.order] = 3.0, order
            run.B[0, rung.price] = rung.level(0, 1.0, 100.0, run)
        run.ladder[0] = 2
        bar(run, 2, 95.0, 95.0, 95.0, 95.0)
        steps.fill_rungs_at_open(0, 2, 120, run)
        assert fills_of(run) == [(3.0, 95.0), (1.0, 95.0)]
        assert (run.B[0, near.units], run.B[0, far.units]) == (2.0, 0.0)


@pytest.mark.parametrize(
    ("cash", "filled", "ended"),
    [(1_000.0, 4.0, (EXPIRED, R_UNFILLED)), (200.0, 2.0, (CANCELLED, R_CASH))],
    ids=["volume", "cash"],
)
def test_an_entry_of_a_grid_fills_as_far_as_volume_and_cash_allow(
    cash: float, filled: float, ended: tuple[int, int]
) -> None:
    run = laid(ONE)
    run.cash = cash
    at = layout.B_SLOTS
    with set_to(**ONE, PARTICIPATION=True, VOLUME_SHARE=0.04):
        run.volume_used[0] = 4.0
        grid.fill_part_of_grid_entry(0, 1, at, 90.0, 1, MINUTE, 0, run)
        assert level(run, 0, GRID_ENTRY) == 5.0, "without volume it keeps resting"
        run.volume_used[0] = 0.0
        grid.fill_part_of_grid_entry(0, 1, at, 90.0, 1, MINUTE, 0, run)
    assert (run.units[0], level(run, 0, GRID_BOUGHT)) == (filled, filled)
    assert (level(run, 0, GRID_ENTRY), status(run)[0]) == (0.0, ended)
