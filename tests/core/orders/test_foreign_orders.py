"""Orders with the run's own tag that its journal does not know, and ids that no copy uses again."""

from __future__ import annotations

from typing import Any

import pytest

from septet import messages as m
from septet._core.orders import NeverSentOrder
from septet._core.orders.foreign_orders import WHAT_TO_DO
from septet._core.orders.ids import Name, child_id, own_id, parse, stop_id
from tests.core.orders.bench import Bench
from tests.core.orders.market import LOT, SECOND, TAG

LEVEL = 90.0
COPY = "zz9y"
COPYS_STOP = stop_id(TAG, 0, 1, COPY)


def unnamed(bench: Bench, of: str, quantity: float = 2.0, **rest: Any) -> m.Filled:
    """List an execution as the venue's list of trades does: without a client id."""
    bench.trades += 1
    fields: dict[str, Any] = {"side": "buy", "price": 100.0, "trade_id": f"x{bench.trades}", **rest}
    fill = m.Filled(
        at_ns=bench.now, venue="v", symbol=0, client_id="", venue_order_id=of, quantity=quantity,
        venue_ns=bench.now, market_ns=bench.now, fee=0.0, fee_currency="USDT", listed=True,
        **fields,
    )  # fmt: skip
    bench.handle(fill)
    return fill


def shown(bench: Bench, of: str, client_id: str, **rest: Any) -> m.OrderSeen:
    """Return an order as the venue shows it."""
    fields: dict[str, Any] = {
        "side": "buy", "quantity": 2.0, "state": "filled", "filled": 2.0, "by": "query", **rest,
    }  # fmt: skip
    return m.OrderSeen(at_ns=bench.now, symbol=0, client_id=client_id, venue_order_id=of, **fields)


def copys_stop(bench: Bench, quantity: float = 4.0, **rest: Any) -> m.OrderSeen:
    """Return a stop that another copy of the run has placed, as a list shows it."""
    fields = {"side": "sell", "state": "open", "filled": 0.0, "by": "list", **rest}
    return shown(bench, "v9", COPYS_STOP, quantity=quantity, order_type="stop", **fields)


def found(bench: Bench) -> list[str]:
    return [each.client_id for each in bench.outcomes if isinstance(each, NeverSentOrder)]


# ---------------------------------------------------------------- executions that name no id


def test_the_order_of_an_execution_without_an_id_is_queried_once() -> None:
    bench = Bench()
    fill = unnamed(bench, "v7")
    unnamed(bench, "v7")
    query = bench.only(m.Query)
    assert (query.client_id, query.venue_order_id, query.by_venue_id) == ("", "v7", True)
    bench.handle(shown(bench, "v7", "web_1"))
    bench.handle(fill)
    unnamed(bench, "v7")
    bench.after_s(60)
    assert bench.take(m.Query) == [] == found(bench)
    assert bench.alerted("foreign_order") == []


def test_executions_of_a_copy_are_found_in_the_list_though_it_names_no_id() -> None:
    bench = Bench()
    for number, side in ((1, "buy"), (2, "sell")):
        unnamed(bench, f"v{number}", side=side, price=100.0 - number)
    bench.twin()
    assert [each.venue_order_id for each in bench.take(m.Query)] == ["v1", "v2"]
    for number, side in ((1, "buy"), (2, "sell")):
        bench.handle(shown(bench, f"v{number}", child_id(TAG, number, 1, COPY), side=side))
    assert found(bench) == [child_id(TAG, number, 1, COPY) for number in (1, 2)]
    assert bench.alerted("foreign_order") == ["critical", "error"]
    texts = [each.text for each in bench.alerts if each.event == "foreign_order"]
    assert [WHAT_TO_DO in each for each in texts] == [True, False], "what to do is said once"
    assert "buy 2 at 99" in texts[0]
    assert bench.position[0] == 0.0
    bench.operate("resume")
    (text,) = [each.text for each in bench.alerts if "are booked" in each.text]
    assert "of 2 orders of this run" in text
    assert "by -2 before fees" in text


def test_an_order_that_is_not_answered_is_queried_again_and_then_left() -> None:
    bench = Bench()
    unnamed(bench, "v7")
    bench.after_s(30)
    assert 5 <= len(bench.take(m.Query)) <= 7
    bench.after_s(60)
    assert len(bench.take(m.Query)) <= 4
    assert [each.text[:12] for each in bench.alerts if "not shown" in each.text] == ["the order v7"]


# ---------------------------------------------------------------- ids


@pytest.mark.parametrize(
    ("client_id", "name"),
    [
        (child_id(TAG, 71, 3), Name(71, -1, 3)),
        (child_id(TAG, 71, 40, COPY), Name(71, -1, 40, COPY)),
        (stop_id(TAG, 2, 5), Name(-1, 2, 5)),
        (stop_id(TAG, 2, 1296, COPY), Name(-1, 2, 1296, COPY)),
    ],
)
def test_an_id_is_parsed_with_and_without_the_part_of_its_start(client_id: str, name: Name) -> None:
    assert parse(TAG, client_id) == name
    assert own_id(TAG, f"broker-{client_id}-x") == client_id


def test_ids_fit_into_what_the_narrowest_exchange_takes() -> None:
    assert len(child_id(TAG, 36**4 - 1, 35, COPY)) <= 18
    assert len(stop_id(TAG, 35, 36**3 - 1, COPY)) <= 18


