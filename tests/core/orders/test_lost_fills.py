"""E14: an order that is reported filled, and whose executions nobody can find."""

from __future__ import annotations

import msgspec
import pytest

from septet import messages as m
from septet._core.orders import Corrected, lost_fills
from septet._core.orders.exposed import UNPROTECTED
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import LOT, PRICE

LEVEL = 90.0


def account(bench: Bench, gap: float) -> bool:
    """Read the account, which holds more than is booked by `gap`."""
    bench.now += 1
    booked = bench.core.resolve_disputes(0, "BTC", gap, LOT, bench.now, bench.now)
    bench.handle(m.Ticked(at_ns=bench.now, market_ns=bench.now))
    return booked


def stopped() -> tuple[Bench, m.Submit]:
    """A position whose stop is reported filled, and no execution is found."""
    bench = Bench()
    bench.hold(1.0)
    bench.core.protect(0, 1.0, LEVEL)
    bench.proceed()
    stop = bench.only(m.Submit)
    bench.ack(stop, state="filled", filled=1.0)
    bench.take(m.Refresh)
    return bench, stop


def test_a_stop_reported_filled_blocks_entries_asks_the_account_and_the_level_is_watched() -> None:
    bench, stop = stopped()
    bench.want(1)
    assert bench.take(m.Submit) == [], "no entry meanwhile"
    bench.after_s(0.5)
    assert bench.guards.blocked(0) == "lost_fill"
    assert bench.alerted("stop_lost") == ["error"]
    assert not bench.core.protected(0), "the engine watches the level"
    assert {"fills", "holdings"} == {each.what for each in bench.take(m.Refresh)}
    bench.show(stop, "filled", 1.0, by="query")
    bench.after_s(FINAL_AFTER + 3)
    assert "holdings" in {each.what for each in bench.take(m.Refresh)}, "when it can decide"


def test_the_next_question_for_the_account_is_woken_for() -> None:
    """Else a process that was restored asks at the next event, and the one before it did not."""
    bench, stop = stopped()
    asked, records = 0, bench.core.records
    for _ in range(240):
        bench.after_s(0.25)
        asked += bool([each for each in bench.take(m.Refresh) if each.what == "holdings"])
        account_ns = records.children[stop.client_id].account_ns
        assert account_ns == 0 or bench.now < records.woken_ns <= account_ns
    assert asked > 2


def test_a_fill_the_account_does_not_show_did_not_happen_and_the_stop_is_placed_again() -> None:
    bench, stop = stopped()
    bench.after_s(1)
    assert not account(bench, 0.0)
    assert bench.guards.blocked(0) == "lost_fill", "this read may be older than the word"
    bench.after_s(FINAL_AFTER)
    assert not account(bench, 0.0)
    assert bench.guards.blocked(0) == "lost_fill", "the order has to report it as well"
    bench.show(stop, "open", by="query")
    assert "holdings" in {each.what for each in bench.take(m.Refresh)}, "it can decide now"
    assert not account(bench, 0.0)
    assert bench.states[stop.client_id] == "cancelled"
    assert bench.guards.blocked(0) == UNPROTECTED, "the new one does not rest yet"
    assert bench.only(m.Cancel).client_id == stop.client_id, "if it rests, it locks the coins"
    again = bench.only(m.Submit)  # in the same turn
    assert (again.quantity, again.trigger_price) == (1.0, LEVEL)
    bench.ack(again)
    assert bench.core.protected(0)
    assert bench.guards.blocked(0) == ""
    assert bench.position[0] == 1.0


def test_a_stop_refused_because_the_old_one_still_rests_follows_its_end_at_once() -> None:
    bench, stop = stopped()
    bench.after_s(FINAL_AFTER + 1)
    bench.show(stop, "open", by="query")
    assert not account(bench, 0.0)
    assert bench.only(m.Cancel).client_id == stop.client_id
    bench.reject(bench.only(m.Submit).client_id, "funds")
    assert bench.take(m.Submit) == []
    bench.show(stop, "cancelled", by="cancel")
    again = bench.only(m.Submit)
    assert (again.quantity, again.trigger_price) == (1.0, LEVEL)


