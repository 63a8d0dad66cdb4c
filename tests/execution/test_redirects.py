"""No request to a venue follows a redirect: an order is sent once, and no key goes elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from septet import messages as m
from septet.errors import RunError
from septet.plugin.live import FeedRequest
from septet_plugins.data.ccxt_feed import CcxtFeed, FeedTerms
from septet_plugins.data.ccxt_history import CcxtHistory, CcxtHistoryConfig
from septet_plugins.exchange.clients import Terms
from tests.data.venue import Answer, serve
from tests.execution.helpers import OPTIONS, Received, WallTime, account, limit, local_venue, read

STATUSES = [301, 302, 303, 307, 308]


@dataclass
class Between:
    """A server before the venue that answers some requests with a redirect and passes the rest.

    `elsewhere` is where it sends them to: the venue itself under another name and port.
    """

    venue: str
    url: str = ""
    elsewhere: str = ""
    status: int = 307
    redirects: frozenset[tuple[str, str]] = frozenset()
    passes_on: bool = True
    seen: list[tuple[str, str]] = field(default_factory=list)
    there: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        import aiohttp

        key = (request.method, request.path.rpartition("/")[2])
        self.seen.append(key)
        body = await request.read()
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method, f"{self.venue}{request.raw_path}", data=body,
                headers={"X-MBX-APIKEY": request.headers.get("X-MBX-APIKEY", ""),
                         "Content-Type": "application/x-www-form-urlencoded"},
            ) as passed,
        ):  # fmt: skip
            text = await passed.text()
        if key in self.redirects or ("*", key[1]) in self.redirects:
            there = f"{self.elsewhere}{request.raw_path}"
            return web.Response(status=self.status, headers={"Location": there}, text="{}")
        return web.Response(status=passed.status, text=text, content_type="application/json")

    async def arrive(self, request: web.Request) -> web.StreamResponse:
        self.there.append((request.method, request.path, dict(request.headers)))
        return web.json_response({})


@asynccontextmanager
async def serving(handler: object) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def between(venue: str, *redirects: tuple[str, str], other: bool) -> AsyncIterator[Between]:
    made = Between(venue, redirects=frozenset(redirects))
    async with serving(made.answer) as url, serving(made.arrive) as there:
        made.url = url
        made.elsewhere = there.replace("127.0.0.1", "localhost") if other else url
        yield made


def urls(rest: str, ws: str) -> dict[str, object]:
    return {"api": {
        "public": f"{rest}/api/v3", "private": f"{rest}/api/v3", "sapi": f"{rest}/sapi/v1",
        "ws": {"spot": f"{ws}/stream/ws", "ws-api": {"spot": f"{ws}/ws-api/v3"}},
    }}  # fmt: skip


@pytest.mark.parametrize("other", [False, True], ids=["same host", "other host"])
@pytest.mark.parametrize("status", STATUSES)
def test_an_order_that_is_answered_with_a_redirect_is_uncertain_and_was_sent_once(
    status: int, other: bool
) -> None:
    async def case() -> None:
        async with local_venue() as venue, between(
            venue.rest_url, ("POST", "order"), ("DELETE", "order"), other=other
        ) as server:  # fmt: skip
            server.status = status
            received = Received()
            live = account(urls(server.url, venue.ws_url)).connect(
                name="main", clock=WallTime(), read=read
            )
            await live.open(["BTC/USDT"], received)
            answer = await live.submit(limit("a-1"))
            assert isinstance(answer, m.Uncertain)
            assert str(status) in answer.text
            assert ("localhost" in answer.text) is other
            found = await live.query(m.Query(client_id="a-1", symbol=0))
            assert isinstance(found, m.OrderSeen), "it was accepted, and looking shows it"
            gone = await live.cancel(m.Cancel(client_id="a-1", symbol=0))
            assert isinstance(gone, m.CancelFailed), "whether it is gone must be looked at"
            await live.close()
            assert server.seen.count(("POST", "order")) == 1
            assert server.seen.count(("DELETE", "order")) == 1
            assert len(venue.journal.dump().orders) == 1 or {
                each.client_id for each in venue.journal.dump().orders
            } == {"a-1"}
            assert server.there == [], "nothing, and no key, has gone elsewhere"

    asyncio.run(case())


def test_a_read_that_is_answered_with_a_redirect_is_no_answer() -> None:
    async def case() -> None:
        names = ("account", "openOrders", "myTrades", "order")
        async with local_venue() as venue, between(
            venue.rest_url, *(("GET", name) for name in names), other=True
        ) as server:  # fmt: skip
            live = account(urls(server.url, venue.ws_url)).connect(
                name="main", clock=WallTime(), read=read
            )
            await live.open(["BTC/USDT"], Received())
            assert await live.holdings() is None
            assert await live.open_orders() is None
            assert await live.fills(0, 0) is None
            assert await live.query(m.Query(client_id="a-1", symbol=0)) is None
            await live.close()
            assert server.there == []

    asyncio.run(case())


def test_a_handshake_that_is_answered_with_a_redirect_opens_no_stream() -> None:
    async def case() -> None:
        async with local_venue() as venue:
            there: list[str] = []

            async def arrive(request: web.Request) -> web.StreamResponse:
                there.append(request.path)
                return web.json_response({})

            async with serving(arrive) as target:

                async def move(request: web.Request) -> web.StreamResponse:
                    to = target.replace("127.0.0.1", "localhost")
                    return web.Response(status=307, headers={"Location": to + request.path})

                async with serving(move) as moved:
                    received = Received()
                    live = account(urls(venue.rest_url, moved.replace("http", "ws", 1))).connect(
                        name="main", clock=WallTime(), read=read
                    )
                    await live.open(["BTC/USDT"], received)
                    await received.until(
                        lambda: [e for e in received.of(m.VenueChanged) if "redirect" in e.reason]
                    )
                    await live.close()
            assert there == []

    asyncio.run(case())


def test_a_feed_follows_no_redirect() -> None:
    async def case() -> None:
        async with local_venue() as venue, between(
            venue.rest_url, ("GET", "exchangeInfo"), other=True
        ) as server:  # fmt: skip
            reach = Terms("binance", urls=urls(server.url, venue.ws_url), options=OPTIONS)
            feed = CcxtFeed(FeedTerms(reach), WallTime())
            with pytest.raises(RunError, match="307, a redirect to localhost"):
                await feed.open(FeedRequest(("BTC/USDT",), 60_000_000_000), lambda event: None)
            assert server.there == []
            assert server.seen.count(("GET", "exchangeInfo")) == 1

    asyncio.run(case())


def test_a_download_of_history_follows_no_redirect() -> None:
    there: list[str] = []

    def arrive(path: str, query: dict[str, str]) -> Answer:
        there.append(path)
        return 200, {}, {}

    with serve(arrive) as target:

        def move(path: str, query: dict[str, str]) -> Answer:
            return 302, {"Location": target + path}, {}

        with serve(move) as moved:
            api = {"public": f"{moved}/api/v3", "private": f"{moved}/api/v3"}
            history = CcxtHistory(CcxtHistoryConfig(venue="binance", urls={"api": api}, retries=0))
            with history._client() as client, pytest.raises(RunError):
                history._ask(client, client.load_markets)
    assert there == []