def test_two_processes_that_continue_from_the_same_journal_use_no_id_twice() -> None:
    ids: list[set[str]] = []
    for part in ("aaaa", "bbbb"):
        bench = Bench()
        bench.hold_with_stop(1.0, LEVEL)
        bench.crash(part)
        bench.want(1)
        bench.core.protect(1, 1.0, LEVEL)
        bench.proceed()
        sent = bench.take(m.Submit)
        assert sent
        ids.append({each.client_id for each in sent})
    assert not ids[0] & ids[1]


def test_what_an_earlier_start_sent_is_known_and_what_a_copy_sent_since_is_foreign() -> None:
    bench = Bench()
    bench.crash("aaaa")
    bench.end(bench.order(1), "cancelled")
    bench.crash("bbbb")
    for number in (2, 3):
        bench.end(bench.order(number), "cancelled")
    bench.list_open(shown(bench, "v5", child_id(TAG, 2, 1, "aaaa"), state="open", by="list"))
    assert found(bench) == [child_id(TAG, 2, 1, "aaaa")], "aaaa has sent no second order here"
    bench.list_open(shown(bench, "v6", child_id(TAG, 3, 1, COPY), state="open", by="list"))
    assert found(bench)[1:] == [child_id(TAG, 3, 1, COPY)]


def test_stops_are_numbered_anew_by_each_start() -> None:
    bench = Bench()
    bench.crash("aaaa")
    first = bench.hold_with_stop(1.0, LEVEL)
    bench.end(first, "cancelled")
    bench.crash("bbbb")
    bench.after_s(20)
    assert bench.take(m.Submit)[-1].client_id == stop_id(TAG, 0, 1, "bbbb")
    bench.list_open(copys_stop(bench), shown(bench, "v8", stop_id(TAG, 0, 2, "aaaa"), state="open"))
    assert found(bench) == [COPYS_STOP, stop_id(TAG, 0, 2, "aaaa")]


# ---------------------------------------------------------------- a stop that locks the units


def holding(part: str = "aaaa") -> Bench:
    """A run that books 4.6, where the account holds 4.0, all of it locked by a copy's stop."""
    bench = Bench()
    bench.crash(part)
    bench.hold(4.6)
    bench.list_open(copys_stop(bench))
    return bench


def compare(bench: Bench, account_units: float) -> None:
    bench.now += 1
    booked = bench.position[0]
    bench.core.resolve_disputes(0, "S0", account_units - booked, LOT, bench.now, bench.now)
    bench.guards.compare(
        0, booked, account_units, tolerance=LOT, band=bench.core.band(0),
        lags=bench.core.lags(0, bench.now), now_ns=bench.now,
    )  # fmt: skip
    bench.core.account_holds(0, account_units if bench.guards.differs(0) else None)
    bench.proceed()


@pytest.mark.parametrize("client_id", [COPYS_STOP, "web_1"])
def test_an_order_of_others_at_rest_explains_no_difference(client_id: str) -> None:
    bench = Bench()
    bench.hold(4.6)
    bench.list_open(shown(bench, "v9", client_id, side="sell", state="open", filled=0.0, by="list"))
    compare(bench, 4.0)
    assert bench.guards.symbols_of("position_mismatch") == [0]


def test_a_rejected_exit_cancels_the_stop_of_a_copy_and_sells_what_the_account_holds() -> None:
    bench = holding()
    compare(bench, 4.0)
    assert bench.take(m.Cancel) == [], "it protects what is held"
    bench.want(1, -4.6)
    bench.reject(bench.only(m.Submit).client_id, "funds")
    bench.after_s(0.25)
    bench.list_open(copys_stop(bench))
    assert bench.only(m.Cancel).venue_order_id == "v9"
    bench.handle(copys_stop(bench, state="cancelled", by="cancel"))
    assert bench.only(m.Submit).quantity == pytest.approx(4.0)


def test_a_resume_cancels_what_a_copy_left_open_and_the_own_stop_is_placed() -> None:
    bench = holding()
    bench.core.protect(0, 4.6, LEVEL)
    bench.proceed()
    bench.reject(bench.only(m.Submit).client_id, "funds")
    compare(bench, 4.0)
    bench.list_open(copys_stop(bench))
    assert bench.take(m.Cancel) == [], "it protects what is held"
    bench.now += 10 * SECOND
    bench.operate("resume")
    assert bench.only(m.Cancel).client_id == COPYS_STOP
    assert bench.take(m.Submit) == [], "the units are locked until the cancel is answered"
    bench.list_open(copys_stop(bench))
    assert bench.only(m.Cancel).client_id == COPYS_STOP, "until it is gone"
    bench.handle(copys_stop(bench, state="cancelled", by="cancel"))
    (stop,) = bench.take(m.Submit)
    assert stop.order_type == "stop"
    assert stop.quantity == pytest.approx(4.0)
    bench.list_open()
    bench.after_s(5)
    assert bench.take(m.Cancel) == []


def test_a_resume_leaves_a_stop_that_protects_more_than_is_booked() -> None:
    bench = Bench()
    bench.list_open(copys_stop(bench))
    bench.now += 1
    bench.core.resolve_disputes(0, "S0", 4.0, LOT, bench.now, bench.now)
    bench.operate("resume")
    assert bench.take(m.Cancel) == []
    assert "left there" in bench.alerts[-1].text