def test_what_the_account_shows_is_booked_at_the_known_price_and_nothing_is_sold_twice() -> None:
    bench, stop = stopped()
    bench.want(1, -1.0)
    bench.after_s(1)
    assert not account(bench, -1.0)
    bench.after_s(FINAL_AFTER)
    assert bench.take(m.Submit) == [], "there is nothing to sell"
    assert account(bench, -1.0)
    assert bench.position[0] == 0.0
    assert bench.prices_booked() == [PRICE]
    assert bench.guards.blocked(0) == "disputed_fill", "until a person has seen the price"
    bench.execute(stop, 1.0, listed=True)
    assert not account(bench, 0.0)
    bench.after_s(60)
    assert bench.position[0] == 0.0, "the execution that comes after all counts once"
    assert bench.take(m.Submit) == []


def corrections(bench: Bench) -> list[Corrected]:
    """Return the corrections of what was booked at a guess."""
    return [each for each in bench.outcomes if isinstance(each, Corrected)]


def test_the_list_is_asked_for_while_something_is_booked_at_a_guess() -> None:
    bench, stop = stopped()
    bench.after_s(FINAL_AFTER + 1)
    assert account(bench, -1.0)
    for _ in range(3):
        bench.take(m.Refresh)
        bench.after_s(60)
        assert [each.what for each in bench.take(m.Refresh)] == ["fills"]
    bench.twin()
    bench.execute(stop, 1.0, price=PRICE + 1.0, listed=True)
    bench.after_s(60)
    bench.take(m.Refresh)
    bench.after_s(180)
    assert bench.take(m.Refresh) == [], "it is known now"


def test_an_implausible_price_corrects_nothing() -> None:
    bench, stop = stopped()
    bench.after_s(FINAL_AFTER + 1)
    assert account(bench, -1.0)
    bench.execute(stop, 1.0, price=PRICE / 20.0, listed=True)
    assert corrections(bench) == []
    (said,) = named(bench, stop)
    assert "nothing is corrected" in said.text


def test_a_guess_at_an_impossible_price_is_corrected_by_the_list() -> None:
    """The account holds what was reported at a price that cannot be: it is booked at a guess."""
    bench = Bench()
    order = bench.order(1)
    bench.ack(order)
    fill = bench.execute(order, 1.0, price=PRICE / 20.0)
    bench.after_s(3)
    assert account(bench, 1.0)
    assert bench.prices_booked() == [PRICE]
    true = msgspec.structs.replace(fill, price=PRICE + 1.0, listed=True)
    for _ in range(2):
        bench.handle(true)
    (fixed,) = corrections(bench)
    assert (fixed.quantity, fixed.booked_price, fixed.of) == (1.0, PRICE, fill.trade_id)
    assert not fixed.has_fee, "it was booked with the fill"
    assert bench.guards.blocked(0) == "", "both sides agree"


def named(bench: Bench, order: m.Submit) -> list[m.Alerted]:
    """Return what was reported of the listed executions of an order."""
    return [each for each in bench.alerts if each.text.startswith(f"{order.client_id}: trade ")]


@pytest.mark.parametrize("resumed", [False, True])
def test_a_list_that_comes_late_corrects_the_ledger(resumed: bool) -> None:
    """It is the execution that is booked, in parts as well: neither a new one nor a wrong one."""
    bench, stop = stopped()
    bench.want(1, -1.0)
    bench.after_s(FINAL_AFTER + 1)
    assert account(bench, -1.0)
    if resumed:
        bench.operate("resume")
        assert bench.guards.blocked(0) == ""
    bench.execute(stop, 0.25, price=PRICE - 2.0, listed=True)
    (said,) = named(bench, stop)
    assert said.level == "warning"
    assert "0.25 is booked at 100 and listed at 98" in said.text
    assert said.text.endswith("by -0.5 for the price")
    (fixed,) = corrections(bench)
    assert (fixed.quantity, fixed.booked_price, fixed.fill.price) == (-0.25, PRICE, PRICE - 2.0)
    assert fixed.of.startswith(f"account-{stop.client_id}-")
    assert fixed.has_fee
    stays = "" if resumed else "disputed_fill"
    assert bench.guards.blocked(0) == stays, "a part is booked at a guess"
    bench.twin()
    last = bench.execute(stop, 0.75, listed=True)
    bench.handle(last)
    assert not account(bench, 0.0)
    bench.after_s(60)
    assert [each.level for each in named(bench, stop)] == ["warning", "warning"]
    assert [each.quantity for each in corrections(bench)] == [-0.25, -0.75], "each once"
    assert (bench.position[0], bench.prices_booked()) == (0.0, [PRICE])
    assert bench.guards.blocked(0) == "", "both sides agree"


