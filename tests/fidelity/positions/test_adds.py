"""Adds by hand: conditions, resting limits and stops, limits and times of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fidelity.positions.cases import fills, one, what
from tests.fidelity.positions.settings import (
    Add,
    Costs,
    Halt,
    Instrument,
    Limits,
    Position,
    Signal,
    Sizing,
    Stops,
    TradingHours,
)
from tests.fidelity.positions.simulator import Result

FLAT = (100.0,)
LADDER = Position(add=(Add(size=1.0, at=("-3%", "-6%")),))


def added(signals: str, rows: list[Any], *adds: Add, **keys: Any) -> Result:
    return one(signals, rows, position=Position(add=adds), **keys)


def test_a_condition_adds_a_share_of_the_filled_first_order_so_many_times() -> None:
    rows = [FLAT, FLAT, (103.0,), (106.0,), (109.0,), (112.0,), (112.0,)]
    add = Add(size=0.5, when="close > last_price + 2", times=2)
    out = added("L------", rows, add, instrument=Instrument(lot=1.0))
    # 103 > 100 + 2: filled at 106, the last price; 109 > 108: at 112; a third time is none.
    assert fills(out) == [(1.0, 10.0, 100.0), (3.0, 5.0, 106.0), (5.0, 5.0, 112.0)]


def test_min_interval_of_an_add_counts_bars_from_the_entry_and_its_last_one() -> None:
    add = Add(size=0.1, when="close > 0", times=9, min_interval=3)
    out = added("L" + "-" * 8, [FLAT] * 9, add)
    # Entry decided at 1 h, adds at 4 h and 7 h.
    assert [each[0] for each in fills(out)] == [1.0, 4.0, 7.0]


def test_each_rule_counts_its_own_times() -> None:
    adds = (Add(size=0.1, when="close > 0"), Add(size=0.2, when="bars_held > 1"))
    out = added("L----", [FLAT] * 5, *adds)
    assert [each[:2] for each in fills(out)] == [(1.0, 10.0), (2.0, 1.0), (3.0, 2.0)]


def test_adds_skip_min_interval_and_the_re_entry_block() -> None:
    signal = Signal(long_if="side > 0", exit_if="side == 0", min_interval=50)
    out = added("L---", [FLAT] * 4, Add(size=0.5, when="close > 0"), signal=signal)
    assert len(fills(out)) == 2


def test_every_other_check_applies_to_an_add() -> None:
    capped = added("L---", [FLAT] * 4, Add(size=1.0, when="adds < 1"), limits=Limits(position=0.15))
    assert fills(capped) == [(1.0, 10.0, 100.0), (2.0, 5.0, 100.0)]
    assert what(capped) == [(2.0, "capped_by position", "add")]
    inst = Instrument(lot=1.0, min_notional=600.0)
    small = added("L--", [FLAT] * 3, Add(size=0.5, when="close > 0"), instrument=inst)
    assert what(small)[0] == (2.0, "min_notional", "add")
    hours = TradingHours(open="mon 00:00-01:30 UTC")
    closed = added("L--", [FLAT] * 3, Add(size=0.5, when="close > 0"), hours=hours)
    assert what(closed)[0] == (2.0, "closed_hours", "add")


def test_resting_limits_lie_below_the_first_price_and_fill_when_traded_through() -> None:
    rows = [FLAT, (100.0, 100.0, 97.0, 99.0), (99.0, 99.0, 96.9, 98.0), (95.0,), (93.0,)]
    out = one("L----", rows, position=LADDER, costs=Costs(maker=0.001))
    # 97 is touched, then traded through; the open of 93 is better than 94.
    assert fills(out) == [(1.0, 10.0, 100.0), (3.0, 10.0, 97.0), (4.0, 10.0, 93.0)]
    assert [float(f.fee) for f in out.fills] == [0.0, 0.97, pytest.approx(0.93)]


def test_levels_of_adds_count_from_the_first_price_whatever_was_added() -> None:
    rows = [FLAT, (101.0,), (101.0, 101.0, 94.0, 95.0)]
    out = one("L--", rows, position=LADDER)
    assert fills(out)[1:] == [(3.0, 10.0, pytest.approx(97.97)), (3.0, 10.0, pytest.approx(94.94))]


def test_resting_stops_lie_above_and_pay_slippage() -> None:
    ladder = Position(add=(Add(size=0.5, at=("2%", "1R")),))
    rows = [FLAT, (100.0, 102.0, 100.0, 101.0), (105.0,)]
    out = one("L--", rows, position=ladder, stops=Stops(stop_loss="4"), costs=Costs(slippage=0.01))
    # Entered at 101: triggers at 103.02 and 105; both by the open of 105, at 106.05.
    assert fills(out)[0] == (1.0, 10.0, 101.0)
    assert fills(out)[1:] == [(2.0, 5.0, pytest.approx(106.05))] * 2


def test_a_ladder_of_a_short_is_mirrored() -> None:
    rows = [FLAT, (100.0, 104.0, 97.0, 100.0)]
    ladder = Position(add=(Add(size=0.5, at=("-3%", "2%")),))
    out = one("S-", rows, position=ladder)
    # A limit to sell at 103 and a stop to sell at 98; the nearer one first.
    assert fills(out) == [(1.0, -10.0, 100.0), (2.0, -5.0, 98.0), (2.0, -5.0, 103.0)]


def test_each_resting_level_fills_once_a_trade() -> None:
    rows = [FLAT, (100.0, 100.0, 96.0, 100.0), (100.0, 100.0, 96.0, 100.0)]
    assert len(fills(one("L--", rows, position=LADDER))) == 2


def test_levels_are_rounded_to_the_tick_against_nobody_but_us() -> None:
    ladder = Position(add=(Add(size=1.0, at=("-3.33%", "3.33%")),))
    inst = Instrument(lot=1.0, tick=1.0)
    out = one("L-", [FLAT, FLAT], position=ladder, instrument=inst)
    assert [(o.kind, float(o.price)) for o in out.orders[1:] if o.price] == [
        ("limit", 96.0), ("stop", 104.0),
    ]  # fmt: skip


def test_resting_adds_are_placed_when_the_first_order_has_ended_and_work_in_its_bar() -> None:
    rows = [FLAT, (100.0, 100.0, 96.0, 98.0)]
    assert fills(one("L-", rows, position=LADDER)) == [(1.0, 10.0, 100.0), (2.0, 10.0, 97.0)]


def test_shares_are_of_what_the_first_order_filled() -> None:
    """The open is twice the close: cash covers half of the order, and half of that is added."""
    rows = [FLAT, (200.0,), (200.0, 200.0, 180.0, 200.0)]
    ladder = Position(add=(Add(size=0.5, at=("-3%",)),))
    out = one("L--", rows, position=ladder, sizing=Sizing("fixed_quantity", 100),
              limits=Limits(position=9.0, gross=9.0))  # fmt: skip
    assert fills(out) == [(1.0, 50.0, 200.0)]
    assert what(out) == [(2.0, "cash", "resting_add")]


def test_resting_adds_count_as_working_orders_nearest_first_and_must_fit_whole() -> None:
    limits = Limits(position=0.25)
    rows = [FLAT, FLAT, FLAT]
    ladder = Position(add=(Add(size=1.0, at=("-6%", "-3%", "-9%")), Add(size=0.5, at=("-12%",))))
    out = one("L--", rows, position=ladder, limits=limits)
    # 1000 held; 970 fits in 2500, 940 and 910 do not, 440 does.
    assert [(o.kind, float(o.price or 0)) for o in out.orders[1:]] == [
        ("limit", 97.0), ("limit", 88.0),
    ]  # fmt: skip
    assert what(out) == [(2.0, "position", "resting_add")] * 2


@pytest.mark.parametrize("letter", ["x", "S"])
def test_exits_cancel_resting_adds(letter: str) -> None:
    rows = [FLAT, FLAT, (100.0, 100.0, 90.0, 95.0), (95.0,)]
    out = one(f"L{letter}--", rows, position=LADDER, account="perpetual")
    ladder = [o for o in out.orders if o.tag == ("add", 0, 0) and o.units > 0]
    assert [o.ended_by for o in ladder] == ["exit" if letter == "x" else "opposite"]


def test_a_stop_cancels_resting_adds() -> None:
    rows = [FLAT, FLAT, (100.0, 100.0, 98.0, 99.0), (99.0, 99.0, 90.0, 95.0)]
    out = one("L---", rows, position=LADDER, stops=Stops(stop_loss="1%"))
    assert fills(out) == [(1.0, 10.0, 100.0), (3.0, -10.0, 99.0)]
    assert {o.ended_by for o in out.orders if o.tag[0] == "add"} == {"stop_loss"}


def test_an_add_may_tighten_the_stop_and_never_loosens_it() -> None:
    up = Position(add=(Add(size=1.0, at=("10%",)),))
    rows = [FLAT, (100.0, 110.0, 100.0, 110.0), (110.0, 110.0, 100.0, 101.0)]
    # Average cost 105: the stop of 5 moves from 95 to 100.
    out = one("L--", rows, position=up, stops=Stops(stop_loss="5"))
    assert fills(out)[-1] == (3.0, -20.0, 100.0)
    down = Position(add=(Add(size=1.0, at=("-4%",)),))
    rows = [FLAT, (100.0, 100.0, 95.5, 96.0), (96.0, 96.0, 94.0, 94.0)]
    # Average cost 98: 93 would be looser than 95.
    out = one("L--", rows, position=down, stops=Stops(stop_loss="5"))
    assert fills(out)[-1] == (3.0, -20.0, 95.0)


def test_an_add_has_either_a_condition_or_levels() -> None:
    with pytest.raises(ValueError, match="either"):
        added("L", [FLAT], Add(size=1.0))


@pytest.mark.parametrize("then", ["flatten", "block_entries"])
def test_a_halt_on_entries_cancels_resting_adds(then: Any) -> None:
    rows = [FLAT, FLAT, (99.0,), (99.0,), (90.0,)]
    out = one("L----", rows, position=LADDER, halt=Halt(0.001, then))
    # A fall of ten units by one is a tenth of a per cent of 10000.
    assert {o.ended_by for o in out.orders if o.tag[0] == "add"} == {"drawdown"}
    assert len(fills(out)) == (2 if then == "flatten" else 1)


def test_an_add_at_market_that_finds_no_open_within_a_bar_expires() -> None:
    rows = [FLAT, FLAT, None, None, FLAT]
    out = added("L----", rows, Add(size=0.5, when="bars_held == 1"))
    assert [(o.status, o.ended_by) for o in out.orders] == [
        ("filled", "entry"), ("expired", "no_market"),
    ]  # fmt: skip


def test_an_opposite_signal_that_is_no_exit_keeps_position_and_adds() -> None:
    signal = Signal("side > 0", "side < 0", "side == 0", opposite=False)
    out = one("LS-", [FLAT] * 3, position=LADDER, signal=signal)
    assert len(fills(out)) == 1
    assert all(o.is_working for o in out.orders if o.tag[0] == "add")


def test_cash_at_the_fill_covers_the_fee_too() -> None:
    out = one("L-", [FLAT, (200.0,)], costs=Costs(taker=0.25), sizing=Sizing("fixed_quantity", 70),
              instrument=Instrument(lot=1.0))  # fmt: skip
    # 70 units were sized at 100; one costs 250 at the open: 10000 buys 40.
    assert fills(out) == [(1.0, 40.0, 200.0)]
    assert out.orders[0].ended_by == "cash"
