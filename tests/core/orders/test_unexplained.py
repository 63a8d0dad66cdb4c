"""E23: the venue lists an accepted order under another client id; it is not entered again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from septet import messages as m
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import LOT, PRICE, SECOND

RULE = "unexplained_order"
LEVEL = 90.0


def lost(bench: Bench, quantity: float = 1.0, **rest: Any) -> m.Submit:
    """Send an order whose answer never comes."""
    bench.after_s(1)
    order = bench.order(1, quantity, **rest)
    bench.lose(order.client_id)
    return order


def other(order: m.Submit, bench: Bench, **rest: Any) -> m.OrderSeen:
    """Return an order as a venue lists it that has given it another client id."""
    fields: dict[str, Any] = {
        "client_id": "x-broker7", "venue_order_id": "77", "price": order.limit_price,
        "trigger_price": order.trigger_price, "order_type": order.order_type,
    }  # fmt: skip
    return bench.listed(order, **fields | rest)


def executed(bench: Bench, order: m.Submit, **rest: Any) -> None:
    """Report an execution of an order under another client id."""
    fields = {"client_id": "x-broker7", "venue_order_id": "77"}
    bench.execute(order, order.quantity, **fields | rest)


def account(bench: Bench, gap: float) -> None:
    """Read the account, which holds more than is booked by `gap`."""
    bench.now += 1
    bench.core.resolve_disputes(0, "BTC", gap, LOT, bench.now, bench.now)
    bench.handle(m.Ticked(at_ns=bench.now, market_ns=bench.now))


def absent(bench: Bench, order: m.Submit) -> None:
    """Report that there is no such order, after the time from which that is final."""
    bench.after_s(FINAL_AFTER + 1)
    bench.miss(order.client_id)


def seen_as(what: str, order: m.Submit, bench: Bench) -> None:
    match what:
        case "listed":
            bench.list_open(other(order, bench))
        case "part":
            part = other(order, bench, state="partially_filled", filled=0.3)
            bench.list_open(part)
        case "filled":
            filled = other(order, bench, state="filled", filled=1.0)
            bench.handle(msgspec.structs.replace(filled, by="stream"))
        case "executed":
            executed(bench, order)
        case "unnamed":
            executed(bench, order, client_id="")
        case "list of executions":
            executed(bench, order, listed=True)
        case "another size":
            bench.list_open(other(order, bench, quantity=0.5))
        case _:
            account(bench, 1.0)


SEEN = [
    "listed", "part", "filled", "executed", "unnamed", "list of executions", "another size",
    "account",
]  # fmt: skip


@pytest.mark.parametrize("what", SEEN)
def test_e23_an_entry_is_not_absent_while_something_is_unexplained(what: str) -> None:
    bench = Bench()
    order = lost(bench)
    seen_as(what, order, bench)
    if what == "listed":  # else it would be adopted
        bench.list_open(other(order, bench, order_type=""))
    absent(bench, order)
    assert bench.core.open_order_ids() == [order.client_id]
    assert RULE in {each.rule for each in bench.guards.active()}
    (text,) = [each.text for each in bench.alerts if each.event == RULE]
    assert order.client_id in text
    assert "resume" in text
    for _ in range(3):
        absent(bench, order)
    assert len(bench.alerted(RULE)) == 1
    bench.want(2)
    assert bench.take(m.Submit) == [], "no second entry"
    bench.twin()
    absent(bench, order)
    assert bench.core.open_order_ids() == [order.client_id]
    bench.operate("resume")
    assert order.client_id not in bench.core.open_order_ids()
    assert bench.ended[1].reason == "never_accepted"
    assert RULE not in {each.rule for each in bench.guards.active()}


def test_e23_the_message_describes_what_the_venue_lists() -> None:
    bench = Bench()
    order = lost(bench)
    executed(bench, order)
    account(bench, 1.0)
    absent(bench, order)
    (text,) = [each.text for each in bench.alerts if each.event == RULE]
    assert "trade x1 of x-broker7: buy 1 at 100" in text
    assert "an account that holds 1 more" in text
    assert "counts then as never placed" in text


def test_e23_an_order_that_agrees_in_everything_is_adopted() -> None:
    bench = Bench()
    order = lost(bench, kind="limit", limit_price=PRICE)
    bench.list_open(other(order, bench))
    bench.take(m.Query)
    absent(bench, order)
    asked = bench.take(m.Query)[-1]
    assert (asked.venue_order_id, asked.by_venue_id) == ("77", True)
    assert bench.alerted("adopted_order") == ["error"]
    assert bench.guards.blocked(0) == ""
    assert bench.states[order.client_id] == "open"
    assert bench.core.records.third_party == {}, "it counts once"
    bench.twin()
    bench.list_open(other(order, bench))
    assert bench.core.records.third_party == {}
    bench.execute(order, 0.4, client_id="x-broker7", venue_order_id="77")
    assert bench.position[0] == 0.4
    bench.core.request_cancel(1, "expired", bench.now)
    bench.proceed()
    cancel = bench.only(m.Cancel)
    assert (cancel.venue_order_id, cancel.by_venue_id) == ("77", True)
    bench.show(order, "cancelled", 0.4, by="cancel", client_id=order.client_id, venue_order_id="77")
    assert bench.ended[1].filled == 0.4


@pytest.mark.parametrize(
    "differs",
    [
        {"quantity": 0.9}, {"price": 99.0}, {"price": None}, {"order_type": ""},
        {"order_type": "market"}, {"trigger_price": 90.0}, {"venue_order_id": ""},
        {"state": "partially_filled", "filled": 0.5},
    ],
)  # fmt: skip
def test_e23_an_order_that_differs_in_anything_is_not_adopted(differs: dict[str, Any]) -> None:
    bench = Bench()
    order = lost(bench, kind="limit", limit_price=PRICE)
    bench.list_open(other(order, bench, **differs))
    absent(bench, order)
    assert bench.alerted("adopted_order") == []
    assert bench.core.open_order_ids() == [order.client_id]


@pytest.mark.parametrize("what", ["two", "executed", "account"])
def test_e23_no_order_is_adopted_beside_anything_else(what: str) -> None:
    bench = Bench()
    order = lost(bench, kind="limit", limit_price=PRICE)
    orders = [other(order, bench)]
    if what == "two":
        orders.append(other(order, bench, venue_order_id="78"))
    bench.list_open(*orders)
    if what == "executed":
        executed(bench, order, venue_order_id="79")
    elif what == "account":
        account(bench, 1.0)
    absent(bench, order)
    assert bench.alerted("adopted_order") == []
    assert bench.core.open_order_ids() == [order.client_id]


def explained(bench: Bench, how: str) -> m.Submit:
    """Lose an order beside something that cannot be it."""
    probe = m.Submit(
        client_id="", parent=1, symbol=0, side="buy", order_type="market", quantity=1.0,
        reduces=False, deadline_ns=0,
    )  # fmt: skip
    if how == "older":
        bench.list_open(other(probe, bench))
    order = lost(bench)
    match how:
        case "older":
            bench.list_open(other(probe, bench))
        case "other side":
            bench.list_open(other(order, bench, side="sell"))
            account(bench, -1.0)
        case "other symbol":
            bench.list_open(msgspec.structs.replace(other(order, bench), symbol=1))
        case "old execution":
            fill = bench.execute(msgspec.structs.replace(order, symbol=1), 1.0, client_id="x")
            old_ns = order.deadline_ns - 60 * SECOND
            bench.handle(
                msgspec.structs.replace(
                    fill, symbol=0, listed=True, trade_id="old", venue_ns=old_ns,
                    venue_order_id="76",
                )
            )  # fmt: skip
        case _:
            account(bench, 1.0)
            account(bench, 0.0)
    return order


@pytest.mark.parametrize(
    "how", ["older", "other side", "other symbol", "old execution", "account agrees again"]
)
def test_e23_what_cannot_be_the_order_does_not_hold_it(how: str) -> None:
    bench = Bench()
    if how == "old execution":
        bench.after_s(120)
    order = explained(bench, how)
    bench.after_s(FINAL_AFTER + 1)
    bench.read()
    bench.miss(order.client_id)
    assert bench.states[order.client_id] == "rejected"
    assert bench.guards.blocked(0) == ""


def test_e23_the_block_ends_when_the_venue_shows_the_order_after_all() -> None:
    bench = Bench()
    order = lost(bench, kind="limit", limit_price=PRICE)
    bench.list_open(other(order, bench, quantity=0.5))
    absent(bench, order)
    bench.show(order, "open", by="query")
    assert bench.guards.blocked(0) == ""
    assert bench.states[order.client_id] == "open"


def test_e23_exits_and_stops_act_while_an_entry_is_unexplained() -> None:
    bench = Bench()
    stop = bench.hold_with_stop(1.0, LEVEL)
    order = lost(bench, quantity=1.0)
    executed(bench, order)
    absent(bench, order)
    assert bench.core.protected(0)
    bench.want(2, -1.0)
    assert bench.only(m.Cancel).client_id == stop.client_id
    bench.show(stop, "cancelled", by="cancel")
    sale = bench.only(m.Submit)
    assert (sale.side, sale.quantity) == ("sell", 1.0)
    bench.after_s(3)
    assert bench.take(m.Submit) == [], "no stop beside the sale"
    bench.ack(sale)
    bench.execute(sale, 1.0)
    assert bench.position[0] == 0.0
    assert bench.ended[2].state == "filled"


@pytest.mark.parametrize("sold", [True, False])
def test_e23_a_reduction_is_sent_again_only_if_the_account_holds_the_units(sold: bool) -> None:
    bench = Bench()
    bench.hold(1.0)
    order = lost(bench, -1.0)
    executed(bench, order)
    absent(bench, order)
    assert bench.take(m.Submit) == []
    assert "holdings" in {each.what for each in bench.take(m.Refresh)}
    account(bench, -1.0 if sold else 0.0)
    absent(bench, order)
    assert bench.guards.blocked(0) != ""
    if sold:
        assert bench.take(m.Submit) == [], "it would be sold twice"
        assert bench.core.open_order_ids() == [order.client_id]
        bench.want(2, -1.0)
        assert bench.take(m.Submit) == [], "the account holds nothing that could be sold"
    else:
        assert bench.only(m.Submit).quantity == 1.0
        assert RULE in {each.rule for each in bench.guards.active()}, "until a person has looked"
        bench.operate("resume")
        assert RULE not in {each.rule for each in bench.guards.active()}


@pytest.mark.parametrize("what", ["bought since", "held before"])
@pytest.mark.parametrize("sold", [True, False])
def test_e23_units_of_others_do_not_hide_what_a_reduction_has_taken(what: str, sold: bool) -> None:
    """The account holds more than is booked; it still shows whether the exit was executed."""
    bench = Bench()
    bench.hold(1.0)
    before = what == "held before"
    account(bench, 5.0 if before else 0.0)
    order = lost(bench, -1.0)
    executed(bench, order)
    if not before:
        theirs = {"client_id": "x-other", "venue_order_id": "78", "side": "buy"}
        bench.execute(order, 2.0, **theirs)
        bench.execute(order, 3.0, **theirs)
    absent(bench, order)
    account(bench, 4.0 if sold else 5.0)
    bench.take(m.Submit)
    absent(bench, order)
    if sold:
        assert bench.take(m.Submit) == [], "it would be sold twice"
        assert bench.core.open_order_ids() == [order.client_id]
        assert RULE in {each.rule for each in bench.guards.active()}
    else:
        assert bench.only(m.Submit).quantity == 1.0


def sold_unseen(bench: Bench, what: str) -> m.Submit:
    """Lose an exit of one unit that the account shows executed, as far as `what` states."""
    bench.hold(1.0)
    order = lost(bench, -1.0)
    fields = {"client_id": "x-broker7", "venue_order_id": "77", "fee": 0.1}
    match what:
        case "executed":
            bench.execute(order, 1.0, price=99.0, **fields)
        case "in two":
            bench.execute(order, 0.4, price=99.0, **fields)
            bench.execute(order, 0.6, price=98.0, **fields)
        case "named and unnamed":
            unnamed: dict[str, Any] = {**fields, "client_id": "", "trade_id": "x9"}
            bench.execute(order, 1.0, price=99.0, **unnamed)
            bench.execute(order, 1.0, price=99.0, **{**fields, "trade_id": "x9"})
        case "part":
            ended = other(order, bench, state="expired", filled=0.4)
            bench.handle(msgspec.structs.replace(ended, by="stream"))
            bench.execute(order, 0.4, price=99.0, **fields)
        case "stranger":
            bench.execute(order, 0.4, price=99.0, **fields)
        case "absurd price":
            bench.execute(order, 1.0, price=9_900.0, **fields)
        case "order alone":
            filled = other(order, bench, state="filled", filled=1.0)
            bench.handle(msgspec.structs.replace(filled, by="stream"))
        case _:
            account(bench, -1.0)
    absent(bench, order)
    account(bench, -0.4 if what in ("part", "stranger") else -1.0)
    absent(bench, order)
    assert RULE in {each.rule for each in bench.guards.active()}
    bench.take(m.Submit)
    return order


@pytest.mark.parametrize(
    ("what", "prices"),
    [
        ("executed", [99.0]), ("in two", [99.0, 98.0]), ("account", [PRICE]),
        ("named and unnamed", [99.0]),
        ("order alone", [PRICE]), ("absurd price", [PRICE]),
    ],
)  # fmt: skip
def test_e23_a_resume_books_an_exit_whose_units_are_gone(what: str, prices: list[float]) -> None:
    """Else the run would keep a position that is gone, and try to sell it for ever."""
    bench = Bench()
    order = sold_unseen(bench, what)
    (text,) = [each.text for each in bench.alerts if each.event == RULE]
    assert "it counts then as executed, as far as the account lacks just that" in text
    bench.operate("resume")
    assert bench.position[0] == 0.0
    assert bench.prices_booked() == prices
    assert bench.states[order.client_id] == "filled"
    assert bench.ended[1].state == "filled"
    assert bench.guards.blocked(0) == ""
    bench.twin()
    account(bench, 0.0)
    bench.after_s(120)
    assert bench.take(m.Submit) == []
    if what == "executed":  # the venue shows it once more
        executed(bench, order, listed=True, trade_id="x1", price=99.0)
        assert bench.position[0] == 0.0


def test_e23_a_resume_books_no_more_than_the_account_lacks() -> None:
    bench = Bench()
    order = sold_unseen(bench, "part")
    bench.operate("resume")
    assert bench.position[0] == pytest.approx(0.6)
    assert order.client_id not in bench.core.open_order_ids()
    bench.after_s(2)
    assert bench.only(m.Submit).quantity == pytest.approx(0.6), "the rest is still to be sold"


def test_e23_a_resume_books_no_sale_of_somebody_else() -> None:
    """It is of another size than the exit, which counts as never placed and is sent again."""
    bench = Bench()
    sold_unseen(bench, "stranger")
    bench.operate("resume")
    assert bench.position[0] == 1.0
    bench.after_s(2)
    assert bench.only(m.Submit).quantity == 1.0


def test_e23_a_resume_books_the_units_of_a_stop_once() -> None:
    """An exit was sent past a stop that nobody knows; one of the two was executed."""
    bench = Bench()
    bench.hold(1.0)
    bench.core.protect(0, 1.0, LEVEL)
    bench.proceed()
    stop = bench.only(m.Submit)
    bench.lose(stop.client_id)
    bench.list_open(other(stop, bench, order_type=""))
    absent(bench, stop)
    bench.want(1, -1.0)
    sale = bench.only(m.Submit)
    bench.lose(sale.client_id)
    executed(bench, sale, venue_order_id="78", price=97.0)
    absent(bench, sale)
    account(bench, -1.0)
    absent(bench, sale)
    bench.operate("resume")
    bench.proceed()
    assert bench.position[0] == 0.0
    assert bench.prices_booked() == [97.0]
    account(bench, 0.0)
    bench.after_s(120)
    assert bench.take(m.Submit) == []


def test_e23_a_resume_books_no_purchase() -> None:
    """It may be somebody else's, and nothing of theirs is sold; the account differs and blocks."""
    bench = Bench()
    order = lost(bench)
    executed(bench, order)
    absent(bench, order)
    account(bench, 1.0)
    absent(bench, order)
    bench.operate("resume")
    assert bench.position[0] == 0.0
    assert bench.ended[1].reason == "never_accepted"


