"""E23 in a drill: an order that the venue lists under another client id is decided by its own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._drill.fault_kinds import CATALOGUE
from septet._drill.ownership import claim_known, count_open, is_waiting
from septet._drill.record_checks import check_all
from septet._drill.stop_cover import Cover, Terms
from septet._drill.trading_records import RunRecord, VenueRecord
from septet._drill.venue.venue_journal import OrderChanged, Row
from septet._journal.journal_format import Entry, encode_commands, encode_event
from tests.drill.test_record_checks import (
    HEAD,
    NAME,
    T0,
    TAG,
    TICK,
    Event,
    balance,
    changed,
    fill,
    order,
    post,
    submit,
    traded,
)

S = 1_000_000_000
OTHER = "x-73b1f0aa"
LISTED: dict[str, Any] = {"sent_as": NAME}
RULE = "unexplained_order:BTC/USDT"
TERMS = {"BTCUSDT": Terms("BTC", Decimal("0.1"), Decimal("5"))}
SENT: Event = (TICK, (submit(NAME), changed(NAME, "submitted", 0.0)))
UNKNOWN: Event = (TICK, (changed(NAME, "unknown", 0.0),))
BLOCKED: Event = (
    m.Ticked(at_ns=T0 + 4 * S, market_ns=T0),
    (
        m.Tripped(
            rule="unknown_order:BTC/USDT", then="block_entries", clears_when="known", equity=1.0
        ),
        m.Tripped(rule=RULE, then="block_entries", clears_when="septet resume", equity=1.0),
    ),
)
RESUME = m.Operated(at_ns=T0 + 5 * S, action="resume", name="drill", reason="compared")


def never_placed(event: m.Event) -> Event:
    ended = m.Changed(
        order=0, client_id=NAME, symbol=0, state="rejected", filled=0.0, reason="never_accepted"
    )
    return event, (m.Cleared(rule=RULE, by="person"), ended)


def truth(**changes: Any) -> list[Row]:
    """Return an order that was bought, under another client id."""
    return [
        balance("USDT", "1000", "opening"), balance("BTC", "0", "opening"), post(NAME),
        order(1, OTHER, **LISTED, **changes), fill(1, OTHER, "2", **LISTED),
        balance("BTC", "1.999", "1"), balance("USDT", "800", "1"),
    ]  # fmt: skip


def book(*journal: Event) -> RunRecord:
    entries = []
    for seq, (event, commands) in enumerate(journal, 1):
        at_ns, kind, text = encode_event(event)
        entries.append(Entry(seq, at_ns, kind, text, encode_commands(list(commands)), b""))
    return RunRecord(HEAD).take(entries)


def kinds(rows: list[Row], *journal: Event) -> set[str]:
    return {each.kind for each in check_all(VenueRecord().take(rows), book(*journal))}


def test_an_adopted_order_is_compared_like_any_other() -> None:
    bought = traded(1, 1.999, quantity=2.0)
    done: Event = (TICK, (changed(NAME, "open", 0.0), bought, changed(NAME, "filled", 2.0)))
    assert kinds(truth(), SENT, UNKNOWN, done) == set()
    assert "open_order" in kinds(truth(status="NEW"), SENT, UNKNOWN, done)
    unbooked: Event = (TICK, (changed(NAME, "open", 0.0), changed(NAME, "filled", 2.0)))
    assert kinds(truth(), SENT, UNKNOWN, unbooked) == {"lost_fill", "balance"}


def test_nothing_is_concluded_while_a_person_is_asked() -> None:
    assert kinds(truth(), SENT, UNKNOWN) == {"open_order", "lost_fill", "balance"}
    assert kinds(truth(), SENT, UNKNOWN, BLOCKED) == set()
    ours = book(SENT, UNKNOWN, BLOCKED)
    assert is_waiting(NAME, ours)
    assert ours.unmet(over=False) == [], "the unknown order ends with the person's word"
    assert book(SENT, UNKNOWN, (TICK, BLOCKED[1][:1])).unmet(over=False) == [
        "unknown_order:BTC/USDT"
    ]


def test_a_person_is_asked_about_an_order_that_others_may_hide_and_about_no_other() -> None:
    """A lost request, after somebody else has bought or deposited."""
    lost: list[Row] = [
        balance("USDT", "1000", "opening"), balance("BTC", "0", "opening"), post(NAME)
    ]  # fmt: skip
    foreign = order(1, "web_somebody", owner="other")
    deposit = balance("BTC", "1", "deposit")
    seen: Row
    for seen in (foreign, deposit):
        assert "open_order" in kinds([*lost, seen], SENT, UNKNOWN)
        assert "open_order" not in kinds([*lost, seen], SENT, UNKNOWN, BLOCKED)
    elsewhere = order(1, "web_somebody", owner="other", symbol="ETHUSDT")
    assert "open_order" in kinds([*lost, elsewhere], SENT, UNKNOWN, BLOCKED)
    assert "open_order" in kinds(lost, SENT, UNKNOWN, BLOCKED), "nothing explains the question"


def test_an_order_is_somebody_elses_by_a_persons_word_and_by_no_other() -> None:
    assert kinds(truth(), SENT, UNKNOWN, BLOCKED, never_placed(RESUME)) == set()
    later = m.Ticked(at_ns=T0 + 5 * S, market_ns=T0)
    wrong = kinds(truth(), SENT, UNKNOWN, BLOCKED, never_placed(later))
    assert wrong == {"lost_fill", "balance"}, "a runner that takes it for absent loses a fill"
    assert "open_order" in kinds(truth(status="NEW"), SENT, UNKNOWN, never_placed(later))


def test_an_order_whose_id_contains_ours_is_never_somebody_elses() -> None:
    """A person's word about another order of the symbol does not make it so."""
    rows = [
        msgspec.structs.replace(each, client_id=f"x-{NAME}") if hasattr(each, "sent_as") else each
        for each in truth()
    ]
    wrong = kinds(rows, SENT, UNKNOWN, BLOCKED, never_placed(RESUME))
    assert {"lost_fill", "balance"} <= wrong


