"""Prices between bars, stops held here and at the venue, and what a person may do."""

from __future__ import annotations

import math

import pytest

from septet._core.engine import Engine
from septet._core.events import BY_HAND, Cleared, Halted, NewOrder
from septet._core.venue_fills import VenueFillsEngine
from septet._kernel import layout
from tests.core.engine_harness import MINUTE, ONE, EngineHarness
from tests.core.venue_fills import placed

CANCELLED = layout.STATUS_CANCELLED


def test_a_mark_moves_equity_and_the_peak_and_not_the_curve():
    harness = EngineHarness("++==")
    harness.bought()
    harness.step()
    curve = harness.engine.curve()
    assert harness.engine.mark(0, 110.0, 109.5, harness.now_ns + MINUTE) == []
    assert harness.engine.equity == 10_000.0 - 101.0 + 110.0
    assert harness.engine.state.A[layout.PEAK] == harness.engine.equity
    assert harness.engine.curve() == curve
    harness.engine.mark(0, 90.0, 90.0, harness.now_ns + 2 * MINUTE)
    assert harness.engine.state.A[layout.PEAK] == 10_009.0
    assert math.isclose(harness.engine.curve().equity, curve.equity)


def test_a_flat_symbol_is_marked_for_less_and_alike():
    short, whole = EngineHarness("++==", "===="), EngineHarness("++==", "====")
    for harness in (short, whole):
        harness.bought()
        assert not harness.engine.mark_flat(1, 90.0, harness.now_ns), "a fill has moved the equity"
        harness.engine.mark(0, 110.0, 109.5, harness.now_ns)
        assert not harness.engine.mark_flat(0, 90.0, harness.now_ns), "it is held"
        assert not harness.engine.mark_flat(1, math.nan, harness.now_ns)
    assert short.engine.mark_flat(1, 90.0, short.now_ns + MINUTE)
    assert whole.engine.mark(1, 90.0, 89.0, whole.now_ns + MINUTE) == []
    assert short.engine.snapshot() == whole.engine.snapshot()
    assert short.step() == whole.step()
    assert not short.engine.mark_flat(1, 91.0, short.now_ns), "a decision has moved the equity"


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_touched_stop_leaves_at_market_once_and_blocks_reentry(side):
    moves = "++====" if side > 0 else "--===="
    harness = EngineHarness(moves, spot=False, short_back=1, exit_back=0, stops={"stop_loss": 0.05})
    entry = harness.bought()
    assert entry.units == side * ONE
    level, reason = harness.engine.protection(0)
    assert (level, harness.reasons[reason]) == (entry.price * (1.0 - side * 0.05), "stop_loss")
    away, touched = level + side * 0.01, level - side * 0.01
    assert harness.engine.mark(0, away, away, harness.now_ns) == []
    found = harness.engine.mark(0, away, touched, harness.now_ns + MINUTE)
    exit_ = harness.order(found)
    assert (exit_.units, harness.why(exit_), exit_.kind) == (
        -side * ONE,
        "stop_loss",
        layout.MARKET,
    )
    assert harness.engine.mark(0, away, touched, harness.now_ns + 2 * MINUTE) == [], (
        "it is being left"
    )
    blocked = layout.BLOCKED_LONG if side > 0 else layout.BLOCKED_SHORT
    assert int(harness.engine.state.I[0, blocked]) == 1
    harness.fill(exit_, exit_.units, touched)
    assert not placed(harness.step()), "the signal has not differed yet"
    assert harness.reasons[harness.engine.decision(0).rejected] == "reentry_blocked"


def test_a_stop_at_the_venue_is_not_tested_here():
    harness = EngineHarness("++==", stops={"stop_loss": 0.05})
    harness.bought()
    assert harness.engine.mark(0, 50.0, math.nan, harness.now_ns) == []
    level, reason = harness.engine.protection(0)
    exit_ = harness.order(harness.engine.trigger(0, reason, harness.now_ns))
    assert (exit_.units, harness.why(exit_), exit_.trigger_price) == (-ONE, "stop_loss", level)
    harness.fill(exit_, -ONE, 94.0)
    assert harness.held == 0.0
    assert math.isnan(harness.engine.protection(0)[0])
    assert harness.engine.trigger(0, reason, harness.now_ns) == [], "there is nothing left to leave"


