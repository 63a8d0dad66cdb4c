"""Rules of a grid called one by one: levels, the exit one level up, both sides, what ends it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from septet._kernel import layout
from septet._kernel.layout import GRID_BOUGHT, GRID_ENTRY, GRID_EXIT, GRID_OUT, GRID_PRICE
from septet._rules import grid, grid_orders, steps
from septet._rules.run_state import Run
from septet._rules.settings import (
    R_GRID,
    R_GRID_EXIT,
    R_GRID_MOVED,
    R_HALTED,
    R_OTHER_SIDE,
    R_POSITION_CLOSED,
)
from tests.rules.small_run import bar, rows, run_of, set_to, status

CANCELLED, FILLED = layout.STATUS_CANCELLED, layout.STATUS_FILLED
MINUTE = 60_000_000_000
ONE = {
    "GRID": True, "STEPS": True, "TRACKS_POSITION": True, "GRID_LEVELS": 2, "GRID_ROWS": 2,
    "GRID_STEP": 0.1, "GRID_SIZE": 0.45,
}  # fmt: skip
BOTH = {**ONE, "GRID_ROWS": 4, "SPOT": False}


def run_with_room(bars: int = 4) -> Run:
    """Return a run whose book has room for four levels; all bars lie at 100."""
    run = run_of(bars)
    run.arrays["B"] = np.hstack([run.arrays["B"], np.zeros((1, 4 * layout.GRID_WIDTH))])
    for i in range(bars):
        bar(run, i, 100.0, 100.0, 100.0, 100.0)
    run.stop_price[0] = np.nan
    run.open_ns[:] = np.arange(bars) * MINUTE
    return run


def laid(settings: dict[str, Any], centre: float = 100.0) -> Run:
    """Return a run whose grid was laid at the close of bar 0."""
    run = run_with_room()
    with set_to(**settings, grid_centre=lambda *_: centre):
        grid.rest_grids(0, MINUTE, run)
    return run


def meet(run: Run, i: int, settings: dict[str, Any], *prices: float) -> None:
    """Let bar i meet what rests."""
    bar(run, i, *prices)
    with set_to(**settings):
        steps.meet_opens_in_steps(i, (i + 1) * MINUTE, 1, run)
        steps.within_in_steps(0, i, i, (i + 1) * MINUTE, run)
    run.began_in_bar[0] = 0


def level(run: Run, n: int, column: int) -> float:
    """Return a number of level n."""
    return float(run.B[0, grid_orders.column_of_level(n) + column])


def test_levels_lie_one_step_below_each_other_and_leave_one_level_up() -> None:
    run = laid(ONE)
    assert [level(run, n, GRID_PRICE) for n in (0, 1)] == pytest.approx([90.0, 81.0])
    assert [level(run, n, GRID_OUT) for n in (0, 1)] == pytest.approx([100.0, 90.0])
    assert [level(run, n, GRID_ENTRY) for n in (0, 1)] == [5.0, 5.0]
    assert rows(run, layout.ORDER) == [(0, layout.LIMIT, R_GRID)] * 2


def test_both_sides_rest_while_flat_and_the_first_fill_ends_the_other() -> None:
    run = laid({**BOTH, "GRID_SIZE": 0.2})
    assert [np.sign(level(run, n, GRID_ENTRY)) for n in range(4)] == [1.0, 1.0, -1.0, -1.0]
    meet(run, 1, BOTH, 100.0, 111.0, 100.0, 105.0)
    assert run.open_side[0] == -1
    assert [level(run, n, GRID_ENTRY) for n in (0, 1)] == [0.0, 0.0]
    assert status(run).count((CANCELLED, R_OTHER_SIDE)) == 2


def test_what_a_level_bought_is_sold_one_level_up_and_the_level_rests_again() -> None:
    run = laid(ONE)
    meet(run, 1, ONE, 100.0, 100.0, 89.0, 95.0)
    assert (run.units[0], level(run, 0, GRID_BOUGHT), level(run, 0, GRID_EXIT)) == (5.0, 5.0, 0.0)
    with set_to(**ONE):
        grid.rest_grids(1, 2 * MINUTE, run)
    assert level(run, 0, GRID_EXIT) == -5.0
    meet(run, 2, ONE, 95.0, 101.0, 95.0, 100.0)
    assert (run.units[0], run.cash) == (0.0, pytest.approx(1_050.0))
    assert status(run)[-1] == (FILLED, R_GRID_EXIT)
    assert level(run, 1, GRID_ENTRY) == 5.0, "a grid that has sold goes on resting below"


def test_a_stop_ends_the_trade_the_orders_and_the_levels() -> None:
    run = laid(ONE)
    meet(run, 1, ONE, 100.0, 100.0, 89.0, 95.0)
    run.stop_price[0], run.stop_reason[0] = 85.0, 30
    with set_to(**ONE):
        grid.rest_grids(1, 2 * MINUTE, run)
    meet(run, 2, ONE, 95.0, 95.0, 80.0, 82.0)
    assert run.units[0] == 0.0
    assert [level(run, n, GRID_PRICE) for n in (0, 1)] == [0.0, 0.0]
    assert (CANCELLED, R_POSITION_CLOSED) not in status(run), "the stop itself is the reason"
    assert status(run).count((CANCELLED, 30)) == 2


def test_while_flat_the_grid_follows_its_centre_and_without_one_nothing_rests() -> None:
    run = laid(ONE)
    with set_to(**ONE, grid_centre=lambda *_: float("nan")):
        grid.rest_grids(1, 2 * MINUTE, run)
    assert status(run) == [(CANCELLED, R_GRID_MOVED)] * 2
    assert grid_worth_of(run) == 0.0


def grid_worth_of(run: Run) -> float:
    with set_to(**ONE):
        return float(grid_orders.grid_worth(0, run))


def test_a_halt_leaves_no_resting_order_and_the_decision_shows_it() -> None:
    run = run_with_room()
    run.blocked = 1
    with set_to(**ONE, grid_centre=lambda *_: 100.0):
        grid.rest_grids(0, MINUTE, run)
    assert grid_worth_of(run) == 0.0
    assert int(run.rejected_code[0, 0]) - 1 == R_HALTED


def test_an_exit_that_waits_to_be_sent_lets_nothing_rest() -> None:
    run = laid(ONE)
    meet(run, 1, ONE, 100.0, 100.0, 89.0, 95.0)
    run.exit_to_retry[0] = 31
    with set_to(**ONE):
        grid.rest_grids(1, 2 * MINUTE, run)
    assert level(run, 0, GRID_EXIT) == 0.0


def test_remainders_of_fees_leave_with_the_next_exit() -> None:
    """They belong to no level, were never sold, and kept the position from becoming flat."""
    settings = {
        **ONE, "GRID_SIZE": 0.45, "FEE_IN_KIND": True, "MAKER_FEE": 0.02, "TAKER_FEE": 0.02,
    }  # fmt: skip
    run = run_with_room()
    run.cash, run.equity, run.lot[0] = 10_000.0, 10_000.0, 10.0
    with set_to(**settings, grid_centre=lambda *_: 100.0):
        grid.rest_grids(0, MINUTE, run)
    run.cash = 20_000.0
    meet(run, 1, settings, 100.0, 100.0, 80.0, 85.0)
    assert [level(run, n, GRID_BOUGHT) for n in (0, 1)] == [30.0, 40.0]
    assert run.units[0] == 88.0  # 40 and 50 less a fee of a unit each
    with set_to(**settings, grid_centre=lambda *_: 100.0):
        grid.rest_grids(1, 2 * MINUTE, run)
    assert [level(run, n, GRID_EXIT) for n in (0, 1)] == [-40.0, -40.0]
    meet(run, 2, settings, 85.0, 101.0, 85.0, 100.0)
    assert (run.open_side[0], run.units[0]) == (0, 8.0)