@pytest.mark.parametrize("agrees", [True, False])
def test_e23_a_stop_under_another_id(agrees: bool) -> None:
    bench = Bench()
    bench.hold(1.0)
    bench.core.protect(0, 1.0, LEVEL)
    bench.proceed()
    stop = bench.only(m.Submit)
    bench.lose(stop.client_id)
    rest: dict[str, Any] = {} if agrees else {"order_type": ""}
    bench.list_open(other(stop, bench, **rest))
    absent(bench, stop)
    assert bench.core.protected(0) is agrees, "else the engine watches the level"
    if agrees:
        bench.core.protect(0, 1.0, 95.0)
        bench.proceed()
        assert bench.only(m.Cancel).by_venue_id
        return
    bench.want(1, -1.0)
    assert bench.only(m.Submit).side == "sell", "an exit does not wait for it"


def test_e23_the_account_is_read_before_absent_is_final() -> None:
    bench = Bench()
    order = lost(bench)
    bench.take(m.Refresh)
    reads = []
    for _ in range(2 * FINAL_AFTER):
        bench.after_s(0.5)
        bench.miss(order.client_id, asked_ns=bench.now - SECOND)
        reads += [each.what for each in bench.take(m.Refresh)]
    assert 2 <= reads.count("open_orders") <= 4
    assert reads.count("fills") >= reads.count("open_orders") == reads.count("holdings")


