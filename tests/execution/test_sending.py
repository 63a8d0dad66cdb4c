"""Sends are shielded, cancels have their own way out, dials are few, and silence is noticed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from septet import messages as m
from septet._drill.venue import Fault
from septet._live.dispatch import Dispatcher
from septet.errors import RunError
from septet.plugin.live import Backoff
from septet_plugins.execution import ccxt_sends
from tests.execution.helpers import (
    OPTIONS,
    Received,
    WallTime,
    account,
    connected,
    limit,
    local_venue,
    read,
    submit,
)
from tests.execution.scripted import accepted, scripted


def test_a_send_that_is_cancelled_still_ends_with_an_answer() -> None:
    async def case() -> None:
        async with scripted() as server:
            server.body, server.hold = accepted, asyncio.Event()
            received = Received()
            live = account(server.urls).connect(name="main", clock=WallTime(), read=read)
            await live.open(["BTC/USDT"], received)
            sending = asyncio.create_task(live.submit(limit("a-1")))
            await server.arrived.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            server.hold.set()
            await received.until(lambda: received.of(m.Acked))
            (ack,) = received.of(m.Acked)
            assert ack.client_id == "a-1"
            await live.close()
            assert len(server.posts) == 1

    asyncio.run(case())


def test_closing_waits_for_a_send_under_way() -> None:
    async def case() -> None:
        async with scripted() as server:
            server.body, server.hold = accepted, asyncio.Event()
            live = account(server.urls).connect(name="main", clock=WallTime(), read=read)
            await live.open(["BTC/USDT"], Received())
            sending = asyncio.create_task(live.submit(limit("a-1")))
            await server.arrived.wait()
            closing = asyncio.create_task(live.close())
            server.hold.set()
            assert isinstance(await sending, m.Acked)
            await closing

    asyncio.run(case())


def test_requests_in_flight_end_before_their_client_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An order that is not answered by then is uncertain; nothing is sent afterwards."""
    monkeypatch.setattr(ccxt_sends, "_CLOSE_S", 0.0)

    async def case() -> None:
        async with scripted() as server:
            server.body, server.hold = accepted, asyncio.Event()
            live: Any = account(server.urls).connect(name="main", clock=WallTime(), read=read)
            await live.open(["BTC/USDT"], Received())
            sending = asyncio.create_task(live.submit(limit("a-1")))
            await server.arrived.wait()
            close, in_flight = live._main.client.close, list[int]()

            async def closed() -> None:
                in_flight.append(len(live._main._in_flight))
                await close()

            live._main.client.close = closed
            assert len(live._main._in_flight) == 1
            await live.close()
            assert in_flight == [0], "its client is closed after it"
            answer = await sending
            assert isinstance(answer, m.Uncertain)
            assert "closed before the answer" in answer.text
            later = await live.submit(limit("a-2"))
            assert isinstance(later, m.Rejected)
            assert (later.code, later.by) == ("closed", "gate")
            assert await live.holdings() is None
            server.hold.set()
        assert len(server.posts) == 1

    asyncio.run(case())


def test_params_of_the_file_go_with_every_order_and_cannot_change_it() -> None:
    async def case() -> None:
        async with scripted() as server:
            server.body = accepted
            live = account(
                server.urls, params={"selfTradePreventionMode": "NONE"},
                options={**OPTIONS, "maxRetriesOnFailure": 3, "order": {"maxRetriesOnFailure": 3}},
            ).connect(name="main", clock=WallTime(), read=read)  # fmt: skip
            await live.open(["BTC/USDT"], Received())
            await live.submit(limit("a-1"))
            server.status, server.body = 504, {"code": -1007, "msg": "Timeout"}
            assert isinstance(await live.submit(limit("a-2")), m.Uncertain)
            await live.close()
            first, second = server.posts
            assert first["selfTradePreventionMode"] == "NONE"
            assert (first["newClientOrderId"], second["newClientOrderId"]) == ("a-1", "a-2")

    asyncio.run(case())


