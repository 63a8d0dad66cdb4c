"""Prices between bars, stops held here and at the venue, and what a person may do."""

from __future__ import annotations

import math

import pytest

from septet._core.engine import Engine
from septet._core.events import BY_HAND, Halted, Lifted, Place
from septet._core.external import ExternalEngine
from septet._kernel import layout
from tests.core.desk import MINUTE, ONE, Desk
from tests.core.outside import placed

CANCELLED = layout.STATUS_CANCELLED


def test_a_mark_moves_equity_and_the_peak_and_not_the_curve():
    desk = Desk("++==")
    desk.bought()
    desk.step()
    curve = desk.engine.curve()
    assert desk.engine.mark(0, 110.0, 109.5, desk.now_ns + MINUTE) == []
    assert desk.engine.equity == 10_000.0 - 101.0 + 110.0
    assert desk.engine.state.A[layout.PEAK] == desk.engine.equity
    assert desk.engine.curve() == curve
    desk.engine.mark(0, 90.0, 90.0, desk.now_ns + 2 * MINUTE)
    assert desk.engine.state.A[layout.PEAK] == 10_009.0
    assert math.isclose(desk.engine.curve().equity, curve.equity)


def test_a_flat_symbol_is_marked_for_less_and_alike():
    short, whole = Desk("++==", "===="), Desk("++==", "====")
    for desk in (short, whole):
        desk.bought()
        assert not desk.engine.mark_flat(1, 90.0, desk.now_ns), "a fill has moved the equity"
        desk.engine.mark(0, 110.0, 109.5, desk.now_ns)
        assert not desk.engine.mark_flat(0, 90.0, desk.now_ns), "it is held"
        assert not desk.engine.mark_flat(1, math.nan, desk.now_ns)
    assert short.engine.mark_flat(1, 90.0, short.now_ns + MINUTE)
    assert whole.engine.mark(1, 90.0, 89.0, whole.now_ns + MINUTE) == []
    assert short.engine.snapshot() == whole.engine.snapshot()
    assert short.step() == whole.step()
    assert not short.engine.mark_flat(1, 91.0, short.now_ns), "a decision has moved the equity"


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_touched_stop_leaves_at_market_once_and_disarms(side):
    moves = "++====" if side > 0 else "--===="
    desk = Desk(moves, spot=False, short_back=1, exit_back=0, stops={"stop_loss": 0.05})
    entry = desk.bought()
    assert entry.units == side * ONE
    level, reason = desk.engine.protection(0)
    assert (level, desk.reasons[reason]) == (entry.price * (1.0 - side * 0.05), "stop_loss")
    away, touched = level + side * 0.01, level - side * 0.01
    assert desk.engine.mark(0, away, away, desk.now_ns) == []
    found = desk.engine.mark(0, away, touched, desk.now_ns + MINUTE)
    exit_ = desk.order(found)
    assert (exit_.units, desk.why(exit_), exit_.kind) == (-side * ONE, "stop_loss", layout.MARKET)
    assert desk.engine.mark(0, away, touched, desk.now_ns + 2 * MINUTE) == [], "it is being left"
    blocked = layout.BLOCKED_LONG if side > 0 else layout.BLOCKED_SHORT
    assert int(desk.engine.state.I[0, blocked]) == 1
    desk.fill(exit_, exit_.units, touched)
    assert not placed(desk.step()), "the wish has not differed yet"
    assert desk.reasons[desk.engine.decision(0).refused] == "disarmed"


def test_a_stop_at_the_venue_is_not_tested_here():
    desk = Desk("++==", stops={"stop_loss": 0.05})
    desk.bought()
    assert desk.engine.mark(0, 50.0, math.nan, desk.now_ns) == []
    level, reason = desk.engine.protection(0)
    exit_ = desk.order(desk.engine.trigger(0, reason, desk.now_ns))
    assert (exit_.units, desk.why(exit_), exit_.trigger_price) == (-ONE, "stop_loss", level)
    desk.fill(exit_, -ONE, 94.0)
    assert desk.held == 0.0
    assert math.isnan(desk.engine.protection(0)[0])
    assert desk.engine.trigger(0, reason, desk.now_ns) == [], "there is nothing left to leave"


