"""Answers that a rule's kind does not allow: what is done with them, and how often they count."""

from __future__ import annotations

import math
from typing import Any

import pytest

from septet._kernel.layout import CHECKED_FIRST, CHECKED_TIMES, HALT
from septet._rules.checked import count_invalid, is_label
from septet._rules.halts import check_halts
from septet._rules.levels import protective_level, target_level
from septet._rules.run_state import Run
from septet._rules.settings import CHECKED_SLOT
from tests.rules.small_run import Fixed, rows, run_of, set_to

NAN, INF = math.nan, math.inf


def counted(run: Run) -> tuple[int, int]:
    at = CHECKED_SLOT
    return int(run.C[at + CHECKED_TIMES]), int(run.C[at + CHECKED_FIRST])


def held(side: float) -> Run:
    """A position since 100, which was worth 1 % more at best."""
    run = run_of()
    run.open_side[0], run.average_price[0] = side, 100.0
    run.high_water[0] = 100.0 + side
    return run


def test_a_time_counts_once_for_each_symbol():
    run = run_of(symbols=2)
    with set_to(SYMBOLS=2):
        for k, time_ns in ((0, 70), (0, 70), (0, 90), (1, 60), (1, 60), (0, 90)):
            count_invalid(0, k, time_ns, run)
    assert counted(run) == (3, 60)


@pytest.mark.parametrize(
    ("side", "level", "kept", "times"),
    [
        (1.0, 95.0, 95.0, 0), (1.0, 100.5, 100.5, 0), (1.0, NAN, NAN, 0),
        (1.0, 101.0, 101.0, 1), (1.0, INF, INF, 1),
        (1.0, 0.0, NAN, 1), (1.0, -5.0, NAN, 1), (1.0, -INF, NAN, 1),
        (-1.0, 105.0, 105.0, 0), (-1.0, 99.5, 99.5, 0),
        (-1.0, 99.0, 99.0, 1), (-1.0, -5.0, -5.0, 1), (-1.0, INF, NAN, 1),
    ],
)  # fmt: skip
def test_a_stop_is_a_price_on_its_side_of_the_market(
    side: float, level: float, kept: float, times: int
):
    run = held(side)
    with set_to(PROTECTIVE=(Fixed(level, checked=True),), BAR_NS=60):
        found, reason = protective_level(0, 2, 200, run)
        protective_level(0, 2, 210, run)
    assert found == pytest.approx(kept, nan_ok=True)
    assert (reason == -1) == math.isnan(kept)
    assert counted(run) == (times, 180 if times else 0), "once for the bar that was known"
    run = held(side)
    with set_to(PROTECTIVE=(Fixed(level),)):
        protective_level(0, 2, 200, run)
    assert counted(run) == (0, 0), "septet's are tried here"


@pytest.mark.parametrize(
    ("side", "level", "kept", "times"),
    [
        (1.0, 105.0, 105.0, 0), (1.0, INF, NAN, 1), (1.0, 99.0, 99.0, 1), (1.0, -INF, -INF, 1),
        (-1.0, 95.0, 95.0, 0), (-1.0, 0.0, NAN, 1), (-1.0, -5.0, NAN, 1), (-1.0, 101.0, 101.0, 1),
    ],
)  # fmt: skip
def test_a_target_is_a_price_better_than_the_entry(
    side: float, level: float, kept: float, times: int
):
    run = held(side)
    with set_to(TARGETS=(Fixed(level, checked=True),), BAR_NS=60):
        assert target_level(0, 1, 200, run)[0] == pytest.approx(kept, nan_ok=True)
    assert counted(run)[0] == times


class Answers:
    """A halt of another package that answers a number."""

    number, code, checked, rule = 0, 40, True, 0
    reads_peak, then, resumes, resume_ns = False, 1, "manual", 0

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def is_met(self, *_: Any) -> Any:
        """Return the answer."""
        return self.answer


@pytest.mark.parametrize(
    ("answer", "trips", "times"),
    [(0.0, 0, 0), (False, 0, 0), (1.0, 1, 0), (True, 1, 0), (NAN, 1, 1), (0.5, 1, 1), (INF, 1, 1)],
)
def test_a_halt_that_is_neither_true_nor_false_trips_and_is_counted(
    answer: Any, trips: int, times: int
):
    run = run_of()
    with set_to(HALTS=(Answers(answer),), CHECKED_SLOT=CHECKED_SLOT + 4):
        check_halts(1, 120, run)
    assert len(rows(run, HALT)) == trips
    assert int(run.C[CHECKED_SLOT + 4]) == times


@pytest.mark.parametrize(
    ("label", "known"),
    [
        (0.0, True),
        (1.0, True),
        (NAN, True),
        (2.0, False),
        (-1.0, False),
        (0.5, False),
        (INF, False),
    ],
)
def test_a_regime_is_the_number_of_a_label(label: float, known: bool):
    with set_to(REGIME_COUNT=2):
        assert is_label(label) == known
