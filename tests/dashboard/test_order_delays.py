"""Delays of orders: each within one start of the run, whose clock never goes back."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from septet import messages as m
from septet._dashboard.order_delays import delays_of
from septet._journal.journal_format import Entry, encode_event

MS = 1_000_000


def entry(event: m.Event, commands: Sequence[m.Command] = ()) -> Entry:
    at_ns, kind, text = encode_event(event)
    return Entry(0, at_ns, kind, text, msgspec.json.encode(commands), b"")


def started(at_ns: int, session: int) -> m.Started:
    return m.Started(
        at_ns=at_ns, session=session, run_id="r", mode="paper", strategy="s", origin_ns=0,
        market_ns=at_ns, fingerprints={},
    )  # fmt: skip


def submit(name: str) -> m.Submit:
    return m.Submit(
        client_id=name, parent=1, symbol=0, side="buy", order_type="market", quantity=1.0,
        reduces=False, deadline_ns=0,
    )  # fmt: skip


def acked(at_ns: int, name: str) -> m.Acked:
    return m.Acked(
        at_ns=at_ns, client_id=name, venue_order_id=name, state="open", side="buy", quantity=1.0
    )


def filled(at_ns: int, name: str) -> m.Filled:
    return m.Filled(
        at_ns=at_ns, venue="v", symbol=0, trade_id=name, client_id=name, venue_order_id=name,
        venue_ns=at_ns, market_ns=at_ns, side="buy", quantity=1.0, price=1.0, fee=0.0,
        fee_currency="USD",
    )  # fmt: skip


def decided(at_ns: int) -> m.DecisionTimeReached:
    return m.DecisionTimeReached(at_ns=at_ns, time_ns=at_ns, present=(0,))


def test_what_came_after_each_order_is_measured_in_milliseconds() -> None:
    found = delays_of([
        entry(started(0, 1)), entry(decided(5 * MS), [submit("a")]), entry(acked(9 * MS, "a")),
        entry(filled(12 * MS, "a")), entry(filled(40 * MS, "a")), entry(acked(50 * MS, "b")),
        entry(m.Ticked(at_ns=60 * MS, market_ns=0), [submit("c")]), entry(filled(61 * MS, "c")),
    ])  # fmt: skip
    assert found == {"order": [0.0, 55.0], "ack": [4.0], "fill": [7.0, 1.0]}


def test_an_order_of_an_earlier_process_whose_clock_was_ahead_has_no_delay() -> None:
    found = delays_of([
        entry(started(0, 1)), entry(decided(900 * MS), [submit("a")]),
        entry(started(500 * MS, 2)),  # the machine's clock was set back while no process ran
        entry(acked(510 * MS, "a")), entry(filled(511 * MS, "a")),
        entry(m.Ticked(at_ns=520 * MS, market_ns=0), [submit("b")]), entry(acked(523 * MS, "b")),
    ])  # fmt: skip
    assert found == {"order": [0.0], "ack": [3.0], "fill": []}
