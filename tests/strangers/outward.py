"""The source of plugins that reach out, as a stranger's module would hold them; each breaks a rule.

The word MISTAKE of a source is replaced by the name of what it does wrong, or by nothing.
"""

from __future__ import annotations

__all__ = ["CHANNEL", "SOURCE", "VENUE"]

CHANNEL = '''
import os
import urllib.request

from septet.plugin.live import alerts

MISTAKE = "{mistake}"


class Hook(Config):
    """An address."""

    url: str


def local(server):
    return Hook(url=server.url + "/hook")


@alerts(Hook, trial=local)
class broken:
    def __init__(self, config):
        self.config = config

    def send(self, title, text, read, severity):
        if MISTAKE == "sends nothing":
            return
        body = ("" if MISTAKE == "leaves out the text" else text).encode()
        url = self.config.url
        if MISTAKE == "sends by the order of a set":
            url += "/" + "/".join(set("abcdefghijklmnop"))
        if MISTAKE == "says the time":
            body += f" at {{time.time()}} by {{os.getpid()}}".encode()
        try:
            urllib.request.urlopen(url, data=body, timeout=5).close()
        except OSError:
            if MISTAKE != "hides a failure":
                raise
'''

SOURCE = '''
import json
import urllib.request

from septet.plugin.data import Facts, FetchReport, RawBars, candles
from septet.testing import Trial

MISTAKE = "{mistake}"
HOUR = 3_600_000_000_000
START = 1_640_995_200_000_000_000


class Web(Config):
    """An address."""

    url: str


def local(server):
    rows = [[START + n * HOUR, 100.0 + n % 7, 101.0 + n % 7, 99.0, 100.0, 5.0] for n in range(300)]
    if MISTAKE == "gives prices that cannot be":
        rows = [[row[0], 0.0 * row[1], *row[2:]] for row in rows]
    server.answers["/bars"] = json.dumps(rows)
    return Trial(Web(url=server.url + "/bars"), start_ns=START, end_ns=START + 200 * HOUR)


@candles(Web, trial=local)
class broken:
    def __init__(self, config):
        self.config = config
        self.reads = 0

    def fetch(self, request, progress):
        import polars as pl

        with urllib.request.urlopen(self.config.url, timeout=5) as answer:
            rows = json.load(answer)
        rows = [row for row in rows if MISTAKE == "gives the future" or row[0] < request.end_ns]
        names = ("timestamp", "open", "high", "low", "close", "volume")
        frame = pl.DataFrame(rows, schema=names, orient="row")
        span = (request.start_ns, START + 300 * HOUR)
        request.store.append("web", request.symbols[0], "1h", frame, span)
        return [FetchReport(request.symbols[0], len(rows), 1)]

    def read(self, request):
        import polars as pl

        if MISTAKE == "knows no symbol":
            return []
        end = None if MISTAKE == "gives the future" else request.end_ns
        frame = request.store.read("web", request.symbols[0], "1h", request.start_ns, end)
        if MISTAKE == "looks at the end":
            frame = frame.with_columns(high=pl.lit(frame["high"].max() + len(frame)))
        self.reads += 1
        if MISTAKE == "counts its reads":
            frame = frame.with_columns(volume=pl.lit(float(self.reads)))
        return [RawBars(request.symbols[0], frame, Facts("web", stamp="open", calendar="24x7"))]
'''

