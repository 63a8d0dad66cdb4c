"""Trades of Binance's shape through the real ccxt.pro client, shell, core and journal.

Another process floods a socket with trade messages as fast as they are read. The feed, its tap,
the market-data handler, the shell, the demo's core in live mode and its journal are the product's.
Each trade's quantity is its number, so that the journal shows afterwards which of them it lacks.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from common import ROOT
from live_common import Figure, Report, folder
from live_latency import run
from live_local import BTC, Local, local, terms
from live_world import SETS

from septet import messages as m
from septet._config import load
from septet._data.bars import Instrument
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._journal.reader import Reader
from septet._live.build_core import core_of
from septet._live.clock import WallClock
from septet._live.dispatch import Dispatcher
from septet._live.market_data.decision_times import Standing
from septet._live.market_data.opening import grids_of, make_market
from septet._live.process import keep_apart
from septet._live.shell import Shell
from septet_plugins.data.ccxt_feed import CcxtFeed, FeedTerms

SECONDS, BLOCK = 20.0, 200
PING = 0x9


def _frame(text: bytes) -> bytes:
    """Return a text frame as a server sends it."""
    size = len(text)
    head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")
    return head + text


def _block(first: int) -> bytes:
    """Return a block of trades, numbered from `first`."""
    now_ms = time.time_ns() // 1_000_000
    return b"".join(
        _frame(
            b'{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"%.8f","q":"%d.00000000","T":%d,'
            b'"m":true,"M":true}' % (now_ms, number, 60_000 + number % 977 / 100, number, now_ms)
        )
        for number in range(first, first + BLOCK)
    )


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Shake hands, answer the subscription, then send trades without end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    names = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    keys = {name.lower(): value for name, value in names.items()}
    guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    digest = hashlib.sha1((keys["sec-websocket-key"] + guid).encode()).digest()
    accept = base64.b64encode(digest).decode()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
    )
    _, asked = await _read(reader)
    writer.write(_frame(json.dumps({"result": None, "id": json.loads(asked)["id"]}).encode()))
    answering = asyncio.create_task(_answer(reader, writer))
    number = 3_000_000_000
    while not answering.done():
        writer.write(_block(number))
        await writer.drain()
        number += BLOCK


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return the kind of a client's frame, and what it holds."""
    head = await reader.readexactly(2)
    size = head[1] & 0x7F
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    mask, masked = await reader.readexactly(4), await reader.readexactly(size)
    return head[0] & 0x0F, bytes(each ^ mask[i % 4] for i, each in enumerate(masked))


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer pings: a client that receives no answer connects anew."""
    while True:
        kind, held = await _read(reader)
        if kind == PING:
            writer.write(bytes((0x8A, len(held))) + held)


async def _flood() -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


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
    """Return the demo's file and a core of it with the symbol BTC/USDT."""
    sets = [*SETS, f"universe.symbols=[{BTC}]", "account.currency=USDT"]
    loaded = load(ROOT / "strategies" / "demo.yaml", mode="live", sets=sets)
    built = core_of(loaded, tag="sbench00", instruments=[Instrument(BTC)], run_folder=place)
    return loaded, built.core


def _no_words(level: str, event: str, fields: dict[str, Any]) -> None:
    """Nobody reads it."""


async def _measured(
    place: Path, venue: Local, port: int, seconds: float, dry: Callable[[], None]
) -> dict[str, float]:
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
        shell = Shell(counting, journal, dispatcher, clock=clock, notify=_no_words)
        shell.start()
        standing = Standing(grids_of(loaded.strategy))
        market = make_market(loaded, feed, standing, clock=clock, put=shell.put, notify=_no_words)
        market._request = replace(market._request, kinds=frozenset({"trades"}))
        await market.open()
        market.give([], catch_up_ns=0, fresh=True)
        market.listen()
        keep_apart()
        try:
            while counting.prints < 1_000:
                await asyncio.sleep(0.05)
            first, began, spent = counting.prints, time.perf_counter(), time.thread_time()
            await asyncio.sleep(seconds)
            count, lasted = counting.prints - first, time.perf_counter() - began
            busy = time.thread_time() - spent
        finally:
            gc.unfreeze()
            dry()  # who sends without end does not hear that it may stop
            await market.close()
            await shell.drain()
            shell.stop()
    return {
        "rate": count / lasted,
        "by_thread": count / busy,
        "dropped": float(shell.dropped),
        "missing": float(missing(place / "journal.sqlite")),
        "count": float(count),
    }


def missing(journal: Path) -> int:
    """Return how many trades lie between the first and the last of a journal and are not there.

    Raises
    ------
    AssertionError
        A trade is there twice, or behind a later one.
    """
    with Reader(journal) as reader:
        events = (entry.event for entry in reader.read(0, reader.last_seq))
        numbers = [int(each.quantity) for each in events if isinstance(each, m.Printed)]
    assert numbers == sorted(set(numbers)), "each trade once, in order"
    return numbers[-1] - numbers[0] + 1 - len(numbers)


def measure(quick: bool) -> Report:
    """Flood for a while, count what the journal holds."""
    seconds = 2.0 if quick else SECONDS
    with folder() as place, local(place) as venue:
        server = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            found = run(partial(_measured, place, venue, port, seconds, server.kill))
        finally:
            server.kill()
            server.communicate()
    note = (
        f"{found['count']:,.0f} trades in {seconds:.0f} s; {found['missing']:,.0f} are not in the "
        f"journal, {found['dropped']:,.0f} of them dropped by the inbox"
    )
    name = "real ccxt.pro trade messages a second, through core and journal"
    return Report(
        [
            Figure("wire", name, found["rate"], "/s", 15_000.0, most=False, note=note),
            Figure(
                "wire", "the same by the processor's time of the thread", found["by_thread"], "/s"
            ),
        ]
    )


if __name__ == "__main__":
    asyncio.run(_flood())
