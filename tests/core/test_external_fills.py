"""What fills and ends from outside do to orders, positions and cash."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._core.events import Place, Traded
from septet._kernel import layout
from tests.core.desk import ONE, Desk
from tests.core.outside import placed
from tests.scale import examples

FILLED, CANCELLED, EXPIRED = (
    layout.STATUS_FILLED, layout.STATUS_CANCELLED, layout.STATUS_EXPIRED,
)  # fmt: skip


def test_parts_fill_an_order_and_the_last_one_ends_it():
    desk = Desk("++++")
    entry = desk.order(desk.step(2))
    assert (entry.units, entry.price, entry.reduces, desk.why(entry)) == (
        ONE,
        101.0,
        False,
        "entry",
    )
    first = desk.fill(entry, 0.25 * ONE, 101.0)
    assert [type(each) for each in first] == [Traded]
    assert desk.engine.working(0).units == 0.75 * ONE
    second = desk.fill(entry, 0.75 * ONE, 103.0, fee=0.5)
    assert desk.ends(second) == [(entry.order, FILLED, "entry")]
    assert desk.engine.working(0) is None
    assert desk.held == 1.0
    assert desk.engine.cash == 10_000.0 - 0.25 * 101.0 - 0.75 * 103.0 - 0.5
    (traded,) = [each for each in second if isinstance(each, Traded)]
    assert (traded.held, traded.fee, traded.got) == (ONE, 0.5, 0.75 * ONE)


TURNS: dict[str, Any] = {
    "spot": False, "order": "limit", "offset": 0.001, "time_in_force": 3, "short_back": 1,
    "exit_back": 0,
}  # fmt: skip


def turned() -> tuple[Desk, Place, Place]:
    """Return a desk that has bought and is told to turn: its exit and the entry behind it."""
    desk = Desk("+--+++", **TURNS)
    desk.bought()
    exit_, entry = placed(desk.step())
    return desk, exit_, entry


def test_an_entry_of_the_other_side_that_rests_follows_its_exit():
    desk, exit_, entry = turned()
    assert (exit_.kind, exit_.units, desk.why(exit_)) == (layout.MARKET, -ONE, "opposite")
    assert (entry.kind, entry.units, desk.why(entry)) == (layout.LIMIT, -ONE, "entry")
    assert (exit_.reduces, entry.reduces) == (True, False)
    assert desk.engine.working(0).order == exit_.order
    desk.fill(exit_, -ONE, 99.0)
    assert (desk.held, desk.engine.working(0).order) == (0.0, entry.order)
    assert desk.ends(desk.fill(entry, -ONE, 100.0)) == [(entry.order, FILLED, "entry")]
    assert desk.held == -1.0


def test_a_person_or_the_venue_ends_an_entry_that_waits_for_its_exit():
    desk, exit_, entry = turned()
    assert desk.ends(desk.engine.halt(desk.now_ns, flatten=False)) == [
        (entry.order, CANCELLED, "operator")
    ]
    assert desk.engine.working(0).order == exit_.order
    desk, exit_, entry = turned()
    assert desk.ends(desk.engine.end(0, entry.order, EXPIRED, desk.now_ns)) == [
        (entry.order, EXPIRED, "entry")
    ]
    desk.fill(exit_, -ONE, 99.0)
    assert desk.engine.working(0) is None


def test_an_exit_that_a_venue_ended_is_sent_again_before_the_entry_works():
    desk, exit_, entry = turned()
    desk.engine.end(0, exit_.order, CANCELLED, desk.now_ns)
    assert desk.engine.working(0) is None
    again = desk.order(desk.engine.go_on(0, desk.now_ns))
    assert (again.units, desk.why(again)) == (-ONE, "opposite")
    desk.fill(again, -ONE, 99.0)
    assert desk.engine.working(0).order == entry.order


def test_a_fee_in_base_leaves_less_and_costs_no_cash():
    desk = Desk("++++")
    entry = desk.order(desk.step(2))
    done = desk.fill(entry, ONE, 100.0, got=ONE - 100_000.0, fee=0.1)
    assert desk.ends(done) == [(entry.order, FILLED, "entry")]
    assert desk.held == 0.999
    assert desk.engine.cash == 9_900.0
    assert desk.engine.state.A[layout.FEES] == 0.1


def test_an_order_that_ended_twice_ended_once():
    desk = Desk("++++")
    entry = desk.order(desk.step(2))
    assert desk.ends(desk.engine.end(0, entry.order, CANCELLED, desk.now_ns)) == [
        (entry.order, CANCELLED, "entry")
    ]
    assert desk.engine.end(0, entry.order, CANCELLED, desk.now_ns) == []
    assert desk.engine.end(0, 77, EXPIRED, desk.now_ns) == []
    assert desk.engine.working(0) is None
    assert not placed(desk.engine.go_on(0, desk.now_ns)), "a refused entry is not tried again"
    assert len(placed(desk.step())) == 1, "the next decision is free to wish it again"


def test_a_fill_after_the_end_is_booked_all_the_same():
    desk = Desk("++++")
    entry = desk.order(desk.step(2))
    desk.engine.end(0, entry.order, CANCELLED, desk.now_ns)
    found = desk.fill(entry, 0.5 * ONE, 101.0)
    assert [type(each) for each in found] == [Traded]
    assert desk.held == 0.5


def test_a_late_fill_of_an_entry_that_an_exit_gave_up_is_closed_at_once():
    desk = Desk("+-===", order="limit", time_in_force=9)
    entry = desk.order(desk.step(2))
    given_up = desk.step()
    assert desk.ends(given_up) == [(entry.order, CANCELLED, "exit")]
    late = desk.fill(entry, 0.4 * ONE, 101.0)
    exit_ = desk.order(late)
    assert (exit_.units, desk.why(exit_), exit_.reduces) == (-0.4 * ONE, "late_fill", True)
    more = desk.fill(entry, 0.6 * ONE, 101.0)
    assert desk.ends(more) == [(exit_.order, CANCELLED, "late_fill")], "the exit must grow"
    assert desk.order(more).units == -ONE
    desk.fill(desk.order(more), -ONE, 100.0)
    assert desk.held == 0.0


def test_a_late_fill_of_an_expired_entry_stays_and_the_next_one_shrinks():
    desk = Desk("+++++", order="limit", time_in_force=1)
    first = desk.order(desk.step(2))
    found = desk.step()
    assert desk.ends(found) == [(first.order, EXPIRED, "unfilled")]
    second = desk.order(found)
    assert desk.ends(desk.fill(first, 0.75 * ONE, 101.0)) == []
    assert desk.engine.working(0).units == 0.25 * ONE
    done = desk.fill(first, 0.25 * ONE, 101.0)
    assert desk.ends(done) == [(second.order, CANCELLED, "late_fill")]
    assert desk.held == 1.0


def test_an_exit_that_is_refused_outside_is_wished_again():
    desk = Desk("+-====")
    desk.bought()
    exit_ = desk.order(desk.step())
    assert desk.why(exit_) == "exit"
    assert desk.engine.owed(0) == -1
    desk.engine.end(0, exit_.order, CANCELLED, desk.now_ns)
    assert desk.reasons[desk.engine.owed(0)] == "exit"
    again = desk.order(desk.step())
    assert (again.units, desk.why(again)) == (-ONE, "exit")
    desk.engine.end(0, again.order, CANCELLED, desk.now_ns)
    sooner = desk.order(desk.engine.go_on(0, desk.now_ns))
    assert sooner.units == -ONE
    desk.fill(sooner, -ONE, 99.0)
    assert desk.engine.owed(0) == -1
    assert not placed(desk.step())


def test_a_fill_may_go_through_zero():
    desk = Desk("+++", spot=False, short_back=1)
    desk.bought()
    found = desk.fill(999, -3.0 * ONE, 105.0)
    (traded,) = [each for each in found if isinstance(each, Traded)]
    assert traded.held == -2.0 * ONE
    assert desk.reasons[traded.reason] == "unknown"
    book = desk.engine.state
    assert int(book.I[0, layout.OPEN_SIDE]) == -1
    assert book.B[0, layout.AVERAGE] == 105.0
    assert desk.count(layout.TRADES) == 1


def test_a_flip_that_was_given_up_and_fills_is_closed():
    desk = Desk("+-==", spot=False, short_back=1, exit_back=0, time_in_force=9)
    desk.bought()
    flip = desk.order(desk.step())
    assert flip.units == -2.0 * ONE
    desk.engine.halt(desk.now_ns, flatten=True)
    found = desk.fill(flip, -2.0 * ONE, 100.0)
    assert desk.order(found).units == ONE, "what arrived on the other side is not wanted"


@pytest.mark.parametrize("bars", [1, 3])
def test_a_flip_that_expires_still_closes(bars):
    desk = Desk("+-======", spot=False, short_back=1, exit_back=0, time_in_force=bars)
    desk.bought()
    flip = desk.order(desk.step())
    assert flip.units == -2.0 * ONE
    found = [desk.step() for _ in range(bars)][-1]
    assert desk.ends(found)[0] == (flip.order, EXPIRED, "unfilled")
    exit_ = placed(found)[0]
    assert (exit_.units, desk.why(exit_)) == (-ONE, "reversal")


def test_a_position_of_others_is_adopted_at_its_price():
    desk = Desk("====", stops={"stop_loss": 0.1})
    found = desk.engine.adopt(0, 2.0 * ONE, 50.0, desk.now_ns)
    assert [desk.reasons[each.reason] for each in found] == ["adopted"]
    assert desk.engine.cash == 9_900.0
    desk.step(2)
    assert desk.engine.equity == 9_900.0 + 200.0
    assert desk.engine.protection(0)[0] == pytest.approx(45.0)


@given(st.data())
@settings(max_examples=examples(60))
def test_cash_and_position_are_the_sum_of_fills(data):
    """Whatever the venue says in whatever order, nothing is lost and nothing counted twice."""
    desk = Desk("+-+-+-++--++", spot=False, short_back=1, stops={"stop_loss": 0.004},
                order=data.draw(st.sampled_from(["market", "limit"])))  # fmt: skip
    cash, units, orders = 10_000.0, 0.0, [999]
    for _ in range(12):
        found = desk.step()
        for _ in range(data.draw(st.integers(0, 4))):
            orders += [each.order for each in placed(found)]
            order = data.draw(st.sampled_from(orders))
            deed = data.draw(st.sampled_from(["fill", "fill", "end", "mark", "go on"]))
            if deed == "fill":
                some = data.draw(st.sampled_from([-2.0, -1.0, -0.3, 0.3, 1.0, 2.0])) * ONE
                price = data.draw(st.floats(95.0, 106.0))
                fee = data.draw(st.sampled_from([0.0, 0.1, -0.02]))
                kept = data.draw(st.sampled_from([0.0, 0.0, 1_000.0]))
                found = desk.fill(order, some, price, got=some - kept, fee=fee)
                cash -= some / ONE * price + (0.0 if kept else fee)
                units += some - kept
            elif deed == "end":
                found = desk.engine.end(0, order, CANCELLED, desk.now_ns)
            elif deed == "mark":
                price = data.draw(st.floats(95.0, 106.0))
                found = desk.engine.mark(0, price, price, desk.now_ns)
                worth = desk.engine.position(0)[0] * price
                assert math.isclose(desk.engine.equity, cash + worth, abs_tol=1e-7)
            else:
                found = desk.engine.go_on(0, desk.now_ns)
            assert desk.engine.position(0) == (units / ONE, units)
            assert math.isclose(desk.engine.cash, cash, abs_tol=1e-7)
            working = desk.engine.working(0)
            if working is not None and working.reduces:
                assert working.units * units < 0.0
                assert abs(working.units) <= abs(units)
    assert desk.count(layout.LOG) == 0