def test_a_part_at_an_implausible_price_waits_for_a_person() -> None:
    """Though the other part is corrected: by the first the ledger is off."""
    bench, stop = stopped()
    bench.after_s(FINAL_AFTER + 1)
    assert account(bench, -1.0)
    bench.execute(stop, 0.25, price=PRICE / 20.0, listed=True)
    bench.execute(stop, 0.75, price=PRICE + 1.0, listed=True)
    assert [each.quantity for each in corrections(bench)] == [-0.75]
    assert bench.guards.blocked(0) == "disputed_fill"
    bench.operate("resume")
    assert bench.guards.blocked(0) == ""


def test_a_fee_in_the_base_is_corrected_by_what_it_is_worth() -> None:
    """The account has shown what arrived: the units of the fee were booked, in parts as well."""
    bench = Bench()
    order = bench.order(1)
    bench.ack(order, state="filled", filled=1.0)
    bench.after_s(FINAL_AFTER + 1)
    assert account(bench, 0.999)
    for part in (0.25, 0.75):
        bench.execute(
            order, part, price=PRICE + 2.0, listed=True, fee=part * 0.001, fee_currency="BTC"
        )
    assert [each.base_fee for each in corrections(bench)] == pytest.approx([0.00025, 0.00075])
    assert bench.guards.blocked(0) == ""


@pytest.mark.parametrize(("gap", "sold"), [(0.0, 1.0), (-0.4, 0.6)])
def test_an_exit_leaves_meanwhile_with_what_the_account_holds(gap: float, sold: float) -> None:
    bench, stop = stopped()
    bench.want(1, -1.0)
    bench.after_s(1)
    assert bench.take(m.Submit) == [], "not before the account was read"
    account(bench, gap)
    assert bench.only(m.Cancel).client_id == stop.client_id
    sale = bench.only(m.Submit)
    assert (sale.side, sale.quantity) == ("sell", sold)
    bench.ack(sale)
    bench.execute(sale, sold)
    bench.after_s(FINAL_AFTER + 3)
    assert bench.take(m.Submit) == []
    bench.show(stop, "cancelled", -gap, by="query")
    for _ in range(2):
        account(bench, gap if bench.position[0] > LOT else 0.0)
        bench.after_s(FINAL_AFTER + 3)
    assert bench.position[0] == pytest.approx(0.0)
    assert bench.core.open_order_ids() == []
    assert 1 in bench.ended


@pytest.mark.parametrize("quantity", [1.0, -1.0])
@pytest.mark.parametrize("done", [0.0, 0.4, 1.0])
def test_no_entry_and_no_exit_waits_for_ever(quantity: float, done: float) -> None:
    bench = Bench()
    if quantity < 0.0:
        bench.hold(1.0)
    order = bench.order(1, quantity)
    before = bench.position[0]
    bench.ack(order, state="filled", filled=1.0)
    bench.after_s(FINAL_AFTER + 1)
    assert bench.guards.blocked(0) == "lost_fill"
    if done < 1.0:
        bench.show(order, "cancelled", done, by="query")
    assert account(bench, done * quantity) is (done > 0.0)
    assert bench.position[0] == pytest.approx(before + done * quantity)
    assert order.client_id not in bench.core.open_order_ids()
    if quantity > 0.0 or done == 1.0:
        assert 1 in bench.ended
        return
    bench.after_s(2)
    assert bench.only(m.Submit).quantity == pytest.approx(1.0 - done), "the exit leaves again"


def test_a_fee_in_the_base_is_no_missing_part_of_a_purchase() -> None:
    bench = Bench()
    order = bench.order(1)
    bench.ack(order, state="filled", filled=1.0)
    bench.after_s(FINAL_AFTER + 1)
    assert account(bench, 0.99)
    assert bench.states[order.client_id] == "filled"


