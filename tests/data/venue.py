"""A local server that speaks the public REST of Binance spot, as far as history needs it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["BAR_MS", "Answer", "Venue", "serve", "venue"]

BAR_MS = 3_600_000
Answer = tuple[int, dict[str, str], Any]


def serve(respond: Callable[[str, dict[str, str]], Answer]) -> AbstractContextManager[str]:
    """Serve answers on a local port; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            status, headers, body = respond(parts.path, query)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            return

    @contextmanager
    def running() -> Iterator[str]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    return running()


class Venue:
    """Hourly bars of one market from `first_ms`; remembers what it was asked."""

    def __init__(self, first_ms: int, count: int) -> None:
        self.first_ms, self.count = first_ms, count
        self.asked: list[dict[str, str]] = []
        self.fail: dict[int, Answer] = {}
        self.url = ""

    @property
    def urls(self) -> dict[str, Any]:
        """The `urls:` that point ccxt here."""
        return {"api": {"public": f"{self.url}/api/v3", "private": f"{self.url}/api/v3"}}

    def bar(self, j: int) -> list[Any]:
        open_ms = self.first_ms + j * BAR_MS
        price = 100.0 + j % 50
        return [
            open_ms, f"{price:.2f}", f"{price + 2:.2f}", f"{price - 2:.2f}", f"{price + 1:.2f}",
            f"{10 + j % 7}.5", open_ms + BAR_MS - 1, "0", 1, "0", "0", "0",
        ]  # fmt: skip

    def respond(self, path: str, query: dict[str, str]) -> Answer:
        if path.endswith("/exchangeInfo"):
            return 200, {}, _EXCHANGE
        if path.endswith("/klines"):
            self.asked.append(query)
            if len(self.asked) in self.fail:
                return self.fail[len(self.asked)]
            since, limit = int(query.get("startTime", 0)), int(query.get("limit", 500))
            last = int(query.get("endTime", 2**62))
            first = max(0, -(-(since - self.first_ms) // BAR_MS))
            bars = [self.bar(j) for j in range(first, min(first + limit, self.count))]
            return 200, {}, [each for each in bars if each[0] <= last]
        return 404, {}, {"code": -1, "msg": f"no {path}"}


@contextmanager
def venue(first_ms: int, count: int) -> Iterator[Venue]:
    """Run a venue."""
    made = Venue(first_ms, count)
    with serve(made.respond) as url:
        made.url = url
        yield made


_EXCHANGE: dict[str, Any] = {
    "timezone": "UTC",
    "serverTime": 1_600_000_000_000,
    "rateLimits": [],
    "exchangeFilters": [],
    "symbols": [
        {
            "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
            "baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8,
            "orderTypes": ["LIMIT", "MARKET"], "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False, "permissions": [], "permissionSets": [["SPOT"]],
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000",
                 "tickSize": "0.01"},
                {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000",
                 "stepSize": "0.00001"},
                {"filterType": "NOTIONAL", "minNotional": "5.00"},
            ],
        }
    ],
}  # fmt: skip