def test_an_entry_that_is_sent_again_is_a_duplicate() -> None:
    """A runner that does not look for another id sends it again: both orders are executed."""
    again = f"{TAG}0-1"
    rows = [*truth(), post(again), order(2, again), fill(2, again, "2", order_id=2)]
    second: Event = (
        m.Ticked(at_ns=T0 + 5 * S, market_ns=T0),
        (submit(again), traded(2, 1.999, quantity=2.0), changed(again, "filled", 2.0)),
    )
    absent = never_placed(m.Ticked(at_ns=T0 + 4 * S, market_ns=T0))
    assert {"duplicate", "lost_fill"} <= kinds(rows, SENT, UNKNOWN, absent, second)
    assert "duplicate" not in kinds(rows, SENT, UNKNOWN, BLOCKED, never_placed(RESUME), second)


@pytest.mark.parametrize(("at_s", "wrong"), [(9, set()), (1, {"lost_fill", "balance"})])
def test_a_reduction_may_be_sent_again_while_nothing_of_it_is_executed(
    at_s: int, wrong: set[str]
) -> None:
    sent: Event = (TICK, (submit(NAME, side="sell", reduces=True),))
    sale = {"side": "SELL", "fee_asset": "USDT", "fee": "0"}
    rows = truth(side="SELL")
    rows[4] = fill(1, OTHER, "2", at_ns=T0 + at_s * S, **LISTED, **sale)
    rows[5:] = [balance("BTC", "-2", "1"), balance("USDT", "1200", "1")]
    ended = never_placed(m.Ticked(at_ns=T0 + 5 * S, market_ns=T0))
    assert kinds(rows, sent, UNKNOWN, ended) == wrong


def test_an_order_of_ours_is_counted_until_it_is_somebody_elses() -> None:
    venue = VenueRecord().take(truth(status="NEW"))
    assert count_open(venue, book(SENT, (TICK, (changed(NAME, "open", 0.0),)))) == 1
    assert count_open(venue, book(SENT, UNKNOWN, BLOCKED)) == 0
    assert count_open(venue, book(SENT, UNKNOWN, BLOCKED, never_placed(RESUME))) == 0


def test_a_fault_whose_order_the_venue_rejected_has_not_struck() -> None:
    venue = VenueRecord().take(truth(created_ms=T0 // 10**6))
    assert venue.lists_since(T0)
    assert not venue.lists_since(T0 + S)
    assert not VenueRecord().take([order(1, NAME, created_ms=T0 // 10**6)]).lists_since(T0)
    assert CATALOGUE["E23"].listed


def stop(at_s: int, **changes: Any) -> OrderChanged:
    fields = {"side": "SELL", "type": "STOP_LOSS", "status": "NEW", "at_ns": T0 + at_s * S}
    return order(2, "s", **(fields | changes))


def test_a_purchase_needs_a_stop_from_when_the_run_has_found_it() -> None:
    venue = VenueRecord(cover=Cover(TERMS)).take([stop(0), stop(1, status="CANCELED"), *truth()])
    for journal in ((SENT, UNKNOWN), (SENT, UNKNOWN, BLOCKED, never_placed(RESUME))):
        claim_known(venue, book(*journal))
        assert venue.cover.unprotected() == []
    known: Event = (m.Ticked(at_ns=T0 + 6 * S, market_ns=T0), (changed(NAME, "open", 0.0),))
    claim_known(venue, book(SENT, UNKNOWN, known))
    assert venue.cover.unprotected() == ["BTCUSDT"]
    assert venue.cover.longest_ms(T0, T0 + 8 * S) == (2_000.0, "BTCUSDT")
    assert venue.cover.unclaimed == {}


def test_a_sale_under_another_id_takes_the_units_at_once() -> None:
    """What is gone needs no stop, whatever the run knows of it."""
    bought = fill(1, "n", "1")
    gone = fill(2, OTHER, "0.999", side="SELL", fee="0", order_id=3, **LISTED)
    cover = Cover(TERMS)
    for row in (stop(0), bought, stop(1, status="CANCELED"), gone):
        cover.take(row)
    assert cover.unprotected() == []
