"""The levels that a row of decisions shows: the nearest of each kind, none while flat."""

from __future__ import annotations

import math

import numpy as np
import pytest

from septet._kernel import layout
from septet._rules import level_rows
from septet._rules.levels import protective_level, target_level
from septet._rules.run_state import Run
from tests.rules.small_run import Fixed, set_to
from tests.rules.test_position_steps import PRICE, UNITS, Rung, Take, enter, run_with_room

SECOND = {"price": PRICE + 3, "units": UNITS + 3, "order": PRICE + 4}


def held(side: float = 1.0) -> Run:
    """Return a run with a position from 100 on, in rows that hold levels."""
    run = run_with_room()
    run.arrays["F"] = np.zeros((1, layout.F_LEVELS, 4))
    enter(run, 10.0 * side)
    return run


def shown(run: Run, **settings: object) -> tuple[float, float, float]:
    """Keep the levels after bar 1, and return them."""
    run.active_symbol[0] = 0
    with set_to(LEVEL_ROWS=True, **settings):
        level_rows.keep_levels(1, 120, 1, run)
    return run.stop_level[0, 1], run.target_price[0, 1], run.add_price[0, 1]


@pytest.mark.parametrize(
    ("side", "stops", "targets", "expected"),
    [
        (1.0, (90.0, 95.0), (110.0, 120.0), (95.0, 110.0)),
        (-1.0, (105.0, 110.0), (80.0, 90.0), (105.0, 90.0)),
    ],
)
def test_the_nearest_stop_and_target_are_shown(
    side: float, stops: tuple[float, ...], targets: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    run = held(side)
    found = shown(run, PROTECTIVE=tuple(map(Fixed, stops)), TARGETS=tuple(map(Fixed, targets)))
    assert found == (*expected, 0.0)


def test_a_take_before_the_target_is_shown_until_it_is_done() -> None:
    run = held()
    takes = (Take(0, 0.5, price=104.0), Take(1, 0.25, price=108.0))
    named = {"TAKES_AT": takes, "TARGETS": (Fixed(110.0),)}
    assert shown(run, **named)[1] == 104.0
    run.takes_done[0] = 1
    assert shown(run, **named)[1] == 108.0
    run.takes_done[0] = 3
    assert shown(run, **named)[1] == 110.0


def test_the_resting_add_nearest_to_the_close_is_shown() -> None:
    run = held()
    run.arrays["B"] = np.concatenate([run.B, np.zeros((1, 4))], axis=1)
    rungs = (Rung(0, -0.05), Rung(1, 0.03, **SECOND))
    assert shown(run, RUNGS=rungs)[2] == 0.0, "none is placed"
    run.B[0, [PRICE, UNITS]] = 95.0, 10.0
    assert shown(run, RUNGS=rungs)[2] == 95.0
    run.B[0, [SECOND["price"], SECOND["units"]]] = 103.0, 10.0
    assert shown(run, RUNGS=rungs)[2] == 103.0
    run.close[0, 1] = 96.0
    assert shown(run, RUNGS=rungs)[2] == 95.0


def test_nothing_is_shown_while_flat_and_without_a_bar() -> None:
    run = run_with_room()
    run.arrays["F"] = np.zeros((1, layout.F_LEVELS, 4))
    assert shown(run, PROTECTIVE=(Fixed(90.0),)) == (0.0, 0.0, 0.0)
    run = held()
    run.bar[0, 1] = -1
    assert shown(run, PROTECTIVE=(Fixed(90.0),), ONE_SYMBOL=False) == (0.0, 0.0, 0.0)


def test_a_stop_in_steps_is_the_one_that_is_kept() -> None:
    run = held()
    run.stop_price[0] = 97.0
    assert shown(run, STEPS=True)[0] == 97.0


INF = math.inf


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("second", [90.0, 99.0, 101.0, 110.0])
@pytest.mark.parametrize("first", [95.0, 105.0, 0.0, -5.0, INF, -INF, math.nan])
def test_what_is_shown_is_the_level_that_acts(
    first: float, second: float, checked: bool, side: float
) -> None:
    """Answers of other packages that are no prices included; one that acts at once hides others."""
    levels = (Fixed(first, checked=checked), Fixed(second))
    run = held(side)
    with set_to(PROTECTIVE=levels, TARGETS=levels, BAR_NS=60):
        stop, _ = protective_level(0, 1, 120, run)
        target, _ = target_level(0, 1, 120, run)
    counted = run.C.copy()
    found = shown(run, PROTECTIVE=levels, TARGETS=levels, BAR_NS=60)
    assert found[:2] == tuple(each if 0.0 < each < INF else 0.0 for each in (stop, target))
    assert (counted == run.C).all(), "a row counts nothing"