def test_a_triggered_stop_takes_the_place_of_an_exit():
    desk = Desk("++-=", stops={"stop_loss": 0.05})
    desk.bought()
    exit_ = desk.order(desk.step(2))
    found = desk.engine.trigger(0, desk.engine.protection(0)[1], desk.now_ns)
    assert desk.ends(found) == [(exit_.order, CANCELLED, "stop_loss")]
    stop = desk.order(found)
    late = desk.fill(exit_, -0.5 * ONE, 100.0)
    assert not placed(late)
    assert desk.engine.working(0).units == -0.5 * ONE, "what is left to close"
    assert desk.ends(desk.fill(stop, -0.5 * ONE, 95.0))[0][0] == stop.order


def test_a_target_is_left_once_it_is_passed():
    desk = Desk("++==", stops={"take_profit": 0.05})
    desk.bought()
    target = 101.0 * 1.05
    assert desk.engine.mark(0, target, target, desk.now_ns) == []
    exit_ = desk.order(desk.engine.mark(0, target, target + 0.01, desk.now_ns))
    assert desk.why(exit_) == "take_profit"
    assert int(desk.engine.state.I[0, layout.BLOCKED_LONG]) == 0


def test_a_trailing_stop_uses_the_highs_of_closed_bars():
    desk = Desk("++=====", stops={"trailing": 0.02})
    desk.bought()
    assert desk.engine.protection(0)[0] == pytest.approx(101.0 * 0.98)
    desk.engine.mark(0, 120.0, 120.0, desk.now_ns)
    assert desk.engine.protection(0)[0] == pytest.approx(101.0 * 0.98)
    desk.step()
    assert desk.engine.protection(0)[0] == pytest.approx(102.5 * 0.98)


def test_time_limits_wait_for_a_decision_time():
    desk = Desk("++=====", stops={"time_limit": 2}, exit_back=0)
    desk.bought()
    assert desk.engine.mark(0, 101.0, 101.0, desk.now_ns + 600 * MINUTE) == []
    (exit_,) = placed(desk.step(4))
    assert desk.why(exit_) == "time_limit"


def test_a_mark_fires_a_halt_once_and_flattens():
    halts = {"drawdown": {"above": 0.01, "then": "flatten", "resume": "manual"}}
    desk = Desk("++===+++", amount=50.0, halts=halts)
    desk.bought()
    assert desk.engine.mark(0, 99.2, 99.2, desk.now_ns) == []
    found = desk.engine.mark(0, 98.0, 98.0, desk.now_ns)
    assert [type(each) for each in found] == [Halted, Place]
    assert desk.why(desk.order(found)) == "drawdown"
    assert desk.engine.mark(0, 90.0, 90.0, desk.now_ns) == []
    assert desk.blocked == 1
    desk.fill(desk.order(found), -50.0 * ONE, 98.0)
    assert not placed(desk.step(3))
    lifted = desk.engine.resume(desk.now_ns)
    assert lifted == [Lifted(desk.now_ns, 0)]
    assert desk.engine.state.A[layout.PEAK] == desk.engine.equity
    assert desk.engine.resume(desk.now_ns) == []
    assert placed(desk.step(2)), "the wish has differed meanwhile"


def test_the_base_of_the_day_is_that_of_a_decision_time():
    halts = {"daily_loss": {"above": 0.01, "then": "block_entries", "resume": "next_day"}}
    desk = Desk("++" + "=" * 30, amount=50.0, halts=halts, exit_back=0)
    desk.bought()
    desk.engine.mark(0, 105.0, 105.0, desk.now_ns)
    assert desk.engine.state.A[layout.DAY_BASE] == 10_000.0
    assert [type(each) for each in desk.engine.mark(0, 98.9, 98.9, desk.now_ns)] == [Halted]
    assert desk.blocked == 1
    assert desk.engine.resume(desk.now_ns) == [], "it lifts by itself"
    desk.step(24)
    assert desk.blocked == 0


