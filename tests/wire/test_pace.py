"""A burst waits in line: nothing is lost, nothing overtakes, and a turn of the loop stays short."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from septet_plugins.exchange.socket_pace import HELPING, Pace
from tests.wire.offline import markets, offline
from tests.wire.test_streams import Listener

STEPS = st.lists(st.one_of(st.integers(1, 3 * HELPING), st.sampled_from(["turn", "flush"])))


async def wait_for_messages(taken: list[int], count: int) -> None:
    async with asyncio.timeout(10):
        while len(taken) < count:
            await asyncio.sleep(0)


@given(steps=STEPS)
def test_every_message_once_in_order_and_few_in_a_turn(steps: list[int | str]) -> None:
    async def case() -> None:
        taken: list[int] = []
        pace, sent = Pace(taken.append), 0
        for step in steps:
            before = len(taken)
            if step == "turn":
                await asyncio.sleep(0)
                assert len(taken) - before <= HELPING
            elif step == "flush":
                pace.flush()
                assert len(taken) == sent
            else:
                for _ in range(int(step)):
                    pace.put(sent)
                    sent += 1
                assert len(taken) - before <= HELPING
        await wait_for_messages(taken, sent)
        assert taken == list(range(sent))

    asyncio.run(case())


def test_single_messages_do_not_wait_at_all() -> None:
    async def case() -> None:
        taken: list[int] = []
        pace = Pace(taken.append)
        for n in range(3 * HELPING):
            pace.put(n)
            assert len(taken) == n + 1
            await asyncio.sleep(0)

    asyncio.run(case())


def test_the_socket_is_read_on_when_nothing_waits() -> None:
    async def case() -> None:
        taken: list[int] = []
        pace = Pace(taken.append)

        async def read() -> int:
            return len(taken)

        assert await pace.reading(read) == 0
        for n in range(5 * HELPING):
            pace.put(n)
        assert await pace.reading(read) == 5 * HELPING

    asyncio.run(case())


class Recorded:
    """What a socket of the client sent, and what the tap made of it."""

    def __init__(self) -> None:
        from septet_plugins.exchange.message_tap import Tap

        self.seen: list[Any] = []
        self.lost: list[str] = []
        self.client = offline("binance", lambda method, path: {})
        self.tap = Tap(
            self.client, raw=self._raw, resolved=lambda ws, result, name: None,
            lost=lambda ws, reason: self.lost.append(f"{len(self.seen)} {reason}"),
        )  # fmt: skip
        self.ws = self.client.client("wss://stream.binance.com:9443/ws")

    def _raw(self, ws: Any, message: Any) -> bool:
        self.seen.append(message["n"])
        return True

    def log(self, text: str) -> None:
        from aiohttp import WSMessage, WSMsgType

        self.ws.handle_message(WSMessage(WSMsgType.TEXT, text, None))


def test_what_cannot_be_read_in_a_burst_ends_the_socket_and_loses_nothing_else() -> None:
    async def case() -> None:
        messages = Recorded()
        for n in range(2 * HELPING):
            messages.log(f'{{"n":{n}}}')
        messages.log('{"n":')
        messages.log(f'{{"n":{2 * HELPING}}}')
        assert len(messages.seen) == HELPING
        await wait_for_messages(messages.seen, 2 * HELPING + 1)
        assert messages.seen == list(range(2 * HELPING + 1))
        (lost,) = messages.lost
        assert lost.startswith(f"{2 * HELPING + 1} a message could not be read")
        await messages.tap.closed()
        await messages.client.close()

    asyncio.run(case())


def test_what_a_lost_socket_had_sent_is_received_first() -> None:
    async def case() -> None:
        messages = Recorded()
        for n in range(2 * HELPING):
            messages.log(f'{{"n":{n}}}')
        messages.tap.drop_all("it was silent")
        assert messages.seen == list(range(2 * HELPING))
        assert messages.lost == [f"{2 * HELPING} it was silent"]
        await messages.tap.closed()
        await messages.client.close()

    asyncio.run(case())


@asynccontextmanager
async def flooding(count: int) -> AsyncIterator[str]:
    """Serve so many trades in one breath to whoever subscribes."""
    from aiohttp import web

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        asked = await socket.receive_json()
        frames = [json.dumps({"result": None, "id": asked["id"]})]
        frames += [
            f'{{"e":"trade","E":1,"s":"BNBBTC","t":{n},"p":"0.5","q":"2","T":1,"m":true}}'
            for n in range(count)
        ]
        for text in frames:
            await socket.send_str(text)
        await socket.receive()
        return socket

    app = web.Application()
    app.router.add_get("/ws/{number}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"
    finally:
        await runner.cleanup()


def test_a_flood_through_a_socket_leaves_turns_to_others() -> None:
    async def case() -> None:
        count = 20_000
        async with flooding(count) as address:
            client = offline("binance", lambda method, path: {})
            client.urls["api"]["ws"]["spot"] = address
            markets(client, "BNB/BTC")
            listener = Listener(client, ["BNB/BTC"], ["trades"])
            watching = asyncio.create_task(client.watch_trades("BNB/BTC"))
            events, most = listener.received.events, 0
            async with asyncio.timeout(10):
                while len(events) < count:
                    before = len(events)
                    await asyncio.sleep(0)
                    most = max(most, len(events) - before)
            assert [int(each.trade_id) for each in events] == list(range(count))
            assert most <= 2 * HELPING, "two turns lie between two looks at most"
            watching.cancel()
            await listener.feed.close()

    asyncio.run(case())