def test_a_triggered_stop_takes_the_place_of_an_exit():
    harness = EngineHarness("++-=", stops={"stop_loss": 0.05})
    harness.bought()
    exit_ = harness.order(harness.step(2))
    found = harness.engine.trigger(0, harness.engine.protection(0)[1], harness.now_ns)
    assert harness.ends(found) == [(exit_.order, CANCELLED, "stop_loss")]
    stop = harness.order(found)
    late = harness.fill(exit_, -0.5 * ONE, 100.0)
    assert not placed(late)
    assert harness.engine.working(0).units == -0.5 * ONE, "what is left to close"
    assert harness.ends(harness.fill(stop, -0.5 * ONE, 95.0))[0][0] == stop.order


def test_a_target_is_left_once_it_is_passed():
    harness = EngineHarness("++==", stops={"take_profit": 0.05})
    harness.bought()
    target = 101.0 * 1.05
    assert harness.engine.mark(0, target, target, harness.now_ns) == []
    exit_ = harness.order(harness.engine.mark(0, target, target + 0.01, harness.now_ns))
    assert harness.why(exit_) == "take_profit"
    assert int(harness.engine.state.I[0, layout.BLOCKED_LONG]) == 0


def test_a_trailing_stop_uses_the_highs_of_closed_bars():
    harness = EngineHarness("++=====", stops={"trailing": 0.02})
    harness.bought()
    assert harness.engine.protection(0)[0] == pytest.approx(101.0 * 0.98)
    harness.engine.mark(0, 120.0, 120.0, harness.now_ns)
    assert harness.engine.protection(0)[0] == pytest.approx(101.0 * 0.98)
    harness.step()
    assert harness.engine.protection(0)[0] == pytest.approx(102.5 * 0.98)


def test_time_limits_wait_for_a_decision_time():
    harness = EngineHarness("++=====", stops={"time_limit": 2}, exit_back=0)
    harness.bought()
    assert harness.engine.mark(0, 101.0, 101.0, harness.now_ns + 600 * MINUTE) == []
    (exit_,) = placed(harness.step(4))
    assert harness.why(exit_) == "time_limit"


def test_a_mark_trips_a_halt_once_and_flattens():
    halts = {"drawdown": {"above": 0.01, "then": "flatten", "resume": "manual"}}
    harness = EngineHarness("++===+++", amount=50.0, halts=halts)
    harness.bought()
    assert harness.engine.mark(0, 99.2, 99.2, harness.now_ns) == []
    found = harness.engine.mark(0, 98.0, 98.0, harness.now_ns)
    assert [type(each) for each in found] == [Halted, NewOrder]
    assert harness.why(harness.order(found)) == "drawdown"
    assert harness.engine.mark(0, 90.0, 90.0, harness.now_ns) == []
    assert harness.blocked == 1
    harness.fill(harness.order(found), -50.0 * ONE, 98.0)
    assert not placed(harness.step(3))
    cleared = harness.engine.resume(harness.now_ns)
    assert cleared == [Cleared(harness.now_ns, 0)]
    assert harness.engine.state.A[layout.PEAK] == harness.engine.equity
    assert harness.engine.resume(harness.now_ns) == []
    assert placed(harness.step(2)), "the signal has differed meanwhile"


def test_the_base_of_the_day_is_that_of_a_decision_time():
    halts = {"daily_loss": {"above": 0.01, "then": "block_entries", "resume": "next_day"}}
    harness = EngineHarness("++" + "=" * 30, amount=50.0, halts=halts, exit_back=0)
    harness.bought()
    harness.engine.mark(0, 105.0, 105.0, harness.now_ns)
    assert harness.engine.state.A[layout.DAY_BASE] == 10_000.0
    assert [type(each) for each in harness.engine.mark(0, 98.9, 98.9, harness.now_ns)] == [Halted]
    assert harness.blocked == 1
    assert harness.engine.resume(harness.now_ns) == [], "it clears by itself"
    harness.step(24)
    assert harness.blocked == 0