# -------------------------------------------------------------------------- a person


@pytest.mark.parametrize("kind", [Engine, ExternalEngine])
def test_a_person_halts_once_and_resumes(kind):
    desk = Desk("++++++", kind=kind)
    entry = desk.order(desk.step(2))
    found = desk.engine.halt(desk.now_ns, flatten=False)
    assert found[0] == Halted(desk.now_ns, BY_HAND, 10_000.0)
    assert desk.ends(found) == [(entry.order, CANCELLED, "operator")]
    assert desk.engine.halt(desk.now_ns, flatten=False) == []
    assert (desk.blocked, desk.engine.blocked) == (1, True)
    assert not placed(desk.step())
    assert desk.reasons[desk.engine.decision(0).refused] == "halted"
    assert desk.engine.resume(desk.now_ns) == [Lifted(desk.now_ns, BY_HAND)]
    assert desk.engine.resume(desk.now_ns) == []
    assert desk.blocked == 0
    assert len(placed(desk.step())) == 1


@pytest.mark.parametrize("kind", [Engine, ExternalEngine])
def test_a_person_closes_every_position(kind):
    desk = Desk("++====", "++====", kind=kind, exit_back=0)
    for entry in placed(desk.step(2)):
        if kind is ExternalEngine:
            desk.fill(entry, entry.units, entry.price)
    desk.step()
    exits = placed(desk.engine.halt(desk.now_ns, flatten=True))
    assert [(each.symbol, each.units, desk.why(each)) for each in exits] == [
        (0, -ONE, "operator"), (1, -ONE, "operator"),
    ]  # fmt: skip
    assert desk.engine.halt(desk.now_ns, flatten=True) == []
    if kind is Engine:
        desk.step()
        assert desk.held == 0.0
        assert desk.engine.position(1) == (0.0, 0.0)
    else:
        assert desk.engine.lots_to_close(0) == -ONE
        desk.engine.end(0, exits[0].order, CANCELLED, desk.now_ns)
        again = desk.order(desk.step())
        assert (again.symbol, desk.why(again)) == (0, "operator"), "an exit goes on until done"


def test_flattening_by_hand_is_flattening_by_a_halt():
    """The one part of the text that is written twice: here both must say the same."""
    halts = {"drawdown": {"above": 0.01, "then": "flatten", "resume": "manual"}}
    ended = []
    for by_hand in (True, False):
        desk = Desk("++===", "++===", amount=30.0, halts=halts, spot=False, latency=1)
        for entry in placed(desk.step(2)):
            desk.fill(entry, 0.5 * entry.units, entry.price)
        if by_hand:
            desk.engine.mark(0, 100.9, math.nan, desk.now_ns)
            found = desk.engine.halt(desk.now_ns, flatten=True)
        else:
            desk.engine.mark(0, 100.9, math.nan, desk.now_ns)
            found = desk.engine.mark(1, 90.0, math.nan, desk.now_ns)
        state = desk.engine.state
        ends = [each[:2] for each in desk.ends(found)]
        orders = [(each.symbol, each.order, each.units, each.kind) for each in placed(found)]
        kept = [layout.WORKING, layout.REDUCES, layout.ACTIVE_NS, layout.ORDER_ID]
        now = state.I[:, kept].tolist()
        for exit_ in placed(found):
            desk.fill(exit_, exit_.units, exit_.price)
        ended.append((ends, orders, now, state.I[:, layout.BLOCKED_LONG].tolist()))
    assert ended[0] == ended[1]
    assert ended[0][3] == [1, 1], "what has closed a position blocks its side"
    assert len(ended[0][1]) == 2
