"""The ledger's cash against what the account has for it (A6): only own orders count."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from septet import messages as m
from septet._core.account_check import Account
from tests.core.orders.bench import FINAL_AFTER, Bench
from tests.core.orders.market import PRICE, SECOND

CAPITAL = 1_000.0
BLOCK = "insufficient_funds"


def _nothing(*given: object) -> None:
    """Book nothing."""


class Books:
    """A bench, and a ledger that holds what the test sets."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.bench.guards.equity = CAPITAL
        self.cash = CAPITAL
        names: Any = SimpleNamespace(base=["BTC"], quote=["USDT"])
        self.account = Account(names, self.bench.guards, self.bench.core, self.bench.checks)

    def held(self, k: int) -> float:
        return self.bench.position[k]

    def read(self, free: float, locked: float = 0.0, **rest: Any) -> str:
        """Take in a read of the account; return what blocks entries."""
        now = self.bench.now
        btc = (self.bench.position[0], 0.0)
        event = m.Holdings(
            at_ns=now, asked_ns=now, balances={"USDT": (free, locked), "BTC": btc}, **rest
        )
        self.account.compare(event, self, _nothing, _nothing)
        return self.bench.guards.blocked(0)

    def resting(self, quantity: float = 4.0) -> m.Submit:
        order = self.bench.order(1, quantity, kind="limit", limit_price=PRICE)
        self.bench.ack(order)
        return order


def test_a6_what_an_own_order_locks_counts() -> None:
    books = Books()
    books.resting()
    worth = 4.0 * PRICE
    assert books.read(CAPITAL - worth, worth) == ""


def test_a6_what_an_own_order_may_have_spent_explains_what_is_missing() -> None:
    books = Books()
    books.resting()
    worth = 4.0 * PRICE
    assert books.read(CAPITAL - worth) == ""  # filled, and not received yet
    assert books.read(CAPITAL - worth - 100.0) == BLOCK


def test_a6_what_a_stranger_locks_is_not_there_for_entries() -> None:
    books = Books()
    assert books.read(CAPITAL - 300.0, 300.0) == BLOCK
    assert books.read(CAPITAL) == ""


def test_a6_a_sale_that_a_read_does_not_show_yet_is_no_shortfall() -> None:
    books = Books()
    bench = books.bench
    bench.hold(4.0)
    order = bench.order(1, -4.0)
    bench.ack(order)
    bench.execute(order, 4.0)
    bench.position[0] = 0.0
    assert books.read(CAPITAL - 4.0 * PRICE) == ""
    bench.after_s(FINAL_AFTER + 1)
    assert books.read(CAPITAL - 4.0 * PRICE) == BLOCK


@pytest.mark.parametrize("free", [0.0, -math.inf, math.nan, -1.0, 1.0])
def test_a6_whatever_is_read_entries_are_blocked_until_it_is_there_again(free: float) -> None:
    books = Books()
    assert books.read(free) == BLOCK
    assert books.read(free) == BLOCK
    assert books.read(CAPITAL + 10.0) == ""


def test_a6_a_person_may_go_on_with_less_and_more_missing_blocks_again() -> None:
    books = Books()
    assert books.read(CAPITAL - 100.0) == BLOCK
    books.bench.operate("resume")
    assert books.read(CAPITAL - 100.0) == ""
    assert books.read(CAPITAL - 200.0) == BLOCK
    assert books.read(CAPITAL) == ""
    assert books.read(CAPITAL - 100.0) == BLOCK  # it was back: what was accepted is over


def test_a6_fees_that_nobody_named_are_borne() -> None:
    books = Books()
    assert books.read(CAPITAL * (1.0 - 0.9e-3)) == ""
    assert books.read(CAPITAL * (1.0 - 1.1e-3)) == BLOCK


def test_a6_the_cash_of_other_strategies_is_theirs() -> None:
    books = Books()
    assert books.read(CAPITAL + 400.0, others={"USDT": 500.0}) == BLOCK
    assert books.read(CAPITAL + 500.0, others={"USDT": 500.0}) == ""
    assert (
        books.read(CAPITAL + 400.0, others={"USDT": 500.0}, others_open={"USDT": (-150.0, 0)}) == ""
    )
    moved = {"USDT": ((books.bench.now, books.bench.now, 150.0, 0.0),)}
    assert books.read(CAPITAL + 400.0, others={"USDT": 500.0}, others_fills=moved) == ""


def test_a6_balances_that_could_not_be_read_block_until_they_are() -> None:
    bench = Bench()
    now = bench.now
    unread = m.Holdings(at_ns=now, asked_ns=now, balances={}, unread="the balance is nan")
    assert [each.rule for each in bench.guards.read(unread) if isinstance(each, m.Tripped)] == [
        "account_unread"
    ]
    assert bench.guards.blocked(0) == "account_unread"
    bench.guards.read(m.Holdings(at_ns=now + SECOND, asked_ns=now, balances={}))
    assert bench.guards.blocked(0) == ""


def test_a_snapshot_keeps_what_a_person_accepted() -> None:
    books = Books()
    books.read(CAPITAL - 100.0)
    books.bench.operate("resume")
    other = Books()
    other.bench.guards.restore(books.bench.guards.snapshot())
    assert other.read(CAPITAL - 100.0) == ""
