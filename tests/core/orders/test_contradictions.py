"""A status and quantities that contradict each other, or what is booked, book and end nothing."""

from __future__ import annotations

from typing import Any

import pytest

from septet import messages as m
from septet._core.orders.contradictions import contradicts_itself
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import LOT

LEVEL = 90.0
DUST = 1e-6


def account(bench: Bench, gap: float) -> bool:
    """Read the account, which holds more than is booked by `gap`."""
    bench.now += 1
    booked = bench.core.resolve_disputes(0, "BTC", gap, LOT, bench.now, bench.now)
    bench.handle(m.Ticked(at_ns=bench.now, market_ns=bench.now))
    return booked


def protected() -> tuple[Bench, m.Submit]:
    """A position whose stop stands at the venue."""
    bench = Bench()
    stop = bench.hold_with_stop(1.0, LEVEL)
    bench.take(m.Query)
    return bench, stop


@pytest.mark.parametrize(
    ("state", "filled", "odd"),
    [
        ("filled", 1.0, False), ("filled", 0.0, True), ("filled", 0.5, True),
        ("filled", 1.5, True), ("partially_filled", 0.5, False), ("partially_filled", 0.0, True),
        ("partially_filled", 1.0, True), ("open", 0.0, False), ("open", 0.5, True),
        ("cancelled", 0.0, False), ("cancelled", 0.5, False), ("cancelled", 1.0, False),
        ("expired", 1.5, True), ("rejected", 0.0, False),
    ],
)  # fmt: skip
def test_which_quantities_go_with_a_state(state: m.OrderState, filled: float, *, odd: bool) -> None:
    assert contradicts_itself(state, 1.0, filled, DUST) is odd


def kinds() -> list[Any]:
    return [
        pytest.param({}, id="market"),
        pytest.param({"kind": "limit", "limit_price": 99.0}, id="limit"),
        pytest.param({"kind": "stop", "trigger_price": 105.0}, id="stop"),
    ]


@pytest.mark.parametrize("order", kinds())
@pytest.mark.parametrize("filled", [0.0, 0.4])
def test_an_answer_filled_with_less_than_the_order_ends_no_entry(
    order: dict[str, Any], filled: float
) -> None:
    bench = Bench()
    sent = bench.order(1, **order)
    bench.ack(sent, state="filled", filled=filled)
    assert bench.states[sent.client_id] == "unknown"
    assert bench.guards.blocked(0) == "unknown_order"
    assert bench.alerted("unreadable") == ["error"]
    text = next(each.text for each in bench.alerts if each.event == "unreadable")
    assert f"filled with {filled:.12g} executed of 1" in text
    assert bench.only(m.Query).client_id == sent.client_id
    bench.want(2)
    bench.after_s(2)
    assert bench.take(m.Submit) == [], "nothing is sent again, and nothing new"
    bench.execute(sent, 1.0, price=99.0)
    assert bench.states[sent.client_id] == "filled"
    assert bench.position[0] == 1.0
    assert bench.guards.blocked(0) == ""
    assert bench.alerted("disputed_fill") == []
    assert bench.ended[1].state == "filled"


@pytest.mark.parametrize("by", ["stream", "query", "list", "cancel"])
@pytest.mark.parametrize("filled", [0.0, 0.4])
def test_a_stop_reported_filled_with_less_stays_in_the_books(by: Any, filled: float) -> None:
    bench, stop = protected()
    if by == "list":
        bench.list_open(bench.listed(stop, state="filled", filled=filled))
    else:
        bench.show(stop, "filled", filled, by=by)
    assert bench.states[stop.client_id] == "open"
    assert {each.client_id for each in bench.take(m.Query)} == {stop.client_id}
    bench.want(1)
    bench.after_s(1)
    assert bench.guards.blocked(0) == "lost_fill"
    assert not bench.core.protected(0), "the engine watches the level until it is known"
    assert bench.take(m.Submit) == [], "no second stop and no entry"
    assert bench.take(m.Cancel) == []
    bench.show(stop, "open", by="query")
    assert bench.guards.blocked(0) == "lost_fill", "both must agree: the order and the account"
    account(bench, 0.0)
    assert bench.guards.blocked(0) == ""
    assert bench.core.protected(0)
    bench.after_s(60)
    assert bench.take(m.Submit) == []
    assert bench.take(m.Cancel) == []
    bench.execute(stop, 1.0)
    assert bench.position[0] == 0.0, "its execution counts"
    assert bench.alerted("unreadable") == ["error"]


