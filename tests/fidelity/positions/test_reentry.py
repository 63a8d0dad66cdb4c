"""When a side may be entered again: after an exit that waits, and where an exit has nothing left.

Each case is compared with both paths of the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fidelity.positions.cases import LETTERS, LONG_ONLY, fills, market, what
from tests.fidelity.positions.in_engine import assert_same_by_events, assert_same_run
from tests.fidelity.positions.market import HOUR
from tests.fidelity.positions.settings import (
    Costs,
    Halt,
    Instrument,
    Position,
    Signal,
    Sizing,
    Stops,
    Strategy,
    Take,
    Trailing,
)
from tests.fidelity.positions.simulator import Result, simulate
from tests.scale import examples

BOTH = Signal(long_if="side > 0", short_if="side < 0", exit_if="side == 0")
FLAT = (100.0, 100.0, 100.0, 100.0)
TOUCHED = (100.0, 100.0, 98.4, 98.5)
LOW = (98.5, 98.5, 98.5, 98.5)
HIGH = (101.0, 101.0, 101.0, 101.0)
STOPPED = Stops(stop_loss="1.5%")
SMALL = Instrument(lot=0.001, min_notional=990.0)
"""A tenth of 10,000 buys ten units at 100, which cannot be sold at 98.5."""
AGAIN = 10.137  # units that a tenth of 9,985 buys at 98.5


def ran(signals: str, rows: Sequence[Any], **keys: Any) -> Result:
    columns = {"side": {"A": [LETTERS[each] for each in signals]}}
    base: dict[str, Any] = {
        "signal": LONG_ONLY, "sizing": Sizing("fixed_fraction", 0.1), "instrument": SMALL,
    }  # fmt: skip
    s, made = Strategy(**(base | keys)), market({"A": rows}, columns)
    out = simulate(s, made)
    assert_same_by_events(assert_same_run(s, made, out))
    return out


def test_a_stop_that_waits_blocks_its_side_from_the_touch_on() -> None:
    rows = [FLAT, FLAT, TOUCHED, LOW, LOW, HIGH, HIGH]
    out = ran("LLLLLLL", rows, stops=STOPPED)
    # Touched at 3 h, sold at the open after the close at 101; the signal has never differed.
    assert fills(out) == [(1.0, 10.0, 100.0), (6.0, -10.0, 101.0)]
    blocked = [each for each in what(out) if each[1] == "reentry_blocked"]
    assert [hour for hour, *_ in blocked] == [3.0, 4.0, 5.0, 7.0]


def test_a_signal_that_differs_while_the_exit_waits_frees_its_side() -> None:
    rows = [FLAT, FLAT, TOUCHED, LOW, HIGH, HIGH, HIGH]
    out = ran("LL---LL", rows, stops=STOPPED)
    assert fills(out) == [(1.0, 10.0, 100.0), (5.0, -10.0, 101.0), (6.0, 9.91, 101.0)]
    out = ran("LL-LLLL", [*rows[:4], LOW, LOW, LOW], stops=STOPPED)
    assert fills(out)[1] == (4.0, AGAIN, 98.5)  # it adds to what waits, and drops the exit


@pytest.mark.parametrize(("bars", "bought"), [(1, 4.0), (2, 5.0), (3, 6.0)])
def test_bars_of_a_block_count_from_the_touch_on(bars: int, bought: float) -> None:
    rows = [FLAT, FLAT, TOUCHED, LOW, LOW, LOW, LOW]
    out = ran("LLLLLLL", rows, stops=STOPPED, reentry=bars)
    assert fills(out)[1] == (bought, AGAIN, 98.5)


def test_without_a_block_the_signal_that_is_still_there_enters_and_drops_the_exit() -> None:
    out = ran("LLLLLLL", [FLAT, FLAT, TOUCHED, *[LOW] * 4], stops=STOPPED, reentry="immediate")
    assert fills(out) == [(1.0, 10.0, 100.0), (3.0, AGAIN, 98.5)]


def test_an_exit_whose_position_a_target_has_closed_ends_with_it() -> None:
    rows = [FLAT, FLAT, FLAT, (100.0, 103.0, 100.0, 102.0), *[HIGH] * 4]
    late = Costs(latency_ns=HOUR)
    out = ran("L-xLL---", rows, costs=late, stops=Stops(take_profit="2%"))
    # The exit of 3 h would fill at 4 h; the target sells at 102 before, and at 4 h a new entry is
    # decided, which fills at 5 h.
    assert fills(out) == [(2.0, 10.0, 100.0), (4.0, -10.0, 102.0), (5.0, 9.823, 101.0)]
    ended = [o for o in out.orders if o.reason == "exit"]
    assert [(o.status, o.ended_by) for o in ended] == [("cancelled", "position_closed")]


COSTS = st.sampled_from([Costs(latency_ns=hours * HOUR) for hours in (0, 1, 3)])
HALTS = st.sampled_from([None, Halt(0.01, "flatten", 5), Halt(0.003, "flatten", 2)])
LEAST = st.sampled_from([0.0, 985.0, 990.0, 999.0])
REENTRY = st.sampled_from(["rearm", "immediate", 1, 3])


def drawn(seed: int, letters: str, holes: float) -> tuple[str, list[Any]]:
    """Draw signals and bars of 60 hours; a share of the bars is missing."""
    chance = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(chance.normal(0.0, 0.008, 60)))
    opened = np.concatenate(([100.0], close[:-1]))
    high, low = np.maximum(opened, close) + 0.25, np.minimum(opened, close) - 0.25
    rows: list[Any] = [tuple(round(float(each), 2) for each in row)
                       for row in zip(opened, high, low, close, strict=True)]  # fmt: skip
    signals = "".join(chance.choice(list(letters), 60))
    return signals, [None if chance.random() < holes else row for row in rows]


@given(
    st.integers(0, 2**32 - 1), REENTRY, LEAST, COSTS, HALTS, st.sampled_from([0.0, 0.1]),
    st.sampled_from([STOPPED, Stops(stop_loss="1.5%", take_profit="2%"), Stops(trailing=None)]),
)  # fmt: skip
@example(816619, "rearm", 985.0, Costs(latency_ns=HOUR), None, 0.0, STOPPED)
@settings(max_examples=examples(40), deadline=None)
def test_drawn_exits_that_wait_block_as_in_the_engine(
    seed, reentry, least, costs, halt, holes, stops
):  # fmt: skip
    signals, rows = drawn(seed, "LLLL-x", holes)
    small = Instrument(lot=0.001, tick=0.01, min_notional=least)
    ran(
        signals, rows, stops=stops, reentry=reentry, instrument=small, costs=costs, halt=halt,
    )  # fmt: skip


@given(
    st.integers(0, 2**32 - 1), REENTRY, LEAST, HALTS,
    st.sampled_from([
        STOPPED, Stops(stop_loss="1.5%", take_profit="2%"),
        Stops(stop_loss="3%", break_even="1%"), Stops(trailing=Trailing("2%")),
    ]),
    st.sampled_from([(), (Take(0.5, at="1%"),), (Take(0.6, when="bars_held > 3"),)]),
)  # fmt: skip
@settings(max_examples=examples(40), deadline=None)
def test_drawn_exits_of_both_sides_and_in_steps_wait_as_in_the_engine(
    seed, reentry, least, halt, stops, takes
):  # fmt: skip
    signals, rows = drawn(seed, "LLLSSS-x", 0.0)
    small = Instrument(lot=0.001, tick=0.01, min_notional=least)
    ran(
        signals, rows, account="perpetual", signal=BOTH, stops=stops, reentry=reentry, halt=halt,
        instrument=small, position=Position(take=takes),
    )  # fmt: skip