def test_a_cancel_does_not_wait_behind_reads() -> None:
    """The reads' limiter is a queue; the kill switch has a client of its own without one."""

    async def case() -> None:
        async with (
            local_venue() as venue,
            connected(venue, rate_limit=True) as (live, _),
        ):
            reads = [asyncio.create_task(live.holdings()) for _ in range(20)]
            await asyncio.sleep(0)
            await live.cancel_all([0])
            assert sum(not each.done() for each in reads) > 10
            for each in reads:
                each.cancel()
            await asyncio.gather(*reads, return_exceptions=True)

    asyncio.run(case())


def test_o1_an_entry_that_waits_in_the_limiter_when_a_halt_comes_never_leaves() -> None:
    """A market order would fill before it could be cancelled; a flatten's exit goes."""

    async def case() -> None:
        async with (
            local_venue() as venue,
            connected(venue, rate_limit=True) as (live, received),
        ):
            unwanted: set[str] = set()
            out = Dispatcher(
                live, clock=WallTime(), put=received, may_send=lambda name: name not in unwanted
            )
            await live.submit(submit("a-0"))
            reads = [asyncio.create_task(live.holdings()) for _ in range(3)]
            await asyncio.sleep(0)
            for send in out.dispatch([submit("a-1"), limit("a-2")]):
                out.start(send)
            await asyncio.sleep(0)
            unwanted |= {"a-1", "a-2"}  # the core has taken the halt in
            exit_ = submit("a-3", parent=2, side="sell", quantity=0.4, reduces=True)
            for send in out.dispatch([m.CancelAll(symbols=(0,)), exit_]):
                out.start(send)
            assert await out.wait_for_calls(10.0) == 0
            await asyncio.gather(*reads)
            refused = [(each.client_id, each.code, each.by) for each in received.of(m.Rejected)]
            assert refused == [("a-1", "cancelled", "local"), ("a-2", "cancelled", "local")]
            assert {each.client_id for each in received.of(m.Acked)} == {"a-3"}
            assert [each.client_id for each in venue.journal.dump().orders] == ["a-0", "a-3"]

    asyncio.run(case())


def test_a_socket_that_answers_no_ping_is_dialled_again() -> None:
    async def case() -> None:
        async with (
            local_venue() as venue,
            connected(venue, streaming={"keepAlive": 100}) as (_, received),
        ):
            venue.inject(Fault(code="N8", duration_ms=600))
            await received.until_state("up", "down", "up")

    asyncio.run(case())


def test_a_venue_that_flaps_is_dialled_a_few_times_only() -> None:
    async def case() -> None:
        async with local_venue() as venue, connected(venue) as (live, received):
            before = live._user.dials
            venue.inject(Fault(code="N10", duration_ms=2_000, parameters={"period_ms": 50}))
            await received.until_state("up", "down")
            await asyncio.wait_for(_spent(venue), 20.0)
            assert live._user.dials - before <= 8

    asyncio.run(case())


async def _spent(venue: Any) -> None:
    while venue.faults.lasting("N10") is not None:
        await asyncio.sleep(0.01)


def test_a_local_venue_never_leads_to_the_real_one() -> None:
    """ccxt merges `urls` into its own: what is not given would still point there."""

    async def case() -> None:
        async with local_venue() as venue:
            options = {**OPTIONS, "fetchMarkets": {"types": ["spot", "linear"]}}
            live = account(venue.urls, options=options).connect(
                name="main", clock=WallTime(), read=read
            )
            with pytest.raises(RunError, match="is none of the hosts"):
                await live.open(["BTC/USDT"], Received())

    asyncio.run(case())


def test_the_pauses_between_dials_grow_and_are_forgotten_after_a_steady_while() -> None:
    backoff = Backoff(first_s=1.0, cap_s=8.0)
    pauses = [backoff.wait_s() for _ in range(8)]
    for pause, middle in zip(pauses, [1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0], strict=True):
        assert 0.5 * middle <= pause <= 1.5 * middle
    assert backoff.wait_s(lived_s=5.0) >= 4.0, "a short life is not steadiness"
    assert backoff.wait_s(lived_s=60.0) <= 1.5
