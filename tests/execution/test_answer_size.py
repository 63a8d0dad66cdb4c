"""An answer that is too large is not read to its end, however little of it goes over the wire."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from types import SimpleNamespace
from typing import Any

import ccxt
import pytest
from aiohttp import web

from septet import messages as m
from septet_plugins.exchange import answer_size
from septet_plugins.exchange.answer_size import AnswerTooLarge, check_message
from septet_plugins.exchange.sessions import guard_sessions
from tests.execution.helpers import Received, WallTime, account, limit, local_venue, read, submit
from tests.execution.test_redirects import Between, serving, urls

MIB = 1 << 20


def packed(size: int, encoding: str) -> bytes:
    """So many spaces, packed piece by piece: little on the wire."""
    packer = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
    piece = b" " * MIB
    return b"".join([*(packer.compress(piece) for _ in range(size // MIB)), packer.flush()])


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
def test_an_order_whose_answer_is_too_large_is_uncertain(encoding: str) -> None:
    """Much in little, or an answer without end; the next request is answered as ever."""

    async def case() -> None:
        sent = 0
        bomb = b"" if encoding == "identity" else packed(32 * MIB, encoding)

        async with local_venue() as venue:
            between = Between(venue.rest_url)

            async def answer(request: web.Request) -> web.StreamResponse:
                nonlocal sent
                passed = await between.answer(request)
                if request.method != "POST" or between.seen.count(("POST", "order")) > 1:
                    return passed
                if bomb:
                    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
                    return web.Response(body=bomb, headers=headers)
                endless = web.StreamResponse(headers={"Content-Type": "application/json"})
                await endless.prepare(request)
                while sent < 512:  # the client goes away long before
                    await endless.write(b" " * MIB)
                    sent += 1
                return endless

            async with serving(answer) as url:
                received = Received()
                live = account(urls(url, venue.ws_url)).connect(
                    name="main", clock=WallTime(), read=read
                )
                await live.open(["BTC/USDT"], received)
                first = await live.submit(limit("a-1"))
                assert isinstance(first, m.Uncertain)
                assert "larger than 1 MiB" in first.text
                seen = await live.query(m.Query(client_id="a-1", symbol=0))
                assert isinstance(seen, m.OrderSeen), "asked for, it is there"
                assert isinstance(await live.submit(submit("a-2")), m.Acked)
                await live.close()
            assert sent < 64

    asyncio.run(case())


def test_an_answer_up_to_its_bound_is_read() -> None:
    async def case() -> None:
        import ccxt.async_support

        text = "[" + " " * (2 * MIB) + "]"

        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(body=gzip.compress(text.encode()),
                                headers={"Content-Encoding": "gzip"})  # fmt: skip

        async with serving(answer) as url:
            client = ccxt.async_support.binance()
            guard_sessions(client)
            try:
                assert await client.fetch(url, "GET") == []
                with pytest.raises(AnswerTooLarge, match="POST"):
                    await client.fetch(url, "POST")
                assert await client.fetch(url, "GET") == [], "the session goes on"
            finally:
                await client.close()

    asyncio.run(case())


@pytest.mark.parametrize("text", ["{}", "[]", "0"])
def test_an_answer_of_countless_values_is_not_taken_up(text: str) -> None:
    """The client would go through each of them in Python; this is well below the bound of bytes."""

    async def case() -> None:
        import ccxt.async_support

        body = "[" + ",".join([text] * (answer_size.MOST_OWN * answer_size.MOST_VALUES + 2)) + "]"
        assert len(body) < 2 * MIB

        async def answer(request: web.Request) -> web.Response:
            return web.Response(text=body, content_type="application/json")

        async with serving(answer) as url:
            client = ccxt.async_support.binance()
            guard_sessions(client)
            try:
                if text == "0":  # numbers of a market are many, as in an order book
                    assert len(await client.fetch(url, "GET")) > 1
                for signed in ({"X-MBX-APIKEY": "mine"}, {}):
                    address = url if signed else f"{url}/orders?timestamp=1&signature=2"
                    with pytest.raises(AnswerTooLarge, match="holds more than"):
                        await client.fetch(address, "GET", headers=dict(signed))
                with pytest.raises(AnswerTooLarge):
                    await client.fetch(url, "DELETE")
            finally:
                await client.close()

    asyncio.run(case())


def test_downloads_of_history_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_size, "MOST_READ", MIB)

    async def case() -> None:
        size = 0

        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(body=packed(size, "gzip") + b"", headers={
                "Content-Encoding": "gzip"})  # fmt: skip

        async with serving(answer) as url:
            client: Any = ccxt.binance()
            guard_sessions(client)
            size = 8 * MIB
            with pytest.raises(AnswerTooLarge, match="larger than 1 MiB"):
                await asyncio.to_thread(client.fetch, f"{url}/x?signature=1", "GET")
            size = 0
            await asyncio.to_thread(client.fetch, url, "GET")
            client.session.close()

    asyncio.run(case())


def test_messages_that_an_exchange_packs_itself_are_bounded() -> None:
    small, large = b"x" * MIB, b"x" * (11 * MIB)
    raw = zlib.compressobj(wbits=-15)
    deflated = raw.compress(large) + raw.flush()
    packs = SimpleNamespace(gunzip=True, inflate=False)
    inflates = SimpleNamespace(gunzip=False, inflate=True)
    check_message(packs, gzip.compress(small))
    check_message(SimpleNamespace(gunzip=False, inflate=False), large)
    check_message(packs, "text")
    with pytest.raises(AnswerTooLarge):
        check_message(packs, gzip.compress(large))
    with pytest.raises(AnswerTooLarge):
        check_message(inflates, deflated)
    plain = SimpleNamespace(gunzip=False, inflate=False)
    many = "[" + "{}," * answer_size.MOST_OWN + "{}]"
    for each in (many, many.encode()):
        with pytest.raises(AnswerTooLarge, match="objects"):
            check_message(plain, each)
    with pytest.raises(AnswerTooLarge, match="objects"):
        check_message(packs, gzip.compress(many.encode()))
    check_message(plain, "[" + "{}," * 1_000 + "{}]")
