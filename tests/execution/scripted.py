"""A server that answers orders with whatever the test sets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.data.venue import _EXCHANGE

ORDER_TYPES = ["LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"]


@dataclass
class Scripted:
    """What is answered to a POST of an order, and what was asked."""

    url: str = ""
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hold: asyncio.Event | None = None
    posts: list[dict[str, str]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def urls(self) -> dict[str, Any]:
        api, ws = f"{self.url}/api/v3", self.url.replace("http", "ws", 1)
        return {"api": {
            "public": api, "private": api, "sapi": f"{self.url}/sapi/v1",
            "ws": {"spot": f"{ws}/ws", "ws-api": {"spot": f"{ws}/ws-api"}},
        }}  # fmt: skip

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        self.asked.append((request.method, name))
        if name == "exchangeInfo":
            market = {**_EXCHANGE["symbols"][0], "orderTypes": ORDER_TYPES}
            return web.json_response({**_EXCHANGE, "symbols": [market]})
        if request.method == "POST" and name == "order":
            posted = {**request.query, **dict(await request.post())}
            self.posts.append({key: str(value) for key, value in posted.items()})
            self.arrived.set()
            if self.hold is not None:
                await self.hold.wait()
            body = self.body(self.posts[-1]) if callable(self.body) else self.body
            text = body if isinstance(body, str) else json.dumps(body)
            return web.Response(
                status=self.status, text=text, headers=self.headers,
                content_type="text/html" if text.startswith("<") else "application/json",
            )  # fmt: skip
        if name == "time":
            import time

            return web.json_response({"serverTime": time.time_ns() // 1_000_000})
        if name == "account":
            return web.json_response({"canWithdraw": False, "balances": []})
        return web.json_response([] if name in ("openOrders", "myTrades") else {})


@asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    made = Scripted()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


def accepted(post: dict[str, str], **changes: Any) -> dict[str, Any]:
    """The answer of a venue that took the order."""
    return {
        "symbol": post["symbol"], "orderId": 7, "orderListId": -1,
        "clientOrderId": post["newClientOrderId"], "transactTime": 1_700_000_000_000,
        "price": post.get("price", "0.00"), "origQty": post["quantity"], "executedQty": "0.0",
        "cummulativeQuoteQty": "0.0", "status": "NEW", "timeInForce": "GTC", "type": post["type"],
        "side": post["side"], "fills": [], **changes,
    }  # fmt: skip