VENUE = """
import asyncio
import hashlib
import os

from septet import messages as m
from septet.plugin.live import Market, VenueFacts, venue
from septet.testing import Trial

MISTAKE = "{mistake}"
BY_CHANCE = hashlib.sha256(f"{{os.getpid()}}".encode()).hexdigest()
ACCOUNT = BY_CHANCE if MISTAKE == "names its account by chance" else "account"


def local(server):
    return Trial(Plain(), quantity=0.5, resting_price=90.0)


class Link:
    def __init__(self, clock):
        self.clock, self.orders, self.executed = clock, dict(), []

    async def open(self, symbols, sink):
        self.sink = sink
        listed = [each for each in symbols if each == "BTC/USDT"]
        if MISTAKE == "raises for what is not listed" and len(listed) < len(symbols):
            raise ValueError("no such symbol")
        if MISTAKE == "names nothing that is not listed":
            listed = list(symbols)
        markets = dict((each, Market(each, *each.split("/"), 1e-6, 0.01)) for each in listed)
        return VenueFacts(
            "kit", "fake", ACCOUNT, markets, frozenset(("market", "limit")), False, True,
            5_000_000_000, True, False,
            unlisted=dict((each, ()) for each in symbols if each not in listed),
        )

    def seen(self, order, by="query"):
        state = self.orders[order.client_id][1]
        filled = order.quantity if state == "filled" else 0.0
        if MISTAKE == "says half" and state == "filled":
            filled *= 0.5
        return m.OrderSeen(
            at_ns=self.clock.now_ns(), client_id=order.client_id, venue_order_id="1", symbol=0,
            side=order.side, state=state, quantity=order.quantity, filled=filled, by=by,
        )

    async def submit(self, order):
        if MISTAKE == "raises":
            return dict()[order.client_id]
        if MISTAKE == "hangs":
            await asyncio.sleep(3600)
        state = "open" if order.order_type == "limit" else "filled"
        self.orders[order.client_id] = [order, state]
        if state == "filled":
            count = 3 if MISTAKE == "fills too much" else 2
            for part in range(count):
                self.fill(order, part)
        quantity = order.quantity * (2.0 if MISTAKE == "takes another quantity" else 1.0)
        return m.Acked(
            at_ns=self.clock.now_ns(), client_id=order.client_id, venue_order_id="1", state=state,
            side=order.side, quantity=quantity,
        )

    def fill(self, order, part):
        trade_id = "1" if MISTAKE == "uses a trade id twice" else f"{{len(self.executed)}}"
        now = self.clock.now_ns()
        filled = m.Filled(
            at_ns=now, venue="kit", symbol=0, trade_id=trade_id, client_id=order.client_id,
            venue_order_id="1", venue_ns=now, market_ns=now, side=order.side,
            quantity=order.quantity / 2.0, price=100.0, fee=0.0, fee_currency="USDT",
        )
        self.executed.append(filled)
        if MISTAKE != "keeps executions back":
            self.sink(filled)

    async def amend(self, order):
        return []

    async def cancel(self, order):
        found = self.orders.get(order.client_id)
        if found is None:
            return m.NotFound(
                at_ns=0, client_id=order.client_id, asked_ns=0, by="cancel"
            )
        if MISTAKE != "cancels nothing":
            found[1] = "cancelled"
        return self.seen(found[0], "cancel")

    async def cancel_all(self, symbols):
        for found in list(self.orders.values())[MISTAKE == "forgets one" and -1 or None:]:
            if found[1] == "open":
                found[1] = "cancelled"
        return []

    async def query(self, order):
        found = self.orders.get(order.client_id)
        if found is None and MISTAKE == "has no word for what is not there":
            return None
        if found is None:
            return m.NotFound(at_ns=0, client_id=order.client_id, asked_ns=0)
        return self.seen(found[0])

    async def open_orders(self):
        shown = [self.seen(each, "list") for each, state in self.orders.values() if state == "open"]
        if MISTAKE == "lists nothing":
            shown = []
        return m.OpenOrders(at_ns=0, orders=tuple(shown), asked_ns=0)

    async def fills(self, symbol, since_ns):
        return [] if MISTAKE == "keeps no executions" else list(self.executed)

    async def holdings(self):
        return m.Holdings(at_ns=0, balances=dict(USDT=(1000.0, 0.0)), asked_ns=0)

    async def skew(self):
        return None

    async def refresh_markets(self):
        return None

    async def close(self):
        return None


@venue(Plain, trial=local)
class broken:
    def __init__(self, config):
        self.config = config

    def connect(self, *, name, clock, tasks):
        return Link(clock)
"""
