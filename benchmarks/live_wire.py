"""Trades of Binance's shape through the real ccxt.pro client, shell, core and journal.

Another process floods a socket with trade messages as fast as they are read. The feed, its tap,
the market desk, the shell, the demo's core in live mode and its journal are the product's.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from live_common import Figure, Report, folder
from live_latency import run
from live_local import BTC, Local, local, terms
from septet_plugins.data.ccxt_feed import CcxtFeed, FeedTerms

from septet import messages as m
from septet._journal.form import Head
from septet._journal.log import Journal
from septet._live.clock import WallClock
from septet._live.dispatch import Dispatcher
from septet._live.listen import make_market
from septet._live.shell import Shell

SECONDS = 20.0


async def _flood() -> None:
    """Serve a socket that answers every subscription and then sends trades without end."""
    from aiohttp import WSCloseCode, web

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        asked = json.loads((await socket.receive()).data)
        await socket.send_str(json.dumps({"result": None, "id": asked["id"]}))
        number = 3_000_000_000
        try:
            while True:
                number += 1
                now_ms = time.time_ns() // 1_000_000
                price = 60_000 + number % 977 / 100
                await socket.send_str(
                    f'{{"e":"trade","E":{now_ms},"s":"BTCUSDT","t":{number},"p":"{price:.8f}",'
                    f'"q":"0.00{number % 89 + 10}0000","T":{now_ms},"m":true,"M":true}}'
                )
        except (ConnectionError, RuntimeError):
            await socket.close(code=WSCloseCode.GOING_AWAY)
        return socket

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = site._server.sockets[0].getsockname()  # type: ignore[union-attr]
    print(address[1], flush=True)
    await asyncio.Event().wait()


class Counter:
    """A core in front of the core: counts the prints that pass."""

    def __init__(self, core: Any) -> None:
        self._handle = core.handle
        self.prints = 0

    def handle(self, event: m.Event) -> Any:
        """Count, then let the core handle."""
        self.prints += type(event) is m.Printed
        return self._handle(event)


def _core(place: Path) -> tuple[Any, Any]:
    """Return the demo's file and a core of it, told that BTC/USDT is its symbol."""
    from live_world import SETS

    from common import ROOT
    from septet._config import load
    from septet._data.bars import Instrument
    from septet._live.build import core_of

    sets = [*SETS, f"universe.symbols=[{BTC}]", "account.currency=USDT"]
    loaded = load(ROOT / "strategies" / "demo.yaml", mode="live", sets=sets)
    built = core_of(loaded, tag="sbench00", instruments=[Instrument(BTC)], run_folder=place)
    return loaded, built.core


def _no_words(level: str, event: str, fields: dict[str, Any]) -> None:
    """Nobody listens."""


async def _measured(place: Path, venue: Local, port: int, seconds: float) -> dict[str, float]:
    from msgspec.structs import replace

    clock = WallClock()
    urls = json.loads(json.dumps(venue.urls))
    urls["api"]["ws"]["spot"] = f"ws://127.0.0.1:{port}/ws"
    loaded, core = _core(place)
    counting = Counter(core)
    feed = CcxtFeed(FeedTerms(terms(urls)), clock)
    head = Head(run_id="wire", strategy="wire", mode="live", account="", created_ns=0, origin_ns=0)
    with Journal.create(place / "journal.sqlite", head, durability="process") as journal:
        shell: Any = None
        dispatcher = Dispatcher(None, clock=clock, put=lambda event: shell.put(event))
        shell = Shell(counting, journal, dispatcher, clock=clock, tell=_no_words)
        shell.start()
        from septet._live.barriers import Standing
        from septet._live.listen import grids_of

        standing = Standing(grids_of(loaded.strategy))
        market = make_market(
            loaded, feed, standing, clock=clock, put=shell.put, tell=_no_words
        )
        market._request = _trades(market._request)
        await market.open()
        market.give([], catch_up_ns=0, fresh=True)
        market.listen()
        try:
            while counting.prints < 1_000:
                await asyncio.sleep(0.05)
            first, began, spent = counting.prints, time.perf_counter(), time.thread_time()
            await asyncio.sleep(seconds)
            count, lasted = counting.prints - first, time.perf_counter() - began
            busy = time.thread_time() - spent
        finally:
            await market.close()
            await shell.drain()
            shell.stop()
    del replace
    return {
        "rate": count / lasted, "by_thread": count / busy, "dropped": float(shell.dropped),
        "count": float(count),
    }


def _trades(request: Any) -> Any:
    from dataclasses import replace

    return replace(request, wants=frozenset({"trades"}))


def measure(quick: bool) -> Report:
    """Flood for a while, count what the journal holds."""
    seconds = 2.0 if quick else SECONDS
    with folder() as place, local(place) as venue:
        server = subprocess.Popen(
            [sys.executable, __file__], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            found = run(partial(_measured, place, venue, port, seconds))
        finally:
            server.kill()
            server.communicate()
    note = f"{found['count']:,.0f} trades in {seconds:.0f} s, {found['dropped']:,.0f} dropped"
    name = "real ccxt.pro trade messages a second, through core and journal"
    return Report(
        [
            Figure("wire", name, found["rate"], "/s", 15_000.0, most=False, note=note),
            Figure("wire", "the same by the processor's time of the thread", found["by_thread"], "/s"),
        ]
    )


if __name__ == "__main__":
    asyncio.run(_flood())