# -------------------------------------------------------------------------- a person


@pytest.mark.parametrize("kind", [Engine, VenueFillsEngine])
def test_a_person_halts_once_and_resumes(kind):
    harness = EngineHarness("++++++", kind=kind)
    entry = harness.order(harness.step(2))
    found = harness.engine.halt(harness.now_ns, flatten=False)
    assert found[0] == Halted(harness.now_ns, BY_HAND, 10_000.0)
    assert harness.ends(found) == [(entry.order, CANCELLED, "operator")]
    assert harness.engine.halt(harness.now_ns, flatten=False) == []
    assert (harness.blocked, harness.engine.blocked) == (1, True)
    assert not placed(harness.step())
    assert harness.reasons[harness.engine.decision(0).rejected] == "halted"
    assert harness.engine.resume(harness.now_ns) == [Cleared(harness.now_ns, BY_HAND)]
    assert harness.engine.resume(harness.now_ns) == []
    assert harness.blocked == 0
    assert len(placed(harness.step())) == 1


@pytest.mark.parametrize("kind", [Engine, VenueFillsEngine])
def test_a_person_closes_every_position(kind):
    harness = EngineHarness("++====", "++====", kind=kind, exit_back=0)
    for entry in placed(harness.step(2)):
        if kind is VenueFillsEngine:
            harness.fill(entry, entry.units, entry.price)
    harness.step()
    exits = placed(harness.engine.halt(harness.now_ns, flatten=True))
    assert [(each.symbol, each.units, harness.why(each)) for each in exits] == [
        (0, -ONE, "operator"), (1, -ONE, "operator"),
    ]  # fmt: skip
    assert harness.engine.halt(harness.now_ns, flatten=True) == []
    if kind is Engine:
        harness.step()
        assert harness.held == 0.0
        assert harness.engine.position(1) == (0.0, 0.0)
    else:
        assert harness.engine.lots_to_close(0) == -ONE
        harness.engine.end(0, exits[0].order, CANCELLED, harness.now_ns)
        again = harness.order(harness.step())
        assert (again.symbol, harness.why(again)) == (0, "operator"), "an exit goes on until done"


def test_flattening_by_hand_is_flattening_by_a_halt():
    """The one part of the text that is written twice: here both must agree."""
    halts = {"drawdown": {"above": 0.01, "then": "flatten", "resume": "manual"}}
    ended = []
    for by_hand in (True, False):
        harness = EngineHarness("++===", "++===", amount=30.0, halts=halts, spot=False, latency=1)
        for entry in placed(harness.step(2)):
            harness.fill(entry, 0.5 * entry.units, entry.price)
        if by_hand:
            harness.engine.mark(0, 100.9, math.nan, harness.now_ns)
            found = harness.engine.halt(harness.now_ns, flatten=True)
        else:
            harness.engine.mark(0, 100.9, math.nan, harness.now_ns)
            found = harness.engine.mark(1, 90.0, math.nan, harness.now_ns)
        state = harness.engine.state
        ends = [each[:2] for each in harness.ends(found)]
        orders = [(each.symbol, each.order, each.units, each.kind) for each in placed(found)]
        kept = [layout.WORKING, layout.REDUCES, layout.ACTIVE_NS, layout.ORDER_ID]
        now = state.I[:, kept].tolist()
        for exit_ in placed(found):
            harness.fill(exit_, exit_.units, exit_.price)
        ended.append((ends, orders, now, state.I[:, layout.BLOCKED_LONG].tolist()))
    assert ended[0] == ended[1]
    assert ended[0][3] == [1, 1], "what has closed a position blocks its side"
    assert len(ended[0][1]) == 2
