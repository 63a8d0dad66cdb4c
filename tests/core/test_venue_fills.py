"""What fills and ends of a venue do to orders, positions and cash."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._core.events import NewOrder, Traded
from septet._kernel import layout
from tests.core.engine_harness import ONE, EngineHarness
from tests.core.venue_fills import placed
from tests.scale import examples

FILLED, CANCELLED, EXPIRED = (
    layout.STATUS_FILLED, layout.STATUS_CANCELLED, layout.STATUS_EXPIRED,
)  # fmt: skip


def test_parts_fill_an_order_and_the_last_one_ends_it():
    harness = EngineHarness("++++")
    entry = harness.order(harness.step(2))
    assert (entry.units, entry.price, entry.reduces, harness.why(entry)) == (
        ONE,
        101.0,
        False,
        "entry",
    )
    first = harness.fill(entry, 0.25 * ONE, 101.0)
    assert [type(each) for each in first] == [Traded]
    assert harness.engine.working(0).units == 0.75 * ONE
    second = harness.fill(entry, 0.75 * ONE, 103.0, fee=0.5)
    assert harness.ends(second) == [(entry.order, FILLED, "entry")]
    assert harness.engine.working(0) is None
    assert harness.held == 1.0
    assert harness.engine.cash == 10_000.0 - 0.25 * 101.0 - 0.75 * 103.0 - 0.5
    (traded,) = [each for each in second if isinstance(each, Traded)]
    assert (traded.held, traded.fee, traded.net_units) == (ONE, 0.5, 0.75 * ONE)


TURNS: dict[str, Any] = {
    "spot": False, "order": "limit", "offset": 0.001, "time_in_force": 3, "short_back": 1,
    "exit_back": 0,
}  # fmt: skip


def turned() -> tuple[EngineHarness, NewOrder, NewOrder]:
    """Return a harness that has bought and turns: its exit and the entry behind it."""
    harness = EngineHarness("+--+++", **TURNS)
    harness.bought()
    exit_, entry = placed(harness.step())
    return harness, exit_, entry


def test_an_entry_of_the_other_side_that_rests_follows_its_exit():
    harness, exit_, entry = turned()
    assert (exit_.kind, exit_.units, harness.why(exit_)) == (layout.MARKET, -ONE, "opposite")
    assert (entry.kind, entry.units, harness.why(entry)) == (layout.LIMIT, -ONE, "entry")
    assert (exit_.reduces, entry.reduces) == (True, False)
    assert harness.engine.working(0).order == exit_.order
    harness.fill(exit_, -ONE, 99.0)
    assert (harness.held, harness.engine.working(0).order) == (0.0, entry.order)
    assert harness.ends(harness.fill(entry, -ONE, 100.0)) == [(entry.order, FILLED, "entry")]
    assert harness.held == -1.0


def test_a_person_or_the_venue_ends_an_entry_that_waits_for_its_exit():
    harness, exit_, entry = turned()
    assert harness.ends(harness.engine.halt(harness.now_ns, flatten=False)) == [
        (entry.order, CANCELLED, "operator")
    ]
    assert harness.engine.working(0).order == exit_.order
    harness, exit_, entry = turned()
    assert harness.ends(harness.engine.end(0, entry.order, EXPIRED, harness.now_ns)) == [
        (entry.order, EXPIRED, "entry")
    ]
    harness.fill(exit_, -ONE, 99.0)
    assert harness.engine.working(0) is None


def test_an_exit_that_a_venue_ended_is_sent_again_before_the_entry_works():
    harness, exit_, entry = turned()
    harness.engine.end(0, exit_.order, CANCELLED, harness.now_ns)
    assert harness.engine.working(0) is None
    again = harness.order(harness.engine.go_on(0, harness.now_ns))
    assert (again.units, harness.why(again)) == (-ONE, "opposite")
    harness.fill(again, -ONE, 99.0)
    assert harness.engine.working(0).order == entry.order


def test_a_fee_in_base_leaves_less_and_costs_no_cash():
    harness = EngineHarness("++++")
    entry = harness.order(harness.step(2))
    done = harness.fill(entry, ONE, 100.0, net_units=ONE - 100_000.0, fee=0.1)
    assert harness.ends(done) == [(entry.order, FILLED, "entry")]
    assert harness.held == 0.999
    assert harness.engine.cash == 9_900.0
    assert harness.engine.state.A[layout.FEES] == 0.1


def test_an_order_that_ended_twice_ended_once():
    harness = EngineHarness("++++")
    entry = harness.order(harness.step(2))
    assert harness.ends(harness.engine.end(0, entry.order, CANCELLED, harness.now_ns)) == [
        (entry.order, CANCELLED, "entry")
    ]
    assert harness.engine.end(0, entry.order, CANCELLED, harness.now_ns) == []
    assert harness.engine.end(0, 77, EXPIRED, harness.now_ns) == []
    assert harness.engine.working(0) is None
    assert not placed(harness.engine.go_on(0, harness.now_ns)), (
        "a rejected entry is not tried again"
    )
    assert len(placed(harness.step())) == 1, "the next decision is free to signal it again"


def test_a_fill_after_the_end_is_booked_all_the_same():
    harness = EngineHarness("++++")
    entry = harness.order(harness.step(2))
    harness.engine.end(0, entry.order, CANCELLED, harness.now_ns)
    found = harness.fill(entry, 0.5 * ONE, 101.0)
    assert [type(each) for each in found] == [Traded]
    assert harness.held == 0.5


def test_a_late_fill_of_an_entry_that_an_exit_gave_up_is_closed_at_once():
    harness = EngineHarness("+-===", order="limit", time_in_force=9)
    entry = harness.order(harness.step(2))
    given_up = harness.step()
    assert harness.ends(given_up) == [(entry.order, CANCELLED, "exit")]
    late = harness.fill(entry, 0.4 * ONE, 101.0)
    exit_ = harness.order(late)
    assert (exit_.units, harness.why(exit_), exit_.reduces) == (-0.4 * ONE, "late_fill", True)
    more = harness.fill(entry, 0.6 * ONE, 101.0)
    assert harness.ends(more) == [(exit_.order, CANCELLED, "late_fill")], "the exit must grow"
    assert harness.order(more).units == -ONE
    harness.fill(harness.order(more), -ONE, 100.0)
    assert harness.held == 0.0


def test_a_late_fill_of_an_expired_entry_stays_and_the_next_one_shrinks():
    harness = EngineHarness("+++++", order="limit", time_in_force=1)
    first = harness.order(harness.step(2))
    found = harness.step()
    assert harness.ends(found) == [(first.order, EXPIRED, "unfilled")]
    second = harness.order(found)
    assert harness.ends(harness.fill(first, 0.75 * ONE, 101.0)) == []
    assert harness.engine.working(0).units == 0.25 * ONE
    done = harness.fill(first, 0.25 * ONE, 101.0)
    assert harness.ends(done) == [(second.order, CANCELLED, "late_fill")]
    assert harness.held == 1.0


def test_an_exit_that_is_rejected_by_the_venue_is_sent_again():
    harness = EngineHarness("+-====")
    harness.bought()
    exit_ = harness.order(harness.step())
    assert harness.why(exit_) == "exit"
    assert harness.engine.exit_to_retry(0) == -1
    harness.engine.end(0, exit_.order, CANCELLED, harness.now_ns)
    assert harness.reasons[harness.engine.exit_to_retry(0)] == "exit"
    again = harness.order(harness.step())
    assert (again.units, harness.why(again)) == (-ONE, "exit")
    harness.engine.end(0, again.order, CANCELLED, harness.now_ns)
    sooner = harness.order(harness.engine.go_on(0, harness.now_ns))
    assert sooner.units == -ONE
    harness.fill(sooner, -ONE, 99.0)
    assert harness.engine.exit_to_retry(0) == -1
    assert not placed(harness.step())


def test_a_fill_may_go_through_zero():
    harness = EngineHarness("+++", spot=False, short_back=1)
    harness.bought()
    found = harness.fill(999, -3.0 * ONE, 105.0)
    (traded,) = [each for each in found if isinstance(each, Traded)]
    assert traded.held == -2.0 * ONE
    assert harness.reasons[traded.reason] == "unknown"
    book = harness.engine.state
    assert int(book.I[0, layout.OPEN_SIDE]) == -1
    assert book.B[0, layout.AVERAGE] == 105.0
    assert harness.count(layout.TRADES) == 1


def test_a_flip_that_was_given_up_and_fills_is_closed():
    harness = EngineHarness("+-==", spot=False, short_back=1, exit_back=0, time_in_force=9)
    harness.bought()
    flip = harness.order(harness.step())
    assert flip.units == -2.0 * ONE
    harness.engine.halt(harness.now_ns, flatten=True)
    found = harness.fill(flip, -2.0 * ONE, 100.0)
    assert harness.order(found).units == ONE, "what arrived on the other side is not needed"


@pytest.mark.parametrize("bars", [1, 3])
def test_a_flip_that_expires_still_closes(bars):
    harness = EngineHarness("+-======", spot=False, short_back=1, exit_back=0, time_in_force=bars)
    harness.bought()
    flip = harness.order(harness.step())
    assert flip.units == -2.0 * ONE
    found = [harness.step() for _ in range(bars)][-1]
    assert harness.ends(found)[0] == (flip.order, EXPIRED, "unfilled")
    exit_ = placed(found)[0]
    assert (exit_.units, harness.why(exit_)) == (-ONE, "reversal")


def test_a_position_of_others_is_adopted_at_its_price():
    harness = EngineHarness("====", stops={"stop_loss": 0.1})
    found = harness.engine.adopt(0, 2.0 * ONE, 50.0, harness.now_ns)
    assert [harness.reasons[each.reason] for each in found] == ["adopted"]
    assert harness.engine.cash == 9_900.0
    harness.step(2)
    assert harness.engine.equity == 9_900.0 + 200.0
    assert harness.engine.protection(0)[0] == pytest.approx(45.0)


@given(st.data())
@settings(max_examples=examples(60))
def test_cash_and_position_are_the_sum_of_fills(data):
    """Whatever the venue reports in whatever order, nothing is lost and nothing counted twice."""
    harness = EngineHarness("+-+-+-++--++", spot=False, short_back=1, stops={"stop_loss": 0.004},
                order=data.draw(st.sampled_from(["market", "limit"])))  # fmt: skip
    cash, units, orders = 10_000.0, 0.0, [999]
    for _ in range(12):
        found = harness.step()
        for _ in range(data.draw(st.integers(0, 4))):
            orders += [each.order for each in placed(found)]
            order = data.draw(st.sampled_from(orders))
            deed = data.draw(st.sampled_from(["fill", "fill", "end", "mark", "go on"]))
            if deed == "fill":
                some = data.draw(st.sampled_from([-2.0, -1.0, -0.3, 0.3, 1.0, 2.0])) * ONE
                price = data.draw(st.floats(95.0, 106.0))
                fee = data.draw(st.sampled_from([0.0, 0.1, -0.02]))
                kept = data.draw(st.sampled_from([0.0, 0.0, 1_000.0]))
                found = harness.fill(order, some, price, net_units=some - kept, fee=fee)
                cash -= some / ONE * price + (0.0 if kept else fee)
                units += some - kept
            elif deed == "end":
                found = harness.engine.end(0, order, CANCELLED, harness.now_ns)
            elif deed == "mark":
                price = data.draw(st.floats(95.0, 106.0))
                found = harness.engine.mark(0, price, price, harness.now_ns)
                worth = harness.engine.position(0)[0] * price
                assert math.isclose(harness.engine.equity, cash + worth, abs_tol=1e-7)
            else:
                found = harness.engine.go_on(0, harness.now_ns)
            assert harness.engine.position(0) == (units / ONE, units)
            assert math.isclose(harness.engine.cash, cash, abs_tol=1e-7)
            working = harness.engine.working(0)
            if working is not None and working.reduces:
                assert working.units * units < 0.0
                assert abs(working.units) <= abs(units)
    assert harness.count(layout.LOG) == 0
