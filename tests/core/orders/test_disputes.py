"""A3: executions that cannot be of their order are not booked until both sides agree."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._core.checks import Checks, Instrument
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import LOT, PRICE, SECOND

Q = 1.0


def filled(bench: Bench) -> m.Submit:
    """An order that is filled, with its fill booked."""
    order = bench.order(1, Q)
    bench.ack(order)
    bench.execute(order, Q)
    assert bench.states[order.client_id] == "filled"
    return order


def account(bench: Bench, gap: float, *, after_s: float = 0.0) -> bool:
    """Read the account, which holds more than is booked by `gap`; return whether it was booked."""
    bench.after_s(after_s)
    bench.now += 1
    asked_ns = bench.now
    booked = bench.core.resolve_disputes(0, "BTC", gap, LOT, asked_ns, bench.now)
    bench.handle(m.Ticked(at_ns=bench.now, market_ns=bench.now))
    return booked


def listed(bench: Bench, fill: m.Filled) -> None:
    bench.handle(msgspec.structs.replace(fill, listed=True, at_ns=bench.now))


def blocked(bench: Bench) -> str:
    return bench.guards.blocked(0)


@pytest.mark.parametrize(
    ("quantity", "changes"),
    [
        (Q, {}), (1e-2, {}), (1e6, {}), (Q, {"trade_id": "-1"}), (Q, {"trade_id": ""}),
        (Q, {"trade_id": "None"}), (Q, {"side": "sell"}), (0.1, {"side": "sell"}),
    ],
)  # fmt: skip
def test_a_second_fill_of_a_finished_order_is_not_booked(
    quantity: float, changes: dict[str, Any]
) -> None:
    bench = Bench()
    order = filled(bench)
    bench.take(m.Refresh)
    bench.execute(order, quantity, **changes)
    assert bench.position[0] == Q
    assert bench.alerted("disputed_fill") == ["critical", "critical"], "the block and its reason"
    assert blocked(bench) == "disputed_fill"
    assert [each.what for each in bench.take(m.Refresh)] == ["fills", "holdings"]
    bench.want(2)
    assert bench.take(m.Submit) == [], "no entry while it is disputed"


@pytest.mark.parametrize("changes", [{}, {"trade_id": "-1"}, {"side": "sell"}])
def test_more_than_an_open_order_is_not_booked_and_the_rest_is(changes: dict[str, Any]) -> None:
    bench = Bench()
    order = bench.order(1, Q)
    bench.ack(order)
    bench.execute(order, 3 * Q, **changes)
    assert bench.position[0] == 0.0
    bench.execute(order, 0.4)
    bench.execute(order, 0.6)
    assert bench.position[0] == Q
    assert bench.states[order.client_id] == "filled"


def test_a_reduction_leaves_though_a_fill_is_disputed() -> None:
    bench = Bench()
    order = filled(bench)
    bench.execute(order, Q)
    bench.want(2, -Q)
    sale = bench.only(m.Submit)
    assert (sale.side, sale.quantity) == ("sell", Q), "what is held, and not what is disputed"


def test_what_the_account_does_not_hold_is_left_out_and_the_block_ends() -> None:
    bench = Bench()
    order = filled(bench)
    fill = bench.execute(order, Q)
    assert not account(bench, 0.0)
    assert blocked(bench) == "disputed_fill", "this read may be older than the execution"
    assert not account(bench, 0.0, after_s=FINAL_AFTER + 1)
    assert blocked(bench) == ""
    assert bench.position[0] == Q
    bench.handle(fill)
    assert blocked(bench) == "", "the same word again is not news"
    assert account(bench, Q), "but the account may still show it"
    assert bench.position[0] == 2 * Q


def test_a_missing_execution_comes_before_one_of_its_size_that_was_left_out() -> None:
    """The account shows the sale of which nothing was listed, and not the false one of before."""
    bench = Bench()
    order = filled(bench)
    bench.execute(order, Q, side="sell")
    assert not account(bench, 0.0, after_s=FINAL_AFTER + 1)
    assert blocked(bench) == ""
    sale = bench.order(2, -Q)
    bench.ack(sale, state="filled", filled=Q)
    bench.after_s(FINAL_AFTER + 1)
    assert account(bench, -Q)
    assert bench.position[0] == 0.0
    assert bench.alerted("overfill") == []
    (shown,) = (each for each in bench.core.records.disputes[0] if each.booked_price)
    assert shown.client_id == sale.client_id


def test_an_answer_of_the_other_side_books_no_sale() -> None:
    """One wrong word of an answer turned a purchase into a short position, and bought again."""
    bench = Bench()
    order = bench.order(1, Q)
    fill = bench.execute(order, Q, side="sell")
    bench.ack(order, side="sell", state="filled", filled=Q)
    assert bench.position[0] == 0.0
    rules = {each.rule for each in bench.guards.active()}
    assert {"ack_mismatch", "disputed_fill"} <= rules
    listed(bench, msgspec.structs.replace(fill, side="buy"))
    assert bench.position[0] == Q, "as the list of executions shows it"
    assert not account(bench, 0.0, after_s=FINAL_AFTER + 1)
    assert bench.position[0] == Q
    bench.operate("resume")
    assert blocked(bench) == ""


def test_what_the_account_holds_is_booked_and_the_block_ends() -> None:
    bench = Bench()
    order = filled(bench)
    bench.execute(order, Q)
    assert not account(bench, 0.4 * Q, after_s=FINAL_AFTER + 1)
    assert blocked(bench) == "disputed_fill", "neither with it nor without it do both agree"
    assert account(bench, Q)
    assert bench.position[0] == 2 * Q
    assert blocked(bench) == ""
    assert not account(bench, 0.0), "once"


def test_a_fee_in_the_base_is_part_of_what_the_account_holds() -> None:
    bench = Bench()
    order = filled(bench)
    fill = m.Filled(
        at_ns=bench.now, venue="v", symbol=0, trade_id="y", client_id=order.client_id,
        venue_order_id=f"v-{order.client_id}", venue_ns=bench.now, market_ns=bench.now, side="buy",
        quantity=Q, price=PRICE, fee=0.01, fee_currency="BTC",
    )  # fmt: skip
    bench.handle(fill)
    assert account(bench, 0.99 * Q)


def test_an_execution_without_an_id_is_never_booked_by_itself() -> None:
    bench = Bench()
    order = bench.order(1, Q)
    bench.ack(order)
    nameless = bench.execute(order, Q, trade_id="-1")
    assert not account(bench, Q, after_s=FINAL_AFTER + 1)
    assert bench.position[0] == 0.0
    assert blocked(bench) == "disputed_fill"
    listed(bench, msgspec.structs.replace(nameless, trade_id="77"))
    assert bench.position[0] == Q, "the list names it"
    assert not account(bench, 0.0, after_s=FINAL_AFTER + 1)
    assert blocked(bench) == ""


def test_a_late_fill_of_a_cancelled_order_is_booked_once_the_list_shows_it() -> None:
    bench = Bench()
    order = bench.order(1, Q, kind="limit", limit_price=PRICE)
    bench.ack(order)
    bench.end(order, "cancelled")
    fill = bench.execute(order, 0.5)
    assert bench.position[0] == 0.0
    assert blocked(bench) == "disputed_fill"
    listed(bench, fill)
    assert bench.position[0] == 0.5
    assert blocked(bench) == ""
    listed(bench, fill)
    assert bench.position[0] == 0.5


def test_a_fill_beyond_its_order_is_not_booked_though_the_list_shows_it() -> None:
    bench = Bench()
    order = filled(bench)
    listed(bench, bench.execute(order, Q))
    assert bench.position[0] == Q
    assert blocked(bench) == "disputed_fill"


def test_an_order_that_turns_out_larger_takes_its_fill() -> None:
    bench = Bench()
    order = bench.order(1, Q)
    bench.execute(order, 2 * Q)
    assert bench.position[0] == 0.0
    bench.ack(order, quantity=2 * Q)
    assert bench.position[0] == 2 * Q
    assert blocked(bench) == "ack_mismatch"


def test_it_is_asked_for_again_ever_less_often_and_a_person_may_end_it() -> None:
    bench = Bench()
    order = filled(bench)
    bench.execute(order, Q)
    bench.take(m.Refresh)
    bench.after_s(300)
    asked = [each for each in bench.take(m.Refresh) if each.what == "holdings"]
    assert 6 <= len(asked) <= 12
    bench.handle(m.Operated(at_ns=bench.now, action="resume", name="me", reason="seen"))
    assert blocked(bench) == ""
    bench.after_s(300)
    assert [each for each in bench.take(m.Refresh) if each.what == "holdings"] == []
    assert bench.position[0] == Q


def test_disputes_survive_a_restart() -> None:
    bench = Bench()
    order = filled(bench)
    bench.execute(order, Q)
    bench.core.restore(bench.core.snapshot())
    assert account(bench, Q)
    assert bench.position[0] == 2 * Q


def test_ids_that_begin_anew_hide_no_fill() -> None:
    """A12: after a reset of a test network trades and orders have the ids of older ones."""
    bench = Bench()
    first = bench.order(1, Q)
    bench.ack(first, venue_order_id="1")
    bench.execute(first, Q, trade_id="1", venue_order_id="1")
    bench.after_s(60)
    second = bench.order(2, Q)
    bench.ack(second, venue_order_id="1")
    bench.execute(second, Q, trade_id="1", venue_order_id="1", client_id="")
    assert bench.position[0] == 2 * Q
    assert bench.states[second.client_id] == "filled"
    bench.execute(second, Q, trade_id="1", venue_order_id="1")
    assert bench.position[0] == 2 * Q, "each once"
    assert blocked(bench) == ""


def test_time_of_a_fill_never_lies_ahead_of_the_local_clock() -> None:
    bench = Bench()
    order = bench.order(1, Q)
    bench.ack(order)
    bench.trades += 1
    bench.handle(
        m.Filled(
            at_ns=bench.now, venue="v", symbol=0, trade_id="1", client_id=order.client_id,
            venue_order_id=f"v-{order.client_id}", venue_ns=bench.now + 3_600 * SECOND,
            market_ns=bench.now, side="buy", quantity=Q, price=PRICE, fee=0.0, fee_currency="USDT",
        )
    )  # fmt: skip
    assert bench.core.records.children[order.client_id].traded_ns == bench.now


# ---------------------------------------------------------------- prices that cannot be


def bought(bench: Bench, price: float, **more: Any) -> tuple[m.Submit, m.Filled]:
    """An order that the venue reports to have filled at a price."""
    order = bench.order(1, Q, **more)
    bench.ack(order)
    return order, bench.execute(order, Q, price=price)


@pytest.mark.parametrize("factor", [1e-6, 0.5, 0.88, 1.12, 2.0, 1e3])
def test_a_fill_far_from_the_last_known_price_is_not_booked(factor: float) -> None:
    bench = Bench()
    bench.take(m.Refresh)
    bought(bench, factor * PRICE)
    assert bench.position[0] == 0.0
    assert blocked(bench) == "disputed_fill"
    assert [each.what for each in bench.take(m.Refresh)] == ["fills", "holdings"]
    assert "last known price" in bench.alerts[-1].text


@pytest.mark.parametrize("factor", [0.92, 1.0, 1.08])
def test_a_fill_near_the_last_known_price_is_booked(factor: float) -> None:
    bench = Bench()
    bought(bench, factor * PRICE)
    assert bench.position[0] == Q
    assert blocked(bench) == ""


@pytest.mark.parametrize(
    ("quantity", "limit", "price", "is_booked"),
    [
        (Q, PRICE, PRICE, True), (Q, PRICE, 0.97 * PRICE, True), (Q, PRICE, PRICE + 0.01, False),
        (-Q, PRICE, PRICE, True), (-Q, PRICE, 1.03 * PRICE, True), (-Q, PRICE, PRICE - 0.01, False),
    ],
)  # fmt: skip
def test_a_limit_order_never_fills_worse_than_its_limit(
    quantity: float, limit: float, price: float, is_booked: bool
) -> None:
    bench = Bench()
    if quantity < 0.0:
        bench.hold(Q)
    order = bench.order(1, quantity, kind="limit", limit_price=limit)
    bench.ack(order)
    before = bench.position[0]
    bench.execute(order, Q, price=price)
    assert (bench.position[0] != before) is is_booked
    assert (blocked(bench) == "") is is_booked
    if not is_booked:
        gap = Q if quantity > 0.0 else -Q
        bench.after_s(FINAL_AFTER)
        assert account(bench, gap)
        assert bench.prices_booked() == [limit], "the account moved: at its limit"


def test_what_the_account_holds_is_booked_at_the_known_price_and_a_person_looks() -> None:
    bench = Bench()
    _, fill = bought(bench, 0.5 * PRICE)
    assert not account(bench, Q), "the market may still get there"
    assert bench.position[0] == 0.0
    assert account(bench, Q, after_s=2.5)
    assert bench.position[0] == Q
    assert bench.prices_booked() == [PRICE]
    listed(bench, fill)
    assert not account(bench, 0.0, after_s=FINAL_AFTER + 1)
    assert blocked(bench) == "disputed_fill", "until a person has seen it"
    assert bench.position[0] == Q
    bench.core.restore(bench.core.snapshot())
    bench.operate("resume")
    assert blocked(bench) == ""
    bench.after_s(60)
    assert bench.position[0] == Q


def test_the_market_reaches_the_price_of_a_fill() -> None:
    bench = Bench()
    bought(bench, 0.7 * PRICE)
    assert bench.position[0] == 0.0
    bench.checks.priced(0, 0.72 * PRICE, bench.now)
    bench.after_s(1.5)
    assert bench.prices_booked() == [0.7 * PRICE]
    assert blocked(bench) == ""


def test_a_list_that_names_another_price_is_booked_by_that() -> None:
    bench = Bench()
    _, fill = bought(bench, 1e3 * PRICE)
    listed(bench, msgspec.structs.replace(fill, price=PRICE))
    assert bench.prices_booked() == [PRICE]
    assert not account(bench, 0.0, after_s=FINAL_AFTER + 1)
    assert blocked(bench) == ""


def test_prices_of_the_last_minutes_and_both_sides_of_the_book_bound_a_fill() -> None:
    checks, start = Checks([Instrument()]), 1_700_000_000 * SECOND
    assert checks.price_bounds(0, start) == (0.0, math.inf), "no price is known"
    checks.priced(0, 100.0, start, 80.0, 120.0)
    assert checks.price_bounds(0, start) == (80.0 * 0.9, 120.0 * 1.1)
    checks.priced(0, 50.0, start + 100 * SECOND)
    assert checks.price_bounds(0, start + 101 * SECOND) == (50.0 * 0.9, 120.0 * 1.1)
    checks.priced(0, 50.0, start + 150 * SECOND)
    assert checks.price_bounds(0, start + 150 * SECOND) == (50.0 * 0.9, 120.0 * 1.1)
    later = start + 600 * SECOND
    assert checks.price_bounds(0, later) == (10.0, 250.0), "an old price bounds by a factor"
    checks.priced(0, 60.0, later)
    assert checks.price_bounds(0, later) == (60.0 * 0.9, 60.0 * 1.1)
    checks.priced(0, math.nan, later)
    assert checks.price_bounds(0, later) == (12.0, 300.0), "no price now: the last one is old"


def test_a_list_that_shows_another_price_than_was_booked_blocks_until_a_person_resumes() -> None:
    """Report and list contradict each other: which is wrong is unknown; the ledger is doubted."""
    bench = Bench()
    order = bench.order(1, Q)
    bench.ack(order)
    fill = bench.execute(order, Q)
    listed(bench, fill)
    assert blocked(bench) == "", "the same price again is not news"
    listed(bench, msgspec.structs.replace(fill, price=fill.price * 1.05))
    assert blocked(bench) == "disputed_fill"
    assert bench.position[0] == Q
    assert account(bench, 0.0, after_s=FINAL_AFTER + 1) is False
    assert blocked(bench) == "disputed_fill", "the quantity agrees, the price is not known by it"
    before = len(bench.alerted("disputed_fill"))
    listed(bench, msgspec.structs.replace(fill, price=fill.price * 1.05))
    assert len(bench.alerted("disputed_fill")) == before, "it is reported once"