def test_e23_a_person_who_resumes_was_asked_about_one_order_only() -> None:
    """The other is asked about in its turn: what was seen may be that one."""
    bench = Bench()
    bench.hold(1.0)
    first = lost(bench)
    bench.list_open(other(first, bench, quantity=0.5))
    bench.after_s(FINAL_AFTER + 1)
    bench.miss(first.client_id)
    sale = bench.order(2, -1.0)
    bench.lose(sale.client_id)
    executed(bench, sale)
    assert RULE in {each.rule for each in bench.guards.active()}
    bench.operate("resume")
    assert first.client_id not in bench.core.open_order_ids()
    bench.take(m.Submit)
    absent(bench, sale)
    assert bench.take(m.Submit) == [], "it would be sold twice"
    assert bench.core.open_order_ids() == [sale.client_id]
    assert RULE in {each.rule for each in bench.guards.active()}, "a person is asked again"


def test_e23_an_order_inside_a_list_is_as_new_as_the_list() -> None:
    """A venue need not stamp each order of a list; without a stamp it is not older than ours."""
    bench = Bench()
    order = lost(bench)
    listed = msgspec.structs.replace(other(order, bench, order_type=""), at_ns=0)
    bench.handle(m.OpenOrders(at_ns=bench.now, orders=(listed,), asked_ns=bench.now))
    absent(bench, order)
    assert bench.core.open_order_ids() == [order.client_id]
    assert RULE in {each.rule for each in bench.guards.active()}
