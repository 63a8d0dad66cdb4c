"""A status that its quantities contradict is handed on as reported, without its executions."""

from __future__ import annotations

import asyncio

import pytest

from septet import messages as m
from septet._drill.venue import Fault
from septet._live.venue_gate import GatedVenue
from tests.execution.helpers import Received, WallTime, account, limit, local_venue, read, submit


@pytest.mark.parametrize(
    ("kind", "state", "filled"),
    [("nothing", "filled", 0.0), ("part", "filled", 0.05), ("partly", "partially_filled", 0.0),
     ("new", "open", 0.05)],
)  # fmt: skip
def test_the_answer_to_an_order_that_contradicts_itself_is_handed_on_without_executions(
    kind: str, state: str, filled: float
) -> None:
    async def case() -> None:
        async with local_venue() as venue:
            received = Received()
            live = GatedVenue(
                account(venue.urls).connect(name="main", clock=WallTime(), read=read), WallTime()
            )
            await live.open(["BTC/USDT"], received)
            await received.until_state("up")
            venue.inject(Fault(code="A18", target="POST order", parameters={"kind": kind}))
            venue.inject(Fault(code="E14"))
            answer = await live.submit(submit("a-1", quantity=0.1))
            assert isinstance(answer, m.Acked)
            assert (answer.state, answer.filled, answer.quantity) == (state, filled, 0.1)
            assert received.of(m.Filled) == []
            (listed,) = await live.fills(0, 0) or ()
            assert (listed.quantity, listed.cumulative) == (0.1, None)
            for method in ("GET order", "GET openOrders"):
                await live.submit(limit(f"b-{method[4:]}", quantity=0.1))
                venue.inject(Fault(code="A18", target=method, parameters={"kind": kind}))
            seen = await live.query(m.Query(client_id="b-order", symbol=0))
            assert isinstance(seen, m.OrderSeen)
            assert (seen.state, seen.filled) == (state, filled)
            listed_open = await live.open_orders()
            assert listed_open is not None
            assert {(e.state, e.filled) for e in listed_open.orders} == {(state, filled)}
            venue.inject(Fault(code="A18", target="DELETE order", parameters={"kind": kind}))
            gone = await live.cancel(m.Cancel(client_id="b-order", symbol=0))
            assert isinstance(gone, m.OrderSeen)
            assert (gone.state, gone.filled) == (state, filled)
            await live.close()

    asyncio.run(case())


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [("orderId", 77, "order 77"), ("origClientOrderId", "theirs", "about theirs"),
     ("symbol", "ETHUSDT", "about ETH/USDT"), ("status", None, "does not state")],
)  # fmt: skip
def test_the_answer_to_a_cancel_that_names_another_order_is_no_answer(
    field: str, value: object, says: str
) -> None:
    """It was handed on under our client id, and the other's venue id counted as ours."""

    async def case() -> None:
        async with local_venue() as venue:
            received = Received()
            live = GatedVenue(
                account(venue.urls).connect(name="main", clock=WallTime(), read=read), WallTime()
            )
            await live.open(["BTC/USDT", "ETH/USDT"], received)
            await received.until_state("up")
            answer = await live.submit(limit("a-1", quantity=0.1))
            assert isinstance(answer, m.Acked)
            parameters = {"field": field, "value": value}
            venue.inject(Fault(code="A2", target="DELETE order", parameters=parameters))
            asked = m.Cancel(client_id="a-1", symbol=0, venue_order_id=answer.venue_order_id)
            gone = await live.cancel(asked)
            assert isinstance(gone, m.CancelFailed)
            assert says in gone.text
            seen = await live.query(m.Query(client_id="a-1", symbol=0))
            assert isinstance(seen, m.OrderSeen)
            assert (seen.state, seen.venue_order_id) == ("cancelled", answer.venue_order_id)
            await live.close()

    asyncio.run(case())


def test_the_execution_of_a_report_that_contradicts_itself_is_left_to_the_list() -> None:
    async def case() -> None:
        async with local_venue() as venue:
            received = Received()
            live = GatedVenue(
                account(venue.urls).connect(name="main", clock=WallTime(), read=read), WallTime()
            )
            await live.open(["BTC/USDT"], received)
            await received.until_state("up")
            venue.inject(Fault(code="A18", target="report", times=2))
            venue.inject(Fault(code="N1"))
            assert isinstance(await live.submit(submit("a-1", quantity=0.1)), m.Uncertain)
            await received.until(lambda: len(received.of(m.OrderSeen)) >= 2)
            assert {(e.state, e.filled) for e in received.of(m.OrderSeen)} == {("filled", 0.0)}
            assert received.of(m.Filled) == []
            assert [each.quantity for each in await live.fills(0, 0) or ()] == [0.1]
            await live.close()

    asyncio.run(case())