@pytest.mark.parametrize(("state", "filled"), [("partially_filled", 0.0), ("open", 0.4)])
def test_a_resting_order_keeps_working(state: m.OrderState, filled: float) -> None:
    bench = Bench()
    sent = bench.order(1, kind="limit", limit_price=99.0)
    bench.ack(sent)
    bench.show(sent, state, filled)
    bench.after_s(1)
    assert bench.guards.blocked(0) == "lost_fill"
    bench.show(sent, "open", by="query")
    account(bench, 0.0)
    assert bench.guards.blocked(0) == ""
    bench.execute(sent, 1.0, price=99.0)
    assert bench.states[sent.client_id] == "filled"


def test_one_contradiction_is_reported_once_and_asked_about_ever_less_often() -> None:
    bench, stop = protected()
    for _ in range(40):
        bench.show(stop, "filled", 0.0, by="query")
        bench.after_s(0.25)
    assert bench.alerted("unreadable") == ["error"]
    assert len(bench.take(m.Query)) <= 8


def test_a_cancelled_order_with_less_than_is_booked_is_asked_about() -> None:
    bench = Bench()
    sent = bench.order(1, kind="limit", limit_price=99.0)
    bench.ack(sent)
    bench.execute(sent, 0.5, price=99.0)
    bench.show(sent, "cancelled", 0.2)
    assert bench.states[sent.client_id] == "partially_filled"
    bench.show(sent, "cancelled", 0.5, by="query")
    assert bench.states[sent.client_id] == "cancelled"
    bench.after_s(1)
    assert bench.guards.blocked(0) == ""


def test_a_venue_that_keeps_to_it_is_decided_by_the_account() -> None:
    bench, stop = protected()
    bench.show(stop, "filled", 0.0, by="query")
    bench.after_s(FINAL_AFTER + 1)
    bench.show(stop, "filled", 0.0, by="query")
    assert not account(bench, 0.0)
    assert bench.states[stop.client_id] == "cancelled"
    assert bench.only(m.Cancel).client_id == stop.client_id, "if it rests, it locks the coins"
    bench.after_s(1.5)
    assert bench.only(m.Submit).trigger_price == LEVEL


def test_a_part_that_the_query_keeps_to_is_not_dropped_by_the_account_alone() -> None:
    bench, stop = protected()
    bench.show(stop, "filled", 0.5, by="query")
    bench.after_s(FINAL_AFTER + 1)
    bench.show(stop, "filled", 0.5, by="query")
    assert not account(bench, 0.0)
    assert bench.states[stop.client_id] == "open"
    assert bench.guards.blocked(0) == "lost_fill"
    bench.operate("resume")
    assert not account(bench, 0.0)
    assert bench.states[stop.client_id] == "cancelled"


def test_what_the_account_holds_of_it_is_booked() -> None:
    bench = Bench()
    sent = bench.order(1)
    bench.ack(sent, state="filled", filled=0.0)
    bench.after_s(FINAL_AFTER + 1)
    assert account(bench, 1.0)
    assert bench.position[0] == 1.0
    assert bench.states[sent.client_id] == "filled"
    assert bench.guards.blocked(0) == "disputed_fill"


def test_an_exit_leaves_meanwhile() -> None:
    bench, stop = protected()
    bench.show(stop, "filled", 0.0)
    bench.want(1, -1.0)
    bench.after_s(1)
    account(bench, 0.0)
    bench.proceed()
    assert bench.take(m.Cancel)[0].client_id == stop.client_id
    bench.show(stop, "cancelled", 0.0, by="cancel")
    assert (bench.only(m.Submit).side, bench.states[stop.client_id]) == ("sell", "cancelled")


def test_an_execution_larger_than_all_executions_together_is_not_booked() -> None:
    bench, stop = protected()
    fill = bench.execute(stop, 0.5, cumulative=0.0)
    assert bench.position[0] == 1.0
    bench.after_s(1)
    assert bench.guards.blocked(0) == "lost_fill"
    assert bench.alerted("unreadable") == ["error"]
    assert "fills" in {each.what for each in bench.take(m.Refresh)}
    bench.show(stop, "open", by="query")
    account(bench, 0.0)
    assert bench.guards.blocked(0) == ""
    bench.execute(stop, 0.5, trade_id=fill.trade_id, listed=True)
    assert bench.position[0] == 0.5, "the list of executions has it after all"


