"""Quotes are thinned out without losing the newest or a move; queues are bounded."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._host.venues import PrintSeen, QuoteSeen
from septet._live.market_data.quotes import PrintThrottle, QuoteThrottle

MS = 1_000_000


def quote(
    bid: float, ask: float | None = None, *, symbol: str = "A", venue_ns: int = 0
) -> QuoteSeen:
    return QuoteSeen(symbol, venue_ns, bid, 1.0, bid + 0.01 if ask is None else ask, 1.0)


def test_a_quote_passes_once_in_a_while_and_a_move_at_once() -> None:
    throttle = QuoteThrottle(["A"])
    assert throttle.take(quote(100.0), 0) is not None
    assert throttle.take(quote(100.01), 10 * MS) is None
    assert throttle.take(quote(100.02), 20 * MS) is None
    assert throttle.next_wall_ns() == 250 * MS
    assert throttle.due(249 * MS) == []
    (given_,) = throttle.due(250 * MS)
    assert given_.bid == 100.02
    assert throttle.next_wall_ns() is None
    moved = throttle.take(quote(100.2), 251 * MS)
    assert moved is not None
    assert throttle.counts["thinned"] == 1


@pytest.mark.parametrize(
    "bad",
    [
        quote(101.0, 100.0),
        quote(0.0),
        quote(-1.0),
        quote(math.nan),
        quote(1.0, math.inf),
        QuoteSeen("A", 0, 1.0, math.nan, 2.0, 1.0),
    ],
)
def test_an_invalid_quote_is_dropped(bad: QuoteSeen) -> None:
    throttle = QuoteThrottle(["A"])
    assert throttle.take(bad, 0) is None
    assert throttle.counts["bad"] == 1


def test_an_older_quote_and_an_unknown_symbol_are_dropped() -> None:
    throttle = QuoteThrottle(["A"])
    assert throttle.take(quote(100.0, venue_ns=5), 5) is not None
    assert throttle.took("A", 5)
    assert throttle.take(quote(200.0, venue_ns=4), 6) is None
    assert not throttle.took("A", 6)
    assert throttle.take(quote(100.0, symbol="B"), 6) is None
    assert throttle.counts == {"unordered": 1, "unknown": 1}


def test_a_quote_stamped_in_the_future_does_not_make_later_ones_look_old() -> None:
    throttle = QuoteThrottle(["A"])
    early = throttle.take(quote(100.0, venue_ns=30_000 * MS), 1_000 * MS)
    assert early is not None
    assert early.venue_ns == 1_000 * MS
    later = throttle.take(quote(101.0, venue_ns=1_400 * MS), 1_500 * MS)
    assert later is not None
    assert later.bid == 101.0


def test_trades_of_a_test_network_that_began_anew_are_not_taken_for_known_ones() -> None:
    throttle = PrintThrottle(["A"])
    assert throttle.take(PrintSeen("A", 5, "1", 100.0, 1.0), 10) is not None
    assert throttle.take(PrintSeen("A", 5, "1", 100.0, 1.0), 11) is None
    assert throttle.take(PrintSeen("A", 9, "1", 102.0, 1.0), 12) is not None


def test_an_absurd_price_must_stand_for_a_second() -> None:
    throttle = QuoteThrottle(["A"])
    assert throttle.take(quote(100.0), 0) is not None
    for at_ms, bid in ((10, 1.0), (20, 1.0), (30, 10_000.0), (500, 120.0)):
        assert throttle.take(quote(bid), at_ms * MS) is None
    assert throttle.take(quote(100.5), 600 * MS) is not None
    assert throttle.counts["doubted"] == 4
    assert throttle.next_wall_ns() is None
    assert throttle.take(quote(150.0), 1_000 * MS) is None
    assert throttle.take(quote(151.0), 1_900 * MS) is None
    assert throttle.due(1_999 * MS) == []
    assert throttle.next_wall_ns() == 2_000 * MS
    (accepted,) = throttle.due(2_000 * MS)
    assert accepted.bid == 151.0
    assert throttle.take(quote(152.0), 2_010 * MS) is not None


def test_a_price_that_stands_is_taken_with_the_next_quote() -> None:
    throttle = QuoteThrottle(["A"])
    assert throttle.take(quote(100.0), 0) is not None
    assert throttle.take(quote(80.0), 100 * MS) is None
    assert throttle.take(quote(80.1), 1_100 * MS) is not None


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(99.0, 101.0)), max_size=60))
def test_the_newest_quote_is_never_lost(moves: list[tuple[int, float]]) -> None:
    throttle, now = QuoteThrottle(["A"]), 0
    last, given_ns = None, []
    for wait, bid in moves:
        now += wait * MS
        for each in (*throttle.due(now), throttle.take(quote(bid), now)):
            if each is not None:
                last = each.bid
                given_ns.append(now)
    for each in throttle.due(now + 250 * MS):
        last = each.bid
    if moves:
        assert last == moves[-1][1]


def trade(number: int, price: float = 1.0, symbol: str = "A") -> PrintSeen:
    return PrintSeen(symbol, number, str(number), price, 1.0)


def test_a_trade_is_passed_on_once() -> None:
    throttle = PrintThrottle(["A"])
    assert throttle.take(trade(1), 0) is not None
    assert throttle.take(trade(1), 0) is None
    assert throttle.take(trade(2, math.nan), 0) is None
    assert throttle.take(trade(2, symbol="B"), 0) is None
    assert throttle.counts == {"duplicate": 1, "bad": 1, "unknown": 1}
    slow = PrintThrottle(["A"], every_ns=MS)
    assert [slow.take(trade(k), k * MS // 2) is not None for k in range(4)] == [
        True, False, True, False,
    ]  # fmt: skip
