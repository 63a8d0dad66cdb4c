"""What is held while entries are blocked: the stop stays or is placed, and an exit leaves."""

from __future__ import annotations

import pytest

from septet import messages as m
from septet._core.guards import RULES
from tests.core.orders.bench import Bench
from tests.core.orders.market import PRICE
from tests.core.orders.test_funds import BLOCK, CAPITAL, Books

HELD, LEVEL = 1.0, 90.0


def read_short(books: Books) -> None:
    books.read(CAPITAL - 300.0)


def read_nothing(books: Books) -> None:
    now = books.bench.now
    unread = m.Holdings(at_ns=now, asked_ns=now, balances={}, unread="the balance is nan")
    books.bench.guards.read(unread)


READS = {BLOCK: read_short, "account_unread": read_nothing}


def assert_protection_stays(bench: Bench, stop: m.Submit, rule: str) -> None:
    """Insist that the stop stays, moves, and comes back, and that only an entry is kept."""
    bench.after_s(120)
    assert bench.guards.blocked(0) == rule
    assert not [*bench.take(m.Cancel), *bench.take(m.CancelAll)], "the stop stays"
    bench.core.protect(0, HELD, LEVEL + 1.0)
    bench.proceed()
    assert bench.only(m.Cancel).client_id == stop.client_id
    bench.show(stop, "cancelled", by="cancel")
    moved = bench.only(m.Submit)
    assert (moved.order_type, moved.trigger_price) == ("stop", LEVEL + 1.0)
    bench.ack(moved)
    bench.end(moved, "cancelled")
    bench.after_s(5)
    again = bench.only(m.Submit)
    assert (again.order_type, again.quantity) == ("stop", HELD), "the venue cancelled it"
    bench.ack(again)
    bench.want(1, symbol=1)
    assert bench.take(m.Submit) == []
    assert bench.ended[1].reason == rule
    bench.want(2, -HELD)
    bench.only(m.Cancel)
    bench.show(again, "cancelled", by="cancel")
    sale = bench.only(m.Submit)
    assert (sale.side, sale.quantity, sale.reduces) == ("sell", HELD, True)
    assert all(bench.core.may_send(each.client_id) for each in (stop, moved, again, sale))


@pytest.mark.parametrize("rule", sorted(RULES))
def test_no_block_takes_a_stop_or_holds_back_an_exit(rule: str) -> None:
    bench = Bench()
    stop = bench.hold_with_stop(HELD, LEVEL)
    bench.guards.trip(rule, bench.now, text="a test")
    assert_protection_stays(bench, stop, rule)


@pytest.mark.parametrize("rule", READS)
def test_a6_what_is_held_stays_protected_whatever_is_read(rule: str) -> None:
    books = Books()
    bench, read = books.bench, READS[rule]
    stop = bench.hold_with_stop(HELD, LEVEL)
    read(books)
    assert_protection_stays(bench, stop, rule)


@pytest.mark.parametrize("rule", READS)
def test_a6_a_stop_is_placed_though_entries_were_blocked_before(rule: str) -> None:
    books = Books()
    bench = books.bench
    entry = bench.order(1, HELD, kind="limit", limit_price=PRICE)
    bench.ack(entry)
    READS[rule](books)
    assert bench.guards.blocked(0) == rule
    bench.execute(entry, HELD)
    bench.core.protect(0, HELD, LEVEL)
    bench.proceed()
    placed = bench.only(m.Submit)
    assert (placed.order_type, placed.quantity, placed.reduces) == ("stop", HELD, True)
