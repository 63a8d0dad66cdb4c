"""What a careless client meets on the wire: malformed requests, unknown things, raw streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from septet._drill.venue import Fault, LocalVenue
from septet._drill.venue.venue_request import signed_by
from tests.drill.venue.client import ID, config

Story = Callable[[LocalVenue, aiohttp.ClientSession], Awaitable[None]]
PLACE = f"symbol={ID}&side=BUY&type=MARKET&quantity=1"


def play(story: Story, **changes: Any) -> None:
    """Run a story with a plain HTTP client."""

    async def run() -> None:
        async with (
            asyncio.timeout(20),
            LocalVenue(config(**changes)) as venue,
            aiohttp.ClientSession(venue.rest_url) as session,
        ):
            await story(venue, session)

    asyncio.run(run())


async def signed(
    session: aiohttp.ClientSession, query: str, *, path: str = "order", key: str = "k",
    secret: str = "s", method: str = "POST", behind_ms: int = 0,
) -> tuple[int, Any]:  # fmt: skip
    """Send a signed request and return (status, body)."""
    query += f"&timestamp={time.time_ns() // 10**6 - behind_ms}"
    query += "&signature=" + signed_by(secret, query)
    headers = {"X-MBX-APIKEY": key}
    async with session.request(method, f"/api/v3/{path}?{query}", headers=headers) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"query": "symbol=BTCUSDT"}, -1102),
        ({"query": PLACE + "x"}, -1100),
        ({"query": PLACE + ".000000001"}, -1111),
        ({"query": PLACE + "&newClientOrderId=a%20b"}, -1100),
        ({"query": PLACE + "&recvWindow=70000"}, -1131),
        ({"query": PLACE.replace("MARKET", "LIMIT") + "&price=1"}, -1102),
        ({"query": PLACE.replace("BTC", "ABC")}, -1121),
        ({"key": "other"}, -2015),
        ({"key": ""}, -2014),
        ({"secret": "other"}, -1022),
        ({"behind_ms": 6000}, -1021),
        ({"behind_ms": -6000}, -1021),
        ({"path": "openOrders", "method": "DELETE"}, -2011),
        ({"query": f"symbol={ID}", "method": "GET"}, -1102),
        ({"query": f"symbol={ID}&orderId=5", "method": "GET"}, -2013),
        ({"path": "nothing"}, -1000),
    ],
)
def test_what_is_wrong_has_its_code(changes: dict[str, Any], code: int) -> None:
    async def story(venue: LocalVenue, session: aiohttp.ClientSession) -> None:
        status, body = await signed(session, **{"query": PLACE, **changes})
        assert (status >= 400, body["code"]) == (True, code)
        assert venue.journal.dump().orders == []

    play(story)


def test_the_answer_is_as_long_as_asked_for() -> None:
    async def story(venue: LocalVenue, session: aiohttp.ClientSession) -> None:
        found = {}
        for kind in ("ACK", "RESULT", "FULL"):
            _, found[kind] = await signed(session, f"{PLACE}&newOrderRespType={kind}")
        assert "status" not in found["ACK"]
        assert "fills" not in found["RESULT"]
        assert found["FULL"]["fills"][0]["qty"] == "1.00000000"
        assert (await signed(session, PLACE, path="order/test")) == (200, {})
        assert len(venue.journal.dump().orders) == 3

    play(story)


def test_a_replacement_whose_second_half_fails() -> None:
    async def story(venue: LocalVenue, session: aiohttp.ClientSession) -> None:
        resting = f"symbol={ID}&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=50"
        _, old = await signed(session, resting)
        again = f"{PLACE}00000&cancelReplaceMode=STOP_ON_FAILURE&cancelOrderId={old['orderId']}"
        status, body = await signed(session, again, path="order/cancelReplace")
        assert (status, body["code"]) == (409, -2021)
        assert body["data"]["cancelResult"] == "SUCCESS"
        status, body = await signed(session, again, path="order/cancelReplace")
        assert (status, body["code"]) == (400, -2022)

    play(story)


def test_streams_wrapped_and_raw() -> None:
    async def story(venue: LocalVenue, session: aiohttp.ClientSession) -> None:
        low = ID.lower()
        wrapped = await session.ws_connect(f"/stream?streams={low}@trade/{low}@depth5")
        raw = await session.ws_connect(f"/ws/{low}@aggTrade")
        venue.market.step(0, 1)
        first, second = await wrapped.receive_json(), await wrapped.receive_json()
        assert (first["stream"], first["data"]["e"]) == (f"{low}@trade", "trade")
        assert len(second["data"]["bids"]) == 5
        assert (await raw.receive_json())["e"] == "aggTrade"
        for text, says in (
            ("{", "Invalid JSON"),
            ('{"method":"DANCE","id":1}', "unknown method"),
            (f'{{"method":"SUBSCRIBE","params":["{low}@moods"],"id":2}}', "invalid stream"),
        ):
            await raw.send_str(text)
            assert says in (await raw.receive_json())["error"]["msg"]
        await raw.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 3})
        assert (await raw.receive_json())["result"] == [f"{low}@aggTrade"]
        await raw.send_json({"method": "UNSUBSCRIBE", "params": [f"{low}@aggTrade"], "id": 4})
        assert (await raw.receive_json())["result"] is None
        assert venue.streams.all_streams() == [f"{low}@trade", f"{low}@depth5"]
        await wrapped.close()
        await raw.close()

    play(story)


def test_the_websocket_api_shows_what_is_wrong() -> None:
    async def story(venue: LocalVenue, session: aiohttp.ClientSession) -> None:
        socket = await session.ws_connect("/ws-api/v3")
        for message, code in (
            ("{", -1135),
            ('{"id":1,"method":"dance"}', -1130),
            ('{"id":2,"method":"userDataStream.subscribe.signature","params":{}}', -2014),
            ('{"id":3,"method":"order.place","params":{"apiKey":"k","signature":"x"}}', -1022),
        ):
            await socket.send_str(message)
            assert (await socket.receive_json())["error"]["code"] == code
        await socket.send_json({"id": 4, "method": "time"})
        assert (await socket.receive_json())["result"]["serverTime"] > 10**12
        await socket.close()

    play(story)


def test_the_admin_interface() -> None:
    async def story(venue: LocalVenue, session: aiohttp.ClientSession) -> None:
        at = f"http://127.0.0.1:{venue.admin_port}/septet"
        async with session.post(f"{at}/step", json={"bars": 2}) as answer:
            assert (await answer.json())["bar"] == 2
        async with session.post(f"{at}/faults", json=[{"code": "N1"}]) as answer:
            assert await answer.json() == {"numbers": [0]}
        async with session.get(f"{at}/faults") as answer:
            assert (await answer.json())[0]["count"] == 0
        async with session.post(f"{at}/faults", json=[{"code": "X9"}]) as answer:
            assert (answer.status, "'X9'" in (await answer.json())["error"]) == (400, True)
        async with session.get(f"{at}/nothing") as answer:
            assert answer.status == 404
        for what, paused in (("resume", False), ("pause", True)):
            async with session.post(f"{at}/{what}") as answer:
                assert (await answer.json())["paused"] is paused
        async with session.get("/septet/journal") as answer:
            assert (await answer.json())["balances"]["BTC"] == ["10.00000000", "0.00000000"]

    play(story)


def test_maintenance_and_a_ban_refuse_sockets() -> None:
    async def story(venue: LocalVenue, session: aiohttp.ClientSession) -> None:
        for code, status in (("E20", 503), ("E3", 418)):
            venue.inject(Fault(code=code, duration_ms=60_000))
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect("/stream/ws/0")
            assert caught.value.status == status
            venue.faults.plan[-1].until_ns = 0
            venue.stream_faults.look()

    play(story)
