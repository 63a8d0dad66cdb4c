"""The check of both records finds what it is for: a true pair of records, and one change each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest

from septet import messages as m
from septet._core.guards import RULES
from septet._drill.record_checks import KINDS, Finding, check_all, unreported
from septet._drill.trading_records import Block, RunRecord, VenueRecord
from septet._drill.venue.config import Bars
from septet._drill.venue.venue_journal import (
    BalanceChanged,
    FillMade,
    OrderChanged,
    RequestSeen,
    Row,
)
from septet._journal.journal_format import Entry, Head, encode_commands, encode_event

TAG = "sabcdefg"
T0 = 1_000_000_000_000
HOUR = 3_600_000_000_000
HEAD = Head(
    run_id="r", strategy="s", mode="live", account="a", created_ns=T0, origin_ns=T0,
    facts={"tag": TAG, "symbols": ["BTC/USDT"], "currency": "USDT"},
)  # fmt: skip
Event = tuple[m.Event, tuple[m.Command, ...]]


def order(number: int, name: str, **changes: Any) -> OrderChanged:
    fields: dict[str, Any] = {
        "at_ns": T0, "execution": "TRADE", "order_id": number, "client_id": name,
        "symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "tif": "GTC", "quantity": "2",
        "price": "0", "stop": "0", "status": "FILLED", "executed": "2", "quote_executed": "200",
        "created_ms": 1, "by": "client", "owner": "client",
    }  # fmt: skip
    return OrderChanged(**(fields | changes))


def fill(trade: int, name: str, quantity: str, **changes: Any) -> FillMade:
    fields: dict[str, Any] = {
        "at_ns": T0, "market_ns": T0, "trade_id": trade, "order_id": 1, "client_id": name,
        "symbol": "BTCUSDT", "side": "BUY", "quantity": quantity, "price": "100",
        "quote_quantity": "100", "fee": "0.001", "fee_asset": "BTC", "maker": False,
        "owner": "client",
    }  # fmt: skip
    return FillMade(**(fields | changes))


def balance(asset: str, free: str, cause: str) -> BalanceChanged:
    return BalanceChanged(at_ns=T0, asset=asset, free=free, locked="0", cause=cause)


def post(name: str, at_ns: int = T0) -> RequestSeen:
    return RequestSeen(
        at_ns=at_ns, number=1, method="POST", path="/api/v3/order", symbol="BTCUSDT", client_id=name
    )


def submit(name: str, **changes: Any) -> m.Submit:
    fields: dict[str, Any] = {
        "client_id": name, "parent": 0, "symbol": 0, "side": "buy", "order_type": "market",
        "quantity": 2.0, "reduces": False, "deadline_ns": T0 + 10**9,
    }  # fmt: skip
    return m.Submit(**(fields | changes))


def changed(name: str, state: m.OrderState, filled: float) -> m.Changed:
    return m.Changed(order=0, client_id=name, symbol=0, state=state, filled=filled)


def traded(trade: int, position: float, **changes: Any) -> m.Traded:
    fields: dict[str, Any] = {
        "order": 0, "symbol": 0, "trade_id": str(trade), "side": "buy", "quantity": 1.0,
        "price": 100.0, "fee": 0.001, "fee_currency": "BTC", "position": position, "market_ns": T0,
    }  # fmt: skip
    return m.Traded(**(fields | changes))


def bar(hour: int) -> m.BarClosed:
    return m.BarClosed(
        at_ns=T0,
        symbol=0,
        open_ns=hour * HOUR,
        known_ns=(hour + 1) * HOUR,
        open=1.0,
        high=2.0,
        low=0.5,
        close=1.5,
        volume=3.0,
    )


NAME = f"{TAG}0-0"
BARS = Bars(
    open_ns=[0, HOUR, 2 * HOUR], open=[1.0] * 3, high=[2.0] * 3, low=[0.5] * 3, close=[1.5] * 3,
    volume=[3.0] * 3,
)  # fmt: skip
TICK = m.Ticked(at_ns=T0, market_ns=T0)


def rows() -> list[Row]:
    return [
        balance("USDT", "1000", "opening"), balance("BTC", "0", "opening"), post(NAME),
        order(1, NAME), fill(1, NAME, "1"), fill(2, NAME, "1"), balance("BTC", "1.998", "1"),
        balance("USDT", "800", "1"), balance("USDT", "900", "deposit"),
    ]  # fmt: skip


def entries() -> list[Event]:
    return [
        (bar(0), (submit(NAME), changed(NAME, "intent", 0.0))),
        (TICK, (traded(1, 0.999), changed(NAME, "partially_filled", 1.0))),
        (TICK, (traded(2, 1.998), changed(NAME, "filled", 2.0))),
        (bar(1), ()),
        (bar(2), ()),
    ]


def found(rows: Sequence[Row], journal: Sequence[Event]) -> set[str]:
    ours = RunRecord(HEAD)
    made = []
    for seq, (event, commands) in enumerate(journal, 1):
        at_ns, kind, text = encode_event(event)
        made.append(Entry(seq, at_ns, kind, text, encode_commands(list(commands)), b""))
    ours.take(made)
    findings = check_all(VenueRecord(bars={"BTCUSDT": BARS}).take(rows), ours)
    assert all(each.kind in KINDS for each in findings)
    return {each.kind for each in findings}


def test_books_that_agree_give_no_finding() -> None:
    assert found(rows(), entries()) == set()


def at(place: int, *commands: m.Command) -> Callable[[list[Event]], None]:
    """Replace the commands of an entry."""

    def change(journal: list[Event]) -> None:
        journal[place] = (journal[place][0], commands)

    return change


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (at(1, changed(NAME, "partially_filled", 1.0)), "lost_fill"),
        (at(1, traded(1, 0.999), traded(1, 1.998)), "invented_fill"),
        (at(1, traded(7, 0.999)), "invented_fill"),
        (at(1, traded(1, 0.999, quantity=1.1)), "wrong_fill"),
        (at(1, traded(1, 0.999, price=101.0)), "wrong_fill"),
        (at(1, traded(1, 0.999, fee=0.002)), "wrong_fill"),
        (at(1, traded(1, 0.999, side="sell")), "wrong_fill"),
        (at(1, traded(1, 0.999, fee_currency="USDT")), "wrong_fill"),
        (at(2, traded(2, 1.999), changed(NAME, "filled", 2.0)), "position"),
        (at(1, traded(1, 0.999, price=101.0)), "balance"),
        (at(2, traded(2, 1.998), changed(NAME, "open", 2.0)), "backwards"),
        (at(2, traded(2, 1.998)), "open_order"),
        (at(0, changed(NAME, "intent", 0.0)), "stray"),
        (at(0, submit(NAME, deadline_ns=T0 - 10**9)), "late_order"),
        (at(0, submit(NAME, quantity=1.5)), "duplicate"),
        (lambda journal: journal.pop(3), "bar"),
        (lambda journal: journal.insert(3, journal[4]), "backwards"),
        (
            lambda journal: journal.insert(
                0, (m.Operated(at_ns=T0 - 10**9, action="halt", name="n", reason="r"), ())
            ),
            "late_order",
        ),
    ],
)
def test_a_change_of_our_journal_is_found(change: Callable[[list[Event]], Any], kind: str) -> None:
    journal = entries()
    change(journal)
    assert kind in found(rows(), journal)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda all_: all_.append(order(2, NAME)), "duplicate"),
        (lambda all_: all_.append(post(NAME)), "duplicate"),
        (lambda all_: all_.append(order(2, f"{TAG}9-0")), "stray"),
        (lambda all_: all_.append(fill(3, NAME, "1")), "lost_fill"),
        (lambda all_: all_.pop(4), "invented_fill"),
        (lambda all_: all_.append(order(1, NAME, status="NEW")), "open_order"),
        (lambda all_: all_.append(balance("BTC", "2", "1")), "balance"),
        (lambda all_: all_.append(balance("USDT", "901", "1")), "balance"),
    ],
)
def test_a_change_of_the_truth_is_found(change: Callable[[list[Row]], Any], kind: str) -> None:
    truth = rows()
    change(truth)
    assert kind in found(truth, entries())


@pytest.mark.parametrize("fee", [{"fee": 0.001000002}, {"fee": 0.1, "fee_currency": "USDT"}])
def test_a_fee_that_could_not_be_read_is_booked_as_expected(fee: dict[str, Any]) -> None:
    """The books differ by what the venue took; everything else of the execution is compared."""
    journal = entries()
    net = 1.0 - (fee["fee"] if "fee_currency" not in fee else 0.0)
    at(1, traded(1, net, fee_expected=True, **fee), changed(NAME, "partially_filled", 1.0))(journal)
    at(2, traded(2, net + 0.999), changed(NAME, "filled", 2.0))(journal)
    assert found(rows(), journal) == set()
    at(1, traded(1, net, **fee), changed(NAME, "partially_filled", 1.0))(journal)
    assert "wrong_fill" in found(rows(), journal), "one that the venue has reported"
    wrong = traded(1, net, fee_expected=True, price=101.0, **fee)
    at(1, wrong, changed(NAME, "partially_filled", 1.0))(journal)
    assert {"wrong_fill", "balance"} <= found(rows(), journal)


@pytest.mark.parametrize(("told", "wrong"), [(0.001, set()), (0.002, {"wrong_fill"})])
def test_a_fee_that_the_venue_states_late_is_compared(told: float, wrong: set[str]) -> None:
    """The fill was booked with the expected fee of 0.003, and is corrected in the same row."""
    journal = entries()
    late = m.Corrected(
        order=0, symbol=0, of="1", trade_id="1", side="buy", quantity=1.0, booked_price=100.0,
        booked_ns=1, price=100.0, fee=told, fee_currency="BTC", fee_quote=100.0 * told, cash=0.0,
        market_ns=2, fee_booked=0.3, units=0.003 - told, position=1.0 - told,
    )  # fmt: skip
    expected = traded(1, 0.997, fee_expected=True, fee=0.003)
    at(1, expected, changed(NAME, "partially_filled", 1.0), late)(journal)
    assert found(rows(), journal) & {"wrong_fill"} == wrong


def test_what_cannot_be_mended_is_found_once_and_what_comes_again_each_time() -> None:
    wrong = Finding("wrong_fill", "trade 1", "fee 1 at the venue, 2 with us")
    balance = Finding("balance", "USDT", "10 at the venue, 11 explained")
    unprotected = Finding("unprotected", "BTCUSDT", "is held without a stop")
    assert unreported([wrong, balance, unprotected], []) == [wrong, balance, unprotected]
    later = Finding("balance", "USDT", "7 at the venue, 8 explained")
    other = Finding("wrong_fill", "trade 2", "fee 1 at the venue, 2 with us")
    reported = [wrong, balance, unprotected]
    assert unreported([wrong, later, unprotected, other], reported) == [unprotected, other]
    elsewhere = Finding("balance", "BTC", "7 at the venue, 8 explained")
    assert unreported([elsewhere], reported) == [elsewhere]


def test_what_others_do_is_no_finding() -> None:
    truth = rows()
    truth += [
        order(5, "web_somebody1", owner="other", status="NEW"),
        fill(9, "web_somebody2", "1", owner="other", fee="0"),
        balance("BTC", "2.998", "9"), balance("USDT", "800", "9"),
    ]  # fmt: skip
    assert found(truth, entries()) == set()


@pytest.mark.parametrize(
    ("rules", "at_rest", "of_file"),
    [
        ([], True, []),
        (["monitoring.churn", "drawdown"], True, ["drawdown", "monitoring.churn"]),
        (["operator_halt"], True, []),
        (["monitoring.churn", "operator_halt"], True, []),
        (["venue_down:local"], False, []),
    ],
)
def test_a_run_may_end_while_a_halt_of_its_file_holds(
    rules: list[str], at_rest: bool, of_file: list[str]
) -> None:
    ours = RunRecord(HEAD)
    ours.blocks = {each: Block(each, "manual", 0) for each in rules}
    assert (ours.is_at_rest(over=False), ours.file_halts) == (at_rest, of_file)


@pytest.mark.parametrize(
    ("rule", "over", "rests"),
    [
        ("feed_stale:bars:BTC/USDT", False, False),
        ("feed_stale:bars:BTC/USDT", True, True),
        ("feed_down:bars", True, True),
        ("venue_down:local", True, False),
        ("unknown_order:BTC/USDT", True, False),
    ],
)
def test_streams_are_silent_for_good_once_the_bars_are_over(
    rule: str, over: bool, rests: bool
) -> None:
    ours = RunRecord(HEAD)
    ours.blocks = {rule: Block(rule, RULES[rule.partition(":")[0]].clears_when, 0)}
    assert ours.is_at_rest(over=over) == rests


def test_a_position_that_a_person_is_asked_about_may_wait_without_protection() -> None:
    ours = RunRecord(HEAD)
    for rule in ("unprotected", "position_mismatch"):
        name = f"{rule}:BTC/USDT"
        ours.blocks[name] = Block(name, RULES[rule].clears_when, 0)
        waits = ["unprotected:BTC/USDT"] if rule == "unprotected" else []
        assert ours.unmet(over=False) == waits
    ours.blocks["unprotected:ETH/USDT"] = Block("unprotected:ETH/USDT", "", 0)
    assert ours.unmet(over=False) == ["unprotected:ETH/USDT"]


def _operated(action: Literal["halt", "resume"], name: str) -> Entry:
    event = m.Operated(at_ns=1, action=action, name=name, reason="why")
    at_ns, kind, text = encode_event(event)
    return Entry(1, at_ns, kind, text, b"[]", b"")


def test_a_halt_is_a_persons_unless_the_run_or_a_signal_made_it() -> None:
    ours = RunRecord(HEAD)
    assert ours.halted_by == ""
    for name, by in (("mara", "mara"), ("file", "file"), ("signal", ""), ("safe_mode", "")):
        ours.take([_operated("halt", name)])
        assert (ours.halted, ours.halted_by) == (True, by)
        ours.take([_operated("resume", "drill")])
        assert (ours.halted, ours.halted_by) == (False, "")