@pytest.mark.parametrize("kept", [0.0004, 0.02])
def test_a_fee_in_the_base_is_no_other_movement_beside_a_sale(kept: float) -> None:
    bench = Bench()
    bench.hold(2.0)
    order = bench.order(1, -1.0, closes_all=False)
    bench.ack(order, state="filled", filled=1.0)
    bench.after_s(FINAL_AFTER + 1)
    assert account(bench, -1.0 - kept)
    assert bench.states[order.client_id] == "filled"
    (shown,) = bench.core.records.disputes[0]
    assert (shown.fill.quantity, shown.fill.fee_currency) == (1.0, "BTC")
    assert shown.fill.fee == pytest.approx(kept)


def test_executions_of_both_sides_share_what_was_deducted() -> None:
    """Regular buys and a stop of one symbol may be lost together."""
    bench, stop = stopped()
    bench.want(1, 3.0)
    bench.after_s(FINAL_AFTER + 1)
    (child,) = (bench.core.records.children[name] for name in bench.core.records.live)
    assert child.client_id == stop.client_id
    lost = [
        msgspec.structs.replace(child, sign=sign, seen=quantity, counted=0.0, quantity=quantity)
        for sign, quantity in ((-1, 1.0), (1, 3.0))
    ]
    assert lost_fills._moved(lost) == 2.0
    assert lost_fills._explains(1.996, lost, LOT)
    assert lost_fills._explains(1.9, lost, LOT)
    assert not lost_fills._explains(1.7, lost, LOT)
    assert not lost_fills._explains(2.1, lost, LOT)


def test_executions_that_come_late_end_the_block() -> None:
    bench, stop = stopped()
    bench.after_s(3)
    bench.execute(stop, 1.0, listed=True)
    assert bench.guards.blocked(0) == ""
    assert bench.position[0] == 0.0
    assert bench.alerted("disputed_fill") == []


def test_a_short_delay_between_report_and_execution_is_no_dispute() -> None:
    bench, stop = stopped()
    bench.execute(stop, 1.0)
    bench.after_s(5)
    assert bench.alerted("lost_fill") == []
    assert bench.alerted("stop_lost") == []


def test_a_person_ends_what_the_account_cannot_decide() -> None:
    bench, stop = stopped()
    bench.after_s(FINAL_AFTER + 1)
    bench.operate("resume")
    bench.show(stop, "filled", 1.0, by="query")
    assert not account(bench, 5.0)
    assert bench.guards.blocked(0) == "lost_fill", "something else has moved the account"
    assert bench.alerted("lost_fill") == ["error", "critical"], "a person is asked only now"
    bench.operate("resume")
    assert not account(bench, 5.0)
    assert bench.guards.symbols_of("lost_fill") == []
    assert bench.states[stop.client_id] == "cancelled"
    bench.ack(bench.only(m.Submit))
    assert bench.guards.blocked(0) == ""


def test_it_survives_a_restart() -> None:
    bench, stop = stopped()
    bench.after_s(1)
    bench.twin()
    bench.after_s(FINAL_AFTER)
    bench.show(stop, "open", by="query")
    bench.twin()
    account(bench, 0.0)
    assert bench.states[stop.client_id] == "cancelled"


@pytest.mark.parametrize("gap", [0.0, -0.9, -0.99])
def test_a_reduction_that_its_query_shows_filled_is_not_gone_whatever_the_account(
    gap: float,
) -> None:
    """A third party brought in as much as was sold, or a part of it."""
    bench = Bench()
    bench.hold(2.0)
    order = bench.order(1, -1.0, closes_all=False)
    bench.ack(order, state="filled", filled=1.0)
    bench.after_s(FINAL_AFTER + 1)
    asked = {each.client_id for each in bench.take(m.Query)}
    assert order.client_id in asked, "the account alone does not decide"
    bench.show(order, "filled", 1.0, by="query")
    for _ in range(3):
        assert not account(bench, gap)
        bench.after_s(FINAL_AFTER)
    assert order.client_id in bench.core.open_order_ids()
    assert bench.take(m.Submit) == [], "it is not sold again"
    assert bench.guards.blocked(0) == "lost_fill"
    assert bench.alerted("lost_fill").count("critical") == 1, "a person is asked"
    bench.execute(order, 1.0, listed=True)
    assert bench.states[order.client_id] == "filled"
    assert bench.position[0] == 1.0
    assert bench.guards.blocked(0) == ""


