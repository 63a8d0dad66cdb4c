"""Filters that the venue reports later, and that do not let a position go."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from septet import messages as m
from septet._core.ledger_check import unexplained
from septet._kernel import layout
from septet._live.replay import replay
from septet._live.shadow import shadow
from septet._live.wiring import core_terms
from tests.live.diffs import LOT, TICK, WARMUP, Lives, begun, walk
from tests.live.test_gone_positions import PLAIN
from tests.live.test_overdue_stops import START, cancels, ended, protected, quote, sales
from tests.live.test_prices import SECOND
from tests.live.test_steps import BASE, END
from tests.live.test_steps import quote as quoted

RIGHT: dict[str, Any] = {"lot": 0.001, "min_notional": 0.0, "min_quantity": 0.0}
WRONG = [{**RIGHT, "lot": 1.0}, {**RIGHT, "min_notional": 1e9}, {**RIGHT, "min_quantity": 1.0}]


def report(core: Any, seconds: float, filters: dict[str, float]) -> list[m.Command]:
    at_ns = START + int(seconds * SECOND)
    found: list[m.Command] = core.handle(
        m.FiltersChanged(at_ns=at_ns, symbol=0, tick=0.01, trading=True, listed=True, **filters)
    )
    return found


def alarms(found: list[m.Command]) -> list[str]:
    alerts = (each for each in found if isinstance(each, m.Alerted))
    return [each.level for each in alerts if each.event == "unsellable"]


@pytest.mark.parametrize("wrong", WRONG, ids=["lot", "notional", "quantity"])
def test_a_stop_that_stands_stays_and_a_person_is_asked(wrong: dict[str, float]) -> None:
    core, _ = protected()
    found = report(core, 2, wrong)
    found += quote(core, 3, 99.5) + quote(core, 8, 99.4)
    assert cancels(found) == []
    assert alarms(found) == ["critical"]
    assert [each.rule for each in found if isinstance(each, m.Tripped)] == [
        "filters_changed:BTC/USDT"
    ]
    assert core.orders.protected(0)
    found = report(core, 9, wrong) + report(core, 10, RIGHT) + quote(core, 11, 99.4)
    assert (alarms(found), cancels(found)) == ([], [])


@pytest.mark.parametrize(("tick", "blocks"), [(50.0, True), (0.5, False), (0.005, False)])
def test_a_tick_at_which_no_stop_can_rest_near_its_level_blocks_entries(
    tick: float, blocks: bool
) -> None:
    core, _ = protected()
    found = core.handle(
        m.FiltersChanged(at_ns=START + 2 * SECOND, symbol=0, tick=tick, trading=True, **RIGHT)
    )
    texts = [each.text for each in found if isinstance(each, m.Tripped)]
    assert [f"is {tick:.12g}, " in each for each in texts] == [True] * blocks
    assert cancels(found) == [], "the stop that rests is right"


def cleared(found: list[m.Command]) -> list[tuple[str, str]]:
    return [(each.rule, each.by) for each in found if isinstance(each, m.Cleared)]


@pytest.mark.parametrize(
    ("wrong", "tick"), [*((each, 0.01) for each in WRONG), (RIGHT, 50.0)],
    ids=["lot", "notional", "quantity", "tick"],
)  # fmt: skip
def test_filters_as_before_the_change_end_the_block(wrong: dict[str, Any], tick: float) -> None:
    """Once, and also after a restart; the filters of the change are no longer those before."""
    core, _ = protected()
    for second in (2, 20):
        at_ns = START + second * SECOND
        core.handle(m.FiltersChanged(at_ns=at_ns, symbol=0, tick=tick, trading=True, **wrong))
        assert core.guards.blocked(0) == "filters_changed"
        assert cleared(report(core, second + 1, {**RIGHT, "lot": 0.002})) == [], "not the same"
        core.restore(core.snapshot())
        ends = [("filters_changed:BTC/USDT", "the filters are as before")]
        assert cleared(report(core, second + 2, RIGHT)) == ends
        assert cleared(report(core, second + 3, RIGHT)) == []
        assert core.guards.blocked(0) == ""


def test_after_a_resume_the_changed_filters_are_those_from_before_the_next_change() -> None:
    core, _ = protected()
    report(core, 2, {**RIGHT, "lot": 0.002})
    core.handle(m.Operated(at_ns=START + 3 * SECOND, action="resume", name="ann", reason="seen"))
    report(core, 4, {**RIGHT, "lot": 0.004})
    assert cleared(report(core, 5, RIGHT)) == []
    assert cleared(report(core, 6, {**RIGHT, "lot": 0.002})) != []


@pytest.mark.parametrize("wrong", WRONG[1:], ids=["notional", "quantity"])
def test_an_exit_that_cannot_be_sent_is_an_alarm_of_the_flatten(wrong: dict[str, float]) -> None:
    """Where the position is worth more than a remainder; the engine waits to send it."""
    core, _ = protected(20_000_000.0)
    report(core, 2, {**wrong, "min_quantity": 1e6 * wrong["min_quantity"]})
    found = core.handle(
        m.Operated(
            at_ns=START + 3 * SECOND, action="flatten", name="Ann", reason="news",
            market_ns=START + 3 * SECOND,
        )
    )  # fmt: skip
    assert sales(found) == []
    assert [each for each in found if isinstance(each, m.Placed)] == []
    assert alarms(found) == ["critical"]


@pytest.mark.parametrize(
    ("kinds", "rests"),
    [({"market", "limit", "stop"}, True), ({"market", "limit", "stop_limit"}, False)],
)
def test_a_stop_rests_only_where_the_venue_takes_what_is_sent(
    kinds: set[str], *, rests: bool
) -> None:
    """Protective stops are sent as stop-market orders."""
    facts: Any = SimpleNamespace(order_types=kinds, answers_final_after_ns=1, amends=False)
    assert core_terms(facts, 1.0)["holds_stops"] is rests


def test_units_below_a_coarser_lot_are_a_position_again_once_they_are_a_lot() -> None:
    """They were left without stop and exit for good, whatever lot the venue reported later."""
    core, stop = protected()
    report(core, 2, {**RIGHT, "lot": 0.006})
    core.handle(
        m.Filled(
            at_ns=START + 3 * SECOND, venue="sim", symbol=0, trade_id="1", client_id=stop,
            venue_order_id="7", venue_ns=START + 3 * SECOND, market_ns=START + 3 * SECOND,
            side="sell", quantity=0.006, price=98.9, fee=0.0, fee_currency="USDT",
        )
    )  # fmt: skip
    ended(core, stop, 4, filled=0.006)
    assert core.engine.held(0) == pytest.approx(0.004)
    assert not core.engine.state.I[0, layout.OPEN_SIDE], "less than a lot is flat"
    cash = core.engine.cash
    found = report(core, 5, RIGHT) + quote(core, 6, 99.4)
    assert [each.event for each in found if isinstance(each, m.Alerted)] == ["adopted"]
    assert core.engine.held(0) == pytest.approx(0.004)
    assert core.engine.cash == pytest.approx(cash)
    stops = [each for each in found if isinstance(each, m.Submit) and each.order_type == "stop"]
    assert [each.side for each in stops] == ["sell"]
    assert stops[0].quantity == pytest.approx(0.004)
    assert report(core, 7, RIGHT) == [], "once"


def test_ledger_trades_replay_and_shadow_agree_after_a_lot_that_came_and_went(
    tmp_path: Path,
) -> None:
    bars = walk(160, 5)
    run = begun(tmp_path, bars, BASE + PLAIN + END)
    coarse, adopted = 0.0, 0
    for n, (bar, after) in enumerate(pairwise(bars)):
        run.bar(n, bar, after.open, Lives(first=WARMUP))
        for k, price in enumerate((after.open, after.low, after.high, after.close)):
            at_ns = after.open_ns + (10 + 600 * k) * SECOND
            run.follow(quoted(at_ns, price), price)
        held, side = run.core.engine.held(0), run.core.engine.state.I[0, layout.OPEN_SIDE]
        lot = coarse
        if held > 10 * LOT and side and not coarse and n > WARMUP:
            lot = math.floor(0.6 * held / LOT) * LOT
        elif held >= LOT and not side and coarse:
            lot, adopted = 0.0, adopted + 1
        if lot != coarse:
            coarse = lot
            event = m.FiltersChanged(
                at_ns=at_ns + SECOND, symbol=0, tick=TICK, trading=True, listed=True,
                lot=lot or LOT, min_notional=0.0, min_quantity=0.0,
            )  # fmt: skip
            run.follow(event, after.close)
            assert run.core.engine.held(0) == held
            assert run.core.engine.state.I[0, layout.OPEN_SIDE] == 1
    run.journal.commit()
    run.journal.close()
    assert adopted >= 1
    assert unexplained(run.core.engine.state, 5_000.0) == 0.0
    for proof in (replay, shadow):
        result = proof(tmp_path / "run")
        assert (result.differences, result.first) == (0, None), proof.__name__
