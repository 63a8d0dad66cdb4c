"""The venue adapter against a venue that keeps its own truth: each fault, and what holds then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest
from pydantic import ValidationError

from septet import messages as m
from septet._drill.venue import Fault, Fees
from septet.errors import InputError, RunError
from septet.plugin import SecretRef
from tests.execution.helpers import (
    SYMBOLS,
    Received,
    WallTime,
    account,
    connected,
    limit,
    local_venue,
    placed,
    read,
    submit,
)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def test_what_is_found_when_a_venue_is_opened() -> None:
    async def case() -> None:
        async with local_venue(can_withdraw=True) as venue:
            live = account(venue.urls).connect(name="main", clock=WallTime(), read=read)
            facts = await live.open(SYMBOLS, Received())
            await live.close()
        market = facts.markets["BTC/USDT"]
        assert (market.base, market.quote, market.lot, market.tick) == ("BTC", "USDT", 1e-5, 0.01)
        assert market.min_notional == 5.0
        assert facts.order_types == {"market", "limit", "stop", "stop_limit"}
        assert facts.can_withdraw is True
        assert facts.is_test is True
        assert facts.streams_orders
        assert facts.answers_final_after_ns == 65 * 10**9
        assert len(facts.account) == 16

    run(case())


def test_an_order_from_sending_to_its_fill() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            ack = await live.submit(submit("a-1"))
            assert isinstance(ack, m.Acked)
            assert (ack.state, ack.side, ack.quantity, ack.filled) == ("filled", "buy", 0.5, 0.5)
            await received.until(
                lambda: [each for each in received.of(m.OrderSeen) if each.state == "filled"]
            )
            fills = {each.trade_id: each for each in received.of(m.Filled)}
            (fill,) = fills.values()
            (true,) = venue.journal.dump().fills
            assert (fill.client_id, fill.venue_order_id) == ("a-1", ack.venue_order_id)
            assert (fill.quantity, fill.price) == (float(true.quantity), float(true.price))
            assert (fill.fee, fill.fee_currency) == (float(true.fee), true.fee_asset)
            assert fill.market_ns == fill.venue_ns
            again = await live.fills(0, 0)
            assert [each.trade_id for each in again] == [fill.trade_id]
            held = await live.holdings()
            assert held.balances["BTC"] == (0.4995, 0.0)

    run(case())


def test_a_limit_is_rounded_so_that_it_is_never_worse() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, _):
            buy = await live.submit(limit("a-1", 90.129, quantity=0.123456789))
            assert (buy.price, buy.quantity) == (90.12, 0.12345)
            tiny = await live.submit(limit("a-2", 90.0, quantity=1e-9))
            assert isinstance(tiny, m.Rejected)
            assert (tiny.by, tiny.code) == ("local", "filter")
            assert placed(venue) == ["a-1"]

    run(case())


def test_cancel_query_and_what_is_not_there() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, _):
            await live.submit(limit("a-1"))
            seen = await live.query(m.Query(client_id="a-1", symbol=0))
            assert (seen.state, seen.price, seen.by) == ("open", 90.0, "query")
            (open_order,) = (await live.open_orders()).orders
            assert open_order.client_id == "a-1"
            gone = await live.cancel(m.Cancel(client_id="a-1", symbol=0))
            assert (gone.client_id, gone.state, gone.by) == ("a-1", "cancelled", "cancel")
            before = time.time_ns()
            twice = await live.cancel(m.Cancel(client_id="a-1", symbol=0))
            assert isinstance(twice, m.NotFound)
            assert twice.by == "cancel"
            assert twice.asked_ns >= before
            unknown = await live.query(m.Query(client_id="never", symbol=0))
            assert isinstance(unknown, m.NotFound)
            assert (await live.open_orders()).orders == ()

    run(case())


def test_stops_are_held_by_the_venue() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, _):
            await live.submit(submit("a-1"))
            stop = submit(
                "a-2", side="sell", quantity=0.4, order_type="stop", trigger_price=80.001,
                reduces=True,
            )  # fmt: skip
            ack = await live.submit(stop)
            assert isinstance(ack, m.Acked)
            assert ack.state == "open"
            (true,) = [each for each in venue.journal.dump().orders if each.client_id == "a-2"]
            assert (true.type, float(true.stop)) == ("STOP_LOSS", 80.01)

    run(case())


def test_the_kill_switch_leaves_nothing_open() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, _):
            for number in range(4):
                await live.submit(limit(f"a-{number}", 80.0 + number, symbol=number % 2))
            events = await live.cancel_all([0, 1])
            assert {each.client_id for each in events} == {f"a-{number}" for number in range(4)}
            assert {each.state for each in events} == {"cancelled"}
            assert (await live.open_orders()).orders == ()
            assert await live.cancel_all([0, 1]) == [], "nothing is open: nothing to report"

    run(case())


def test_an_amend_states_both_ends() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, _):
            ack = await live.submit(limit("a-1"))
            amend = m.Amend(
                client_id="a-1", venue_order_id=ack.venue_order_id, new_client_id="a-2", parent=1,
                symbol=0, side="buy", quantity=0.5, limit_price=91.0,
                deadline_ns=time.time_ns() + 10**10,
            )  # fmt: skip
            old, new = await live.amend(amend)
            assert isinstance(old, m.CancelFailed), "the old end is looked at"
            assert isinstance(new, m.Acked)
            assert (new.client_id, new.price) == ("a-2", 91.0)
            looked = await live.query(m.Query(client_id="a-1", symbol=0))
            assert looked.state == "cancelled"

    run(case())


@pytest.mark.parametrize("code", ["N1", "N2", "N13", "E1"])
def test_an_order_whose_answer_is_lost_is_uncertain_and_sent_once(code: str) -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, _):
            venue.inject(Fault(code=code))
            answer = await live.submit(limit("a-1"))
            assert isinstance(answer, m.Uncertain)
            assert placed(venue) == ["a-1"]
            looked = await live.query(m.Query(client_id="a-1", symbol=0))
            there = any(each.client_id == "a-1" for each in venue.journal.dump().orders)
            assert isinstance(looked, m.OrderSeen if there else m.NotFound)
            assert placed(venue) == ["a-1"]

    run(case())


def test_an_answer_after_the_timeout_is_uncertain() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue, timeout="300ms") as (live, _):
            venue.inject(Fault(code="N3", parameters={"delay_ms": 1_000}))
            assert isinstance(await live.submit(limit("a-1")), m.Uncertain)
            assert placed(venue) == ["a-1"]

    run(case())


def test_a_refusal_is_reported_once_and_not_repeated() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, _):
            poor = await live.submit(submit("a-1", quantity=1_000.0))
            assert (poor.code, poor.by) == ("funds", "venue")
            assert placed(venue) == ["a-1"]
            late = await live.submit(submit("a-2", deadline_ns=time.time_ns() - 1))
            assert (late.code, late.by) == ("deadline", "gate")
            await live.submit(limit("a-3"))
            twice = await live.submit(limit("a-3"))
            assert (twice.code, twice.by) == ("duplicate", "venue")
            assert placed(venue) == ["a-1", "a-3", "a-3"]

    run(case())


@pytest.mark.parametrize(
    "fault",
    [
        Fault(code="E17"), Fault(code="N7"), Fault(code="N7", parameters={"mode": "reset"}),
        Fault(code="D5", target="user"),
    ],
    ids=["terminated", "closed", "reset", "malformed"],
)  # fmt: skip
def test_a_lost_user_stream_is_reported_dialled_again_and_caught_up(fault: Fault) -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            await live.submit(limit("a-1"))
            received.forget()
            venue.inject(fault)
            await received.until_state("down", "up")
            kinds = [type(each) for each in received.events]
            caught = kinds.index(m.OpenOrders)
            up = max(
                n for n, each in enumerate(received.events) if isinstance(each, m.VenueChanged)
            )
            assert received.events[up].state == "up"
            assert caught < up, "the account is read before the venue counts as up"
            received.forget()
            await live.submit(submit("a-2"))
            await received.until(
                lambda: [e for e in received.of(m.OrderSeen) if e.state == "filled"]
            )

    run(case())


@pytest.mark.parametrize("code", ["N8", "N9"], ids=["silent", "with pongs"])
def test_a_stream_that_reports_nothing_of_an_order_is_found(code: str) -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            live._user._stream_within_s = 0.3
            venue.inject(Fault(code=code, target="user", duration_ms=100))
            received.forget()
            assert isinstance(await live.submit(submit("a-1")), m.Acked)
            await received.until_state("down", "up")
            text = received.of(m.VenueChanged)
            assert "reported nothing" in text[0].reason
            received.forget()
            await live.submit(submit("a-2"))
            await received.until(
                lambda: [e for e in received.of(m.OrderSeen) if e.state == "filled"]
            )

    run(case())


@pytest.mark.parametrize("code", ["N8", "N9"], ids=["silent", "with pongs"])
def test_a_stream_that_is_mute_after_each_dial_counts_as_polled(code: str) -> None:
    """It connects, answers nothing, and was up again for each order of which it said nothing."""

    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            live._user._stream_within_s, live._user._poll_s = 0.2, 0.05
            venue.inject(Fault(code=code, target="user", duration_ms=600_000))
            received.forget()
            await live.submit(submit("a-1"))
            await received.until_state("down", "up")
            assert "said nothing since it was dialled" in received.of(m.VenueChanged)[-1].reason
            received.forget()
            venue.inject(Fault(code="N1"))
            assert isinstance(await live.submit(submit("a-2")), m.Uncertain)
            await received.until(lambda: received.of(m.Filled) != [])
            assert received.of(m.VenueChanged) == [], "the polls go on, and have found it"

    run(case())


def test_fills_that_were_missed_come_before_up() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            venue.inject(Fault(code="E14", times=10))
            venue.inject(Fault(code="N1"))
            assert isinstance(await live.submit(submit("a-1")), m.Uncertain)
            received.forget()
            venue.inject(Fault(code="N7", target="user"))
            await received.until_state("down", "up")
            fills = [n for n, each in enumerate(received.events) if isinstance(each, m.Filled)]
            assert fills
            assert received.events[fills[0]].client_id in ("a-1", "")
            assert fills[0] < len(received.events) - 1

    run(case())


def test_a_pause_lets_cancels_through_and_nothing_else() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            await live.submit(limit("a-1"))
            venue.inject(Fault(code="E2", duration_ms=1_500))
            first = await live.submit(limit("a-2"))
            assert (first.code, first.by) == ("rate", "venue")
            limited = next(each for each in received.of(m.VenueChanged) if each.state == "limited")
            assert limited.until_ns > time.time_ns()
            before = len(venue.journal.dump().requests)
            second = await live.submit(limit("a-3"))
            assert (second.code, second.by) == ("limited", "gate")
            for order in (
                submit("a-4", order_type="market", side="sell", reduces=True),
                submit("a-5", order_type="stop", side="sell", reduces=True, trigger_price=80.0),
            ):
                barred = await live.submit(order)
                assert (barred.code, barred.by) == ("limited", "gate"), "an exit waits as well"
            assert await live.open_orders() is None
            assert len(venue.journal.dump().requests) == before, "nothing left"
            await live.cancel(m.Cancel(client_id="a-1", symbol=0))
            assert len(venue.journal.dump().requests) > before, "a cancel uses the reserve"
            await received.until_state("limited", "up")

    run(case())


def test_a_ban_means_not_one_request() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            await live.submit(limit("a-1"))
            venue.inject(Fault(code="E3", duration_ms=1_500))
            assert (await live.submit(limit("a-2"))).code == "rate"
            assert [each for each in received.of(m.VenueChanged) if each.state == "banned"]
            before = len(venue.journal.dump().requests)
            assert (await live.submit(limit("a-3"))).code == "banned"
            assert isinstance(
                await live.cancel(m.Cancel(client_id="a-1", symbol=0)), m.CancelFailed
            )
            assert isinstance((await live.cancel_all([0]))[0], m.CancelFailed)
            assert await live.holdings() is None
            assert len(venue.journal.dump().requests) == before
            await received.until_state("banned", "up")

    run(case())


def test_maintenance_is_reported_and_its_end_noticed() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            venue.inject(Fault(code="E20", duration_ms=500))
            assert isinstance(await live.submit(limit("a-1")), m.Uncertain)
            await received.until_state("maintenance", "up")

    run(case())


def test_requests_that_fail_one_after_another_open_a_breaker() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            await live.submit(limit("a-0"))
            received.forget()
            venue.inject(Fault(code="N2", times=5))
            for number in range(1, 6):
                assert isinstance(await live.submit(limit(f"a-{number}")), m.Uncertain)
            (broken,) = received.of(m.VenueChanged)
            assert broken.state == "down"
            assert broken.reason.startswith("5 requests in a row failed, the last: ")
            gone = await live.cancel(m.Cancel(client_id="a-0", symbol=0))
            assert gone.state == "cancelled", "nothing but entries is kept back"
            await received.until_state("down", "up")
            assert isinstance(await live.submit(limit("a-6")), m.Acked)

    run(case())


def test_a_refusal_between_failures_is_an_answer() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            received.forget()
            venue.inject(Fault(code="N2", times=4))
            for number in range(4):
                assert isinstance(await live.submit(limit(f"a-{number}")), m.Uncertain)
            assert (await live.submit(submit("a-4", quantity=1_000.0))).code == "funds"
            venue.inject(Fault(code="N2"))
            assert isinstance(await live.submit(limit("a-5")), m.Uncertain)
            assert received.of(m.VenueChanged) == []

    run(case())


def test_filters_that_change_are_found() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, _):
            assert await live.refresh_markets() == []
            venue.inject(Fault(code="E7", symbol="BTCUSDT", parameters={"lot": "0.01"}))
            (changed,) = await live.refresh_markets()
            assert (changed.symbol, changed.lot, changed.trading) == (0, 0.01, True)
            ack = await live.submit(submit("a-1", quantity=0.129))
            assert ack.quantity == 0.12
            venue.inject(Fault(code="E8", symbol="BTCUSDT"))
            halted = await live.refresh_markets()
            assert [each.trading for each in halted] == [False]

    run(case())


def test_a_fee_in_a_third_currency_is_valued() -> None:
    async def case() -> None:
        fees = Fees(fee_currency="ETH", third_price="100")
        async with (
            local_venue(fees=fees, balances={"USDT": "10000", "ETH": "5"}) as venue,
            connected(venue) as (live, received),
        ):
            await live.submit(submit("a-1"))
            await received.until(lambda: received.of(m.Filled))
            fill = received.of(m.Filled)[0]
            assert fill.fee_currency == "ETH"
            assert fill.fee_quote == pytest.approx(fill.fee * 100.0, rel=0.2)

    run(case())


def test_what_cannot_be_reached_or_does_not_exist_is_reported_at_the_start() -> None:
    async def case() -> None:
        async with local_venue() as venue:
            urls = venue.urls
            live = account(urls).connect(name="main", clock=WallTime(), read=read)
            facts = await live.open(["BTC/USD"], Received())
            assert "BTC/USDT" in facts.unlisted["BTC/USD"]
            assert facts.markets == {}
            await live.close()
        live = account(urls).connect(name="main", clock=WallTime(), read=read)
        with pytest.raises(RunError, match="cannot be reached"):
            await live.open(SYMBOLS, Received())
        with pytest.raises(ValidationError, match="ccxt knows no exchange of this id"):
            account(urls, exchange="binanse")

    run(case())


def test_without_a_stream_the_account_is_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("septet_plugins.execution.ccxt_venue.streams_orders", lambda client: False)

    async def case() -> None:
        async with local_venue() as venue, connected(venue, poll="50ms") as (live, received):
            await live.submit(submit("a-1"))
            received.forget()
            await received.until(lambda: received.of(m.OpenOrders))
            venue.refuse()
            await received.until_state("down")
            await venue.listen()
            await received.until_state("down", "up")

    run(case())


@pytest.mark.parametrize("wrong", ["K", "S"])
def test_a_wrong_key_is_refused_at_the_start(wrong: str) -> None:
    """Asking again would change nothing, so it is no matter of waiting."""

    async def case() -> None:
        def mistyped(reference: SecretRef) -> str:
            return "mistyped" if reference.name == wrong else read(reference)

        async with local_venue() as venue:
            live = account(venue.urls).connect(name="main", clock=WallTime(), read=mistyped)
            with pytest.raises(InputError, match="refuses the key") as refusal:
                await live.open(SYMBOLS, Received())
            assert "mistyped" not in str(refusal.value)

    run(case())
