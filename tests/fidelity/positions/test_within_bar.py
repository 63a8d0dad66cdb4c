"""What happens in a bar whose path is unknown, by hand: the open, then stop or takes, and adds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fidelity.positions.cases import fills, one
from tests.fidelity.positions.settings import Add, Costs, Position, Stops, Take
from tests.fidelity.positions.simulator import Result

FLAT = (100.0,)
DOWN = Add(size=1.0, at=("-3%", "-6%"))
UP = Add(size=0.5, at=("2%",))


def ran(
    rows: list[Any], *adds: Add, takes: tuple[Take, ...] = (), side: str = "L", **keys: Any
) -> Result:
    """Enter ten units at the open of the second bar and do nothing more."""
    signals = side + "-" * (len(rows) - 1)
    return one(signals, rows, position=Position(add=adds, take=takes), **keys)


def mirrored(rows: list[Any]) -> list[Any]:
    return [tuple(200.0 - row[i] for i in (0, 2, 1, 3)) if len(row) == 4 else (200.0 - row[0],)
            for row in rows]  # fmt: skip


# ------------------------------------------------------------------------------ (a) the open


def test_a_position_closed_at_the_open_loses_its_adds() -> None:
    rows = [FLAT, FLAT, (90.0, 95.0, 80.0, 95.0)]
    out = ran(rows, DOWN, stops=Stops(stop_loss="8"))
    # The open of 90 lies beyond the stop of 92 and beyond both adds.
    assert fills(out) == [(1.0, 10.0, 100.0), (2.0, -10.0, 90.0)]


def test_an_exit_at_the_open_comes_before_adds() -> None:
    rows = [FLAT, FLAT, (90.0,)]
    out = one("Lx-", rows, position=Position(add=(DOWN,)))
    assert fills(out) == [(1.0, 10.0, 100.0), (2.0, -10.0, 90.0)]


def test_an_add_that_the_open_has_passed_fills_there_and_moves_levels_at_once() -> None:
    rows = [FLAT, FLAT, (110.0, 110.0, 104.0, 106.0)]
    up = Add(size=1.0, at=("10%",))
    # The stop trigger is 110: average cost 105, the stop of 1 at 104 is touched in the same bar.
    assert fills(ran(rows, up, stops=Stops(stop_loss="1")))[1:] == [
        (2.0, 10.0, 110.0), (3.0, -20.0, 104.0),
    ]  # fmt: skip


# ------------------------------------------------------------------------------ (b) the stop


def test_before_the_stop_every_add_that_lies_before_it_fills_and_then_the_stop_on_all() -> None:
    rows = [FLAT, FLAT, (100.0, 103.0, 90.0, 95.0)]
    out = ran(rows, DOWN, UP, stops=Stops(stop_loss="5"))
    # The stop at 95: the limit of 97 and the stop entry of 102 lie before it, 94 does not.
    assert fills(out) == [
        (1.0, 10.0, 100.0), (3.0, 5.0, 102.0), (3.0, 10.0, 97.0), (3.0, -25.0, 95.0),
    ]  # fmt: skip
    assert [t.exit_reason for t in out.trades] == ["stop_loss"]


def test_adds_of_the_bar_move_no_stop_within_it() -> None:
    """With the average cost of 101 the stop would have been 96."""
    rows = [FLAT, FLAT, (100.0, 102.0, 95.0, 96.0)]
    out = ran(rows, Add(size=1.0, at=("2%",)), stops=Stops(stop_loss="5"))
    assert fills(out)[-1] == (3.0, -20.0, 95.0)
    rows[2] = (100.0, 102.0, 95.5, 96.0)
    assert len(fills(ran(rows, Add(size=1.0, at=("2%",)), stops=Stops(stop_loss="5")))) == 2


def test_an_add_that_was_not_traded_through_does_not_fill_before_the_stop() -> None:
    rows = [FLAT, FLAT, (100.0, 101.9, 95.0, 95.0)]
    assert len(fills(ran(rows, UP, stops=Stops(stop_loss="5")))) == 2


def test_where_stop_and_take_are_both_touched_the_stop_comes() -> None:
    rows = [FLAT, FLAT, (100.0, 120.0, 95.0, 110.0)]
    out = ran(rows, takes=(Take(0.5, at="10%"),), stops=Stops(stop_loss="5"))
    assert fills(out)[1:] == [(3.0, -10.0, 95.0)]


def test_an_open_beyond_a_take_fills_it_before_the_stop() -> None:
    rows = [FLAT, FLAT, (112.0, 120.0, 95.0, 110.0)]
    out = ran(rows, takes=(Take(0.5, at="10%"),), stops=Stops(stop_loss="5"))
    assert fills(out)[1:] == [(2.0, -5.0, 112.0), (3.0, -5.0, 95.0)]


def test_a_short_is_mirrored() -> None:
    rows = [FLAT, FLAT, (100.0, 103.0, 90.0, 95.0)]
    long = fills(ran(rows, DOWN, UP, stops=Stops(stop_loss="5")))
    short = fills(ran(mirrored(rows), DOWN, UP, stops=Stops(stop_loss="5"), side="S"))
    assert short == [(time, -units, 200.0 - price) for time, units, price in long]


# ------------------------------------------------------------------------------ (c) takes, adds


def test_takes_come_nearest_first_of_what_was_held_after_the_open_and_then_adds() -> None:
    rows = [FLAT, FLAT, (100.0, 121.0, 96.0, 110.0)]
    takes = (Take(0.3, at="20%"), Take(0.5, at="10%"))
    out = ran(rows, DOWN, takes=takes)
    # Of ten units: five at 110, three at 120; then ten at 97, of which nothing is taken.
    assert fills(out)[1:] == [(3.0, -5.0, 110.0), (3.0, -3.0, 120.0), (3.0, 10.0, 97.0)]


def test_what_fills_inside_a_bar_is_taken_from_the_next_bar_on() -> None:
    rows = [FLAT, FLAT, (100.0, 109.0, 96.0, 108.0), (108.0, 108.4, 108.0, 108.0)]
    out = ran(rows, DOWN, takes=(Take(1.0, at="10%"),))
    # The add of 97 lowers the average to 98.5 and the level to 108.35, passed in the bar after.
    assert fills(out)[1:] == [(3.0, 10.0, 97.0), (4.0, -20.0, pytest.approx(108.35))]


def test_a_position_that_takes_have_closed_is_not_added_to() -> None:
    rows = [FLAT, FLAT, (100.0, 111.0, 90.0, 100.0), (100.0, 100.0, 90.0, 95.0)]
    out = ran(rows, DOWN, takes=(Take(1.0, at="10%"),))
    assert fills(out)[1:] == [(3.0, -10.0, 110.0)]


def test_levels_fill_in_the_bar_of_the_entry() -> None:
    rows = [FLAT, (100.0, 111.0, 99.0, 110.0)]
    assert fills(ran(rows, takes=(Take(0.5, at="10%"),)))[1:] == [(2.0, -5.0, 110.0)]
    rows = [FLAT, (100.0, 111.0, 95.0, 110.0)]
    assert fills(ran(rows, stops=Stops(stop_loss="5")))[1:] == [(2.0, -10.0, 95.0)]


def test_limits_are_makers_and_stops_takers() -> None:
    rows = [FLAT, FLAT, (100.0, 102.0, 96.0, 100.0)]
    out = ran(rows, DOWN, UP, costs=Costs(maker=0.001, taker=0.01))
    assert [float(f.fee / (abs(f.units) * f.price)) for f in out.fills] == [0.01, 0.01, 0.001]


def test_an_entry_that_opens_beyond_its_stop_is_closed_at_that_open() -> None:
    """A level of 95 is read at the entry's time; the next bar opens at 90 and never sees 95."""
    rows = [FLAT, (90.0, 92.0, 88.0, 91.0)]
    signals, level = "L-", {"floor": [95.0, 95.0]}
    out = one(signals, rows, level, stops=Stops(level="floor"))
    assert fills(out) == [(1.0, 10.0, 90.0), (1.0, -10.0, 90.0)]