def test_a_person_may_declare_gone_an_order_that_its_query_shows_filled() -> None:
    bench, stop = stopped()
    bench.after_s(FINAL_AFTER + 1)
    bench.show(stop, "filled", 1.0, by="query")
    assert not account(bench, 0.0)
    assert bench.states[stop.client_id] != "cancelled"
    bench.operate("resume")
    assert not account(bench, 0.0)
    assert bench.states[stop.client_id] == "cancelled"
    bench.ack(bench.only(m.Submit))
    assert bench.guards.blocked(0) == ""


def test_a_missing_execution_of_one_lot_is_seen_in_the_account() -> None:
    """A lot is what a comparison with the account lets pass."""
    bench = Bench()
    order = bench.order(1)
    bench.ack(order)
    bench.execute(order, 1.0 - LOT)
    bench.show(order, "filled", 1.0)
    bench.after_s(FINAL_AFTER + 1)
    assert account(bench, LOT)
    assert bench.states[order.client_id] == "filled"
    assert bench.position[0] == pytest.approx(1.0)


@pytest.mark.parametrize("stop_executed", [True, False])
def test_queries_show_which_of_two_orders_of_one_size_was_executed(
    stop_executed: bool,
) -> None:
    """An exit was sent past the stop, and is reported filled as well."""
    bench, stop = stopped()
    bench.want(1, -1.0)
    bench.after_s(1)
    account(bench, 0.0)
    sale = bench.only(m.Submit)
    bench.ack(sale, state="filled", filled=1.0)
    bench.after_s(FINAL_AFTER + 1)
    assert not account(bench, -1.0), "either of them explains it"
    assert len(bench.core.open_order_ids()) == 2
    executed, other = (stop, sale) if stop_executed else (sale, stop)
    bench.show(other, "cancelled", by="query")
    assert account(bench, -1.0)
    assert bench.states[executed.client_id] == "filled"
    assert bench.states[other.client_id] == "cancelled"
    assert bench.position[0] == 0.0


def test_what_an_exit_of_unknown_state_may_have_sold_is_not_booked_for_its_stop() -> None:
    bench, stop = stopped()
    bench.want(1, -1.0)
    bench.after_s(1)
    account(bench, 0.0)
    sale = bench.only(m.Submit)
    bench.lose(sale.client_id)
    bench.after_s(FINAL_AFTER + 1)
    assert not account(bench, -1.0), "the sale or the stop"
    assert bench.position[0] == 1.0
    bench.execute(sale, 1.0, listed=True)
    assert bench.position[0] == 0.0
    bench.after_s(FINAL_AFTER + 1)
    bench.show(stop, "cancelled", by="query")
    assert not account(bench, 0.0)
    assert bench.states[stop.client_id] == "cancelled"
    assert bench.position[0] == 0.0


def test_a_disputed_sale_is_not_booked_for_an_exit_of_unknown_state() -> None:
    """An execution was invented as an order's, and an exit of the same size has sold."""
    bench = Bench()
    entry = bench.order(1)
    bench.ack(entry)
    bench.execute(entry, 1.0)
    bench.execute(entry, 1.0, side="sell")
    assert bench.guards.blocked(0) == "disputed_fill"
    sale = bench.order(2, -1.0)
    bench.lose(sale.client_id)
    assert not account(bench, -1.0)
    assert bench.position[0] == 1.0
    bench.execute(sale, 1.0, listed=True)
    bench.after_s(FINAL_AFTER + 1)
    assert not account(bench, 0.0)
    assert bench.position[0] == 0.0
    assert bench.guards.blocked(0) == ""


def test_a_disputed_purchase_is_not_booked_by_a_read_from_before_a_sale() -> None:
    bench = Bench()
    bench.hold(1.0)
    sale = bench.order(1, -1.0)
    bench.ack(sale)
    bench.execute(sale, 1.0, side="buy")
    bench.execute(sale, 1.0)
    assert bench.position[0] == 0.0
    bench.after_s(1)
    assert not account(bench, 1.0), "what was held before the sale"
    assert bench.position[0] == 0.0
    bench.after_s(FINAL_AFTER + 1)
    assert not account(bench, 0.0)
    assert bench.guards.blocked(0) == ""