def test_it_survives_a_restart() -> None:
    bench, stop = protected()
    bench.show(stop, "filled", 0.0)
    bench.after_s(1)
    bench.twin()
    bench.show(stop, "open", by="query")
    account(bench, 0.0)
    assert bench.core.protected(0)


def test_an_answer_with_another_quantity_that_contradicts_itself_still_blocks_the_symbol() -> None:
    bench = Bench()
    sent = bench.order(1)
    bench.ack(sent, state="filled", quantity=2.0, filled=1.0)
    assert any(each.rule == "ack_mismatch" for each in bench.guards.active())
    bench.execute(sent, 1.0)
    assert bench.states[sent.client_id] == "filled"


def test_a_report_about_an_ended_order_is_logged_and_changes_nothing() -> None:
    bench = Bench()
    sent = bench.order(1)
    bench.ack(sent, state="filled", filled=1.0)
    bench.execute(sent, 1.0)
    assert bench.states[sent.client_id] == "filled"
    bench.show(sent, "filled", 0.0)
    bench.show(sent, "open", 0.5)
    assert bench.alerted("unreadable") == ["error"]
    bench.after_s(2)
    assert (bench.states[sent.client_id], bench.guards.blocked(0)) == ("filled", "")
    assert bench.take(m.Query) == []


# ---------------------------------------------------------------- the answer to a cancel


OTHERS = [
    {"venue_order_id": "others-77"}, {"side": "buy"}, {"quantity": 3.0}, {"price": 250.0},
    {"trigger_price": 250.0}, {"order_type": "limit"},
]  # fmt: skip


@pytest.mark.parametrize("other", OTHERS, ids=lambda each: next(iter(each)))
def test_the_answer_to_a_cancel_that_is_of_another_order_ends_nothing(
    other: dict[str, Any],
) -> None:
    """It was taken for the stop's: the stop counted as cancelled, and its id was the other's."""
    bench, stop = protected()
    bench.want(1, -1.0)
    assert bench.only(m.Cancel).client_id == stop.client_id
    known = {"trigger_price": LEVEL, "order_type": "stop"}
    if "price" in other:  # a limit order, which the stop is not
        known["order_type"] = "limit"
    bench.show(stop, "cancelled", by="cancel", **{**known, **other})
    assert bench.states[stop.client_id] == "open"
    assert bench.take(m.Submit) == [], "nothing is sold twice"
    assert bench.alerted("unreadable") == ["error"]
    assert {each.client_id for each in bench.take(m.Query)} == {stop.client_id}
    bench.execute(stop, 3.0, client_id="", venue_order_id="others-77", trade_id="theirs")
    assert bench.position[0] == 1.0, "an execution of the other order is not ours"
    bench.show(stop, "cancelled", by="query")
    assert bench.only(m.Submit).quantity == 1.0


@pytest.mark.parametrize(("state", "filled"), [("filled", 1.0), ("cancelled", 0.4)])
def test_executions_that_the_answer_to_a_cancel_shows_are_asked_for(
    state: m.OrderState, filled: float
) -> None:
    """It books nothing by itself, not even where others have just bought as much."""
    bench = Bench()
    sent = bench.order(1, kind="limit", limit_price=99.0)
    bench.ack(sent)
    bench.operate("halt")
    bench.take(m.Query)
    bench.show(sent, state, filled, by="cancel")
    assert bench.states[sent.client_id] == "open"
    assert {each.client_id for each in bench.take(m.Query)} == {sent.client_id}
    assert "fills" in {each.what for each in bench.take(m.Refresh)}
    bench.show(sent, "cancelled", by="query")
    assert bench.states[sent.client_id] == "cancelled"
    assert account(bench, filled) is False
    bench.after_s(2 * FINAL_AFTER)
    assert account(bench, filled) is False
    assert bench.position[0] == 0.0, "the units are somebody else's"


def test_a_fill_that_beats_the_cancel_is_booked_by_its_execution() -> None:
    bench = Bench()
    sent = bench.order(1, kind="limit", limit_price=99.0)
    bench.ack(sent)
    bench.operate("halt")
    bench.show(sent, "cancelled", 0.4, by="cancel")
    bench.execute(sent, 0.4, price=99.0)
    bench.show(sent, "cancelled", 0.4, by="query")
    assert (bench.states[sent.client_id], bench.position[0]) == ("cancelled", 0.4)
