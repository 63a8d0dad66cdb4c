"""An order's round trip over TLS: on a connection that is kept, and on a new one each time.

The certificate is self-made and verified: the client gets it by ccxt's own `cafile`.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

from live_common import Figure, Report, folder, median
from live_latency import run
from live_local import BTC, Local, certificate, connection, local

import septet_plugins.execution.ccxt_venue as adapter
from septet import messages as m
from septet._live.clock import WallClock

WARM = 5


def _order(kind: str, number: int, clock: WallClock) -> m.Submit:
    return m.Submit(
        client_id=f"sreuse{kind}{number:x}-0", parent=number, symbol=0,
        side="buy" if number % 2 else "sell", order_type="market", quantity=0.1, reduces=False,
        deadline_ns=clock.now_ns() + 10_000_000_000,
    )  # fmt: skip


async def _trips(venue: Any, clock: WallClock, kind: str, count: int) -> list[float]:
    """Send one order after the other; return the milliseconds of each round trip."""
    found = []
    for number in range(count + WARM):
        order = _order(kind, number, clock)
        began = time.perf_counter()
        answer = await venue.submit(order)
        found.append((time.perf_counter() - began) * 1e3)
        assert isinstance(answer, m.Acked), answer
    return found[WARM:]


async def _measured(place: Path, where: Local, count: int) -> dict[str, list[float]]:
    import aiohttp

    clock, make = WallClock(), adapter.make_client

    def trusting(*given: Any, **named: Any) -> Any:
        client = make(*given, **named)
        client.cafile = str(place / "cert.pem")
        return client

    adapter.make_client = trusting
    venue = connection(where.urls, clock)
    await venue.open([BTC], lambda event: None)
    try:
        found = {"kept": await _trips(venue, clock, "k", count)}
        client = venue._main.client
        kept = client.session
        connector = aiohttp.TCPConnector(ssl=client.ssl_context, force_close=True)
        client.session = aiohttp.ClientSession(connector=connector)
        found["new"] = await _trips(venue, clock, "n", count)
        await client.session.close()
        client.session = kept
    finally:
        adapter.make_client = make
        await venue.close()
    return found


def measure(quick: bool) -> Report:
    """Measure both ways on one venue."""
    with folder() as place:
        pair = certificate(place)
        with local(place, tls=pair) as venue:
            found = run(partial(_measured, place, venue, 10 if quick else 500))
    kept, new = median(found["kept"]), median(found["new"])
    note = f"{kept:.2f} ms kept, {new:.2f} ms new, medians of {len(found['kept'])} orders each"
    name = "order round trip over TLS, share of a new connection's"
    return Report(
        [Figure("reuse", name, kept / new * 100.0, "%", 50.0, note=note)],
        ["reuse: the self-made certificate is verified (ccxt's `cafile`); TLS on loopback"],
    )
