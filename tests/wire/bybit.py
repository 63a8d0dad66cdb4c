"""A second venue for tests: Bybit v5 spot, as the unmodified client asks and reads it.

Money, matching, prices and time are those of the project's local venue; here stands only the
other protocol: an answer to an order that names nothing but ids, pages that begin with the
newest, seven days of executions at most, refusals with status 200, and a contract that bears the
same name as the spot market.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self
from urllib.parse import parse_qsl

from aiohttp import web

from septet._drill.venue import Fault, LocalVenue, VenueConfig
from septet._drill.venue.amounts import text, units
from septet._drill.venue.engine import Report
from septet._drill.venue.market import Trade
from septet._drill.venue.orders import Asked, Fill, Order, Rejection
from septet._drill.venue.sockets import Socket
from septet._drill.venue.symbol_prices import Kline

__all__ = ["BybitVenue"]

Params = dict[str, str]
Row = dict[str, Any]
WEEK_MS: Final = 7 * 86_400_000
MINUTES: Final = {60: "1", 300: "5", 900: "15", 1800: "30", 3600: "60", 14400: "240", 86400: "D"}
STATES: Final = {
    "NEW": "New", "PARTIALLY_FILLED": "PartiallyFilled", "FILLED": "Filled",
    "REJECTED": "Rejected",
}  # fmt: skip
CODES: Final = (
    # a word of the engine -> the word of Bybit
    ("insufficient", 170131, "Insufficient balance."),
    ("Duplicate", 170141, "Duplicate clientOrderId."),
    ("LOT_SIZE", 170137, "Order volume decimal too long."),
    ("PRICE_FILTER", 170134, "Order price decimal too long."),
    ("NOTIONAL", 170140, "Transaction amount lower than the minimum."),
    ("PERCENT_PRICE", 170132, "Order price too high."),
    ("Invalid symbol", 170121, "Invalid symbol."),
    ("Unknown order", 170213, "Order does not exist."),
)


class No(Exception):
    """What Bybit answers instead of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    @classmethod
    def of(cls, refusal: Rejection) -> Self:
        for words, code, message in CODES:
            if words in refusal.text:
                return cls(code, message)
        return cls(170210, refusal.text)


class BybitVenue:
    """Bybit's protocol in front of a local venue; `async with` starts and stops both.

    As many answers to new orders as `lose` are lost after the order was accepted, so many
    requests as `drop` before, and so many are `busy`. While `mute` the streams send nothing.
    """

    def __init__(self, config: VenueConfig) -> None:
        self.inner = LocalVenue(config)
        self.engine, self.market = self.inner.engine, self.inner.market
        self.lose = self.drop = self.busy = 0
        self.mute = False
        self.asked: list[tuple[str, Params]] = []
        self.port = 0
        self._reported, self.engine.notify = self.engine.notify, self._notify
        self.market.listener = self
        self._topics: dict[Socket, set[str]] = {}
        self._private: set[Socket] = set()
        self._shown: dict[Socket, dict[str, dict[bool, dict[int, int]]]] = {}
        self._server: asyncio.Server | None = None
        self._web = web.Server(self._serve, access_log=None)
        self._routes: dict[str, Callable[[Params], Row]] = {
            "market/time": self._time, "market/instruments-info": self._instruments,
            "market/kline": self._klines, "market/orderbook": self._book,
            "market/tickers": self._tickers, "market/recent-trade": self._trades,
            "user/query-api": self._key, "account/info": self._account,
            "asset/coin/query-info": lambda params: {"rows": []},
            "account/wallet-balance": self._wallet, "order/create": self._create,
            "order/cancel": self._cancel, "order/cancel-all": self._cancel_all,
            "order/realtime": self._realtime, "order/history": self._history,
            "execution/list": self._executions,
        }  # fmt: skip

    # ------------------------------------------------------------ life

    async def __aenter__(self) -> Self:
        await self.inner.start()
        self._server = await asyncio.get_running_loop().create_server(
            self._web, "127.0.0.1", self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.cut()
        assert self._server is not None
        self._server.close()
        await self._web.shutdown(0.1)
        await self.inner.close()

    def cut(self) -> None:
        """Cut every connection."""
        for handler in list(self._web.connections):
            if handler.transport is not None:
                handler.transport.abort()

    @property
    def urls(self) -> dict[str, Any]:
        """The `urls:` of a strategy file."""
        rest, ws = f"http://127.0.0.1:{self.port}", f"ws://127.0.0.1:{self.port}"
        public, private = f"{ws}/v5/public/spot", f"{ws}/v5/private"
        return {"api": {
            "public": rest, "private": rest,
            "ws": {"public": {"spot": public}, "private": {"contract": private}},
        }}  # fmt: skip

    def inject(self, *faults: Fault) -> None:
        self.inner.inject(*faults)

    def joined(self) -> list[tuple[Socket, set[str]]]:
        """Sockets, and what each of them listens to."""
        return list(self._topics.items())

    def created(self) -> list[str]:
        """Client ids of the orders that were asked for, one entry a request."""
        return [params["orderLinkId"] for path, params in self.asked if path == "order/create"]

    # ------------------------------------------------------------ requests

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if path.startswith("/v5/p"):
            return await self._socket(request, private=path == "/v5/private")
        name, body = path.removeprefix("/v5/"), (await request.read()).decode()
        params: Params = json.loads(body) if body else dict(parse_qsl(query))
        self.asked.append((name, params))
        if name == "order/create" and self._strikes("drop"):
            return self._vanish(request)
        try:
            if not name.startswith("market/"):
                self._check(request, body or query)
            if name == "order/create" and self._strikes("busy"):
                raise No(10006, "Too many visits. Exceeded the API Rate Limit.")
            answer = {"retCode": 0, "retMsg": "OK", "result": self._routes[name](params)}
        except Rejection as refusal:
            no = No.of(refusal)
            answer = {"retCode": no.code, "retMsg": no.message, "result": {}}
        except No as no:
            answer = {"retCode": no.code, "retMsg": no.message, "result": {}}
        if name == "order/create" and answer["retCode"] == 0 and self._strikes("lose"):
            return self._vanish(request)
        return web.json_response({**answer, "retExtInfo": {}, "time": self._now_ms()})

    def _strikes(self, fault: str) -> bool:
        left = getattr(self, fault)
        setattr(self, fault, max(0, left - 1))
        return bool(left)

    @staticmethod
    def _vanish(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def _check(self, request: web.BaseRequest, payload: str) -> None:
        """Refuse a key, a time or a signature that is wrong."""
        head, config = request.headers, self.inner.config
        stamp, window = head["X-BAPI-TIMESTAMP"], head["X-BAPI-RECV-WINDOW"]
        if head["X-BAPI-API-KEY"] != config.api_key:
            raise No(10003, "API key is invalid.")
        if abs(self._now_ms() - int(stamp)) > int(window):
            raise No(10002, "invalid request, please check your server timestamp")
        if self._sign(stamp + config.api_key + window + payload) != head["X-BAPI-SIGN"]:
            raise No(10004, "error sign! please check your signature generation algorithm.")

    def _sign(self, what: str) -> str:
        secret = self.inner.config.secret.encode()
        return hmac.new(secret, what.encode(), hashlib.sha256).hexdigest()

    def _now_ms(self) -> int:
        return self.inner.public.server_ms()

    # ------------------------------------------------------------ the market

    def _time(self, params: Params) -> Row:
        now = self._now_ms()
        return {"timeSecond": str(now // 1000), "timeNano": str(now * 10**6)}

    def _instruments(self, params: Params) -> Row:
        category, found = params["category"], []
        for rules in self.engine.rules.values():
            lots = {
                "basePrecision": text(rules.lot), "quotePrecision": "0.00000001",
                "minOrderQty": text(rules.min_quantity), "maxOrderQty": text(rules.max_quantity),
                "minOrderAmt": text(rules.min_notional), "qtyStep": text(rules.lot),
            }  # fmt: skip
            found.append({
                "symbol": rules.symbol, "baseCoin": rules.base, "quoteCoin": rules.quote,
                "status": "Trading" if rules.trading else "Closed", "marginTrading": "none",
                "contractType": "LinearPerpetual", "settleCoin": rules.quote,
                "lotSizeFilter": lots, "priceFilter": {"tickSize": text(rules.tick)},
            })  # fmt: skip
        listed = found if category in ("spot", "linear") and "status" not in params else []
        return {"category": category, "list": listed}

    def _klines(self, params: Params) -> Row:
        self._require(params["interval"] == self._word, "Invalid interval")
        limit = self._limit(params, 200, 1000)
        start, end = (int(params[each]) if each in params else None for each in ("start", "end"))
        rows = self.market.klines(self._symbol(params), start, end, limit)
        found = [[*(str(each) for each in row[:6]), str(row[7])] for row in reversed(rows)]
        return {"category": "spot", "symbol": params["symbol"], "list": found}

    def _book(self, params: Params) -> Row:
        book = self.engine.books[self._symbol(params)]
        return {
            "s": params["symbol"], "b": _levels(book.bids), "a": _levels(book.asks),
            "ts": self.market.now_ms(), "u": book.update_id,
        }  # fmt: skip

    def _tickers(self, params: Params) -> Row:
        best = self.inner.public.best(self._symbol(params))
        shown = {
            "symbol": params["symbol"], "bid1Price": best["bidPrice"], "bid1Size": best["bidQty"],
            "ask1Price": best["askPrice"], "ask1Size": best["askQty"],
            "lastPrice": text(self.engine.last[params["symbol"]]),
        }  # fmt: skip
        return {"category": "spot", "list": [shown]}

    def _trades(self, params: Params) -> Row:
        found = list(self.market.trades[self._symbol(params)])[-60:]
        return {"category": "spot", "list": [
            {"execId": str(each.trade_id), "symbol": each.symbol, "price": each.price,
             "size": each.quantity, "side": "Sell" if each.buyer_is_maker else "Buy",
             "time": str(each.at_ms), "isBlockTrade": False}
            for each in reversed(found)
        ]}  # fmt: skip

    @property
    def _word(self) -> str:
        return MINUTES[self.market.bar_ns // 10**9]

    def _symbol(self, params: Params) -> str:
        self._require(params.get("category") == "spot", "only spot is traded here")
        self._require(params.get("symbol") in self.engine.rules, "Invalid symbol")
        return params["symbol"]

    @staticmethod
    def _require(so: bool, message: str) -> None:
        if not so:
            raise No(10001, f"params error: {message}")

    def _limit(self, params: Params, usual: int, most: int) -> int:
        limit = int(params.get("limit") or usual)
        self._require(1 <= limit <= most, f"limit {limit} is above {most}")
        return limit

    # ------------------------------------------------------------ the account

    def _key(self, params: Params) -> Row:
        wallet = ["Withdraw"] if self.inner.config.can_withdraw else ["AccountTransfer"]
        permissions = {"Spot": ["SpotTrade"], "Wallet": wallet}
        return {"id": "1", "readOnly": 0, "permissions": permissions, "unified": 0, "uta": 1}

    def _account(self, params: Params) -> Row:
        return {"marginMode": "REGULAR_MARGIN", "unifiedMarginStatus": 6}

    def _wallet(self, params: Params) -> Row:
        self._require(params.get("accountType") == "UNIFIED", "accountType")
        ledger = self.engine.ledger
        coins = [
            {"coin": each, "walletBalance": text(ledger.free[each] + ledger.locked[each]),
             "locked": text(ledger.locked[each]), "availableToWithdraw": "",
             "totalPositionIM": "0", "totalOrderIM": "0", "borrowAmount": "0.0",
             "accruedInterest": "0"}
            for each in ledger.assets()
        ]  # fmt: skip
        return {"list": [{"accountType": "UNIFIED", "coin": coins}]}

    # ------------------------------------------------------------ orders

    def _create(self, params: Params) -> Row:
        kind, link = params["orderType"].upper(), params.get("orderLinkId", "")
        self._require(len(link) <= 36, "orderLinkId")
        if link in self.engine.by_client:
            raise No(170141, "Duplicate clientOrderId.")
        in_base = kind == "LIMIT" or params["side"] == "Sell" or "marketUnit" in params
        self._require(in_base and params.get("marketUnit", "baseCoin") == "baseCoin", "marketUnit")
        asked = Asked(
            symbol=self._symbol(params), side=params["side"].upper(), type=kind, client_id=link,
            quantity=units(params["qty"]), price=units(params.get("price", "0")),
        )  # fmt: skip
        order = self.engine.place(asked, self.inner.trading.now_ms())
        return {"orderId": str(order.order_id), "orderLinkId": link}

    def _found(self, params: Params) -> Order | None:
        if params.get("orderId"):
            return self.engine.orders.get(int(params["orderId"]))
        return self.engine.by_client.get(params["orderLinkId"])

    def _cancel(self, params: Params) -> Row:
        self._symbol(params)
        order = self._found(params)
        if order is None or order.order_id not in self.engine.open:
            raise No(170213, "Order does not exist.")
        self.engine.cancel(order, self.inner.trading.now_ms())
        return {"orderId": str(order.order_id), "orderLinkId": order.asked.client_id}

    def _cancel_all(self, params: Params) -> Row:
        symbol = self._symbol(params)
        mine = [each for each in self.engine.open.values() if each.asked.symbol == symbol]
        for each in mine:
            self.engine.cancel(each, self.inner.trading.now_ms())
        ids = [{"orderId": str(o.order_id), "orderLinkId": o.asked.client_id} for o in mine]
        return {"list": ids, "success": "1"}

    def _realtime(self, params: Params) -> Row:
        """Open orders; one that is asked for by an id is shown in whatever state it is."""
        if params.get("orderId") or params.get("orderLinkId"):
            found = self._found(params)
            return self._page(params, [] if found is None else [found])
        return self._page(params, list(self.engine.open.values()))

    def _history(self, params: Params) -> Row:
        ended = [o for o in self.engine.orders.values() if o.order_id not in self.engine.open]
        if params.get("orderLinkId"):
            ended = [each for each in ended if each.asked.client_id == params["orderLinkId"]]
        return self._page(params, ended)

    def _page(self, params: Params, orders: list[Order]) -> Row:
        symbol, limit = self._symbol(params), self._limit(params, 20, 50)
        found = [_order(each) for each in reversed(orders) if each.asked.symbol == symbol]
        return {"category": "spot", "list": found[:limit], "nextPageCursor": ""}

    def _executions(self, params: Params) -> Row:
        limit = self._limit(params, 50, 100)
        since = int(params.get("startTime") or self._now_ms() - WEEK_MS)
        until = int(params.get("endTime") or since + WEEK_MS)
        self._require(0 <= until - since <= WEEK_MS, "more than seven days")
        fills = self.engine.fills[self._symbol(params)]
        found = [self._execution(each) for each in fills if since <= each.at_ms <= until]
        return {"category": "spot", "list": found[::-1][:limit], "nextPageCursor": ""}

    def _execution(self, fill: Fill) -> Row:
        order = self.engine.orders[fill.order_id]
        return {
            "symbol": fill.symbol, "orderId": str(fill.order_id),
            "orderLinkId": order.asked.client_id, "side": order.asked.side.capitalize(),
            "execId": str(fill.trade_id), "execPrice": text(fill.price),
            "execQty": text(fill.quantity), "execValue": text(fill.quote), "execType": "Trade",
            "execFee": text(fill.fee), "feeRate": self.engine.fees.taker,
            "feeCurrency": fill.fee_asset, "execTime": str(fill.at_ms), "isMaker": fill.maker,
            "orderType": order.asked.type.capitalize(), "leavesQty": text(order.left),
        }  # fmt: skip

    # ------------------------------------------------------------ streams

    async def _socket(self, request: web.BaseRequest, *, private: bool) -> web.StreamResponse:
        socket = Socket(request, "user" if private else "market")
        self._topics[socket], self._shown[socket] = set(), {}
        try:
            return await socket.serve(lambda message: self._received(socket, json.loads(message)))
        finally:
            self._private.discard(socket)
            del self._topics[socket], self._shown[socket]

    def _received(self, socket: Socket, message: Row) -> Awaitable[None] | None:
        op, about = message["op"], {"req_id": str(message.get("req_id", "")), "conn_id": "c"}
        if op == "ping":
            socket.send(json.dumps({"success": True, "ret_msg": "pong", "op": "ping", **about}))
            return None
        good = True
        if op == "auth":
            key, expires, signature = message["args"]
            signed = self._sign(f"GET/realtime{expires}") == signature
            good = signed and key == self.inner.config.api_key
            if good:
                self._private.add(socket)
        elif op == "subscribe":
            good = socket.kind == "market" or socket in self._private
            self._topics[socket] |= set(message["args"]) if good else set()
        word = "" if good else "error:USVC1111"
        socket.send(json.dumps({"success": good, "ret_msg": word, "op": op, **about}))
        for topic in message["args"] if op == "subscribe" and good else ():
            if topic.startswith("orderbook."):
                self._show_book(socket, topic)
        return None

    def _publish(self, topic: str, data: Any, **more: Any) -> None:
        text = json.dumps({"topic": topic, "ts": self.market.now_ms(), "data": data, **more})
        for socket, topics in self._topics.items():
            if topic in topics and not self.mute:
                socket.send(text)

    def _notify(self, report: Report) -> None:
        """Let the truth be written, then report what happened to those who subscribed."""
        self._reported(report)
        about = {"id": "1", "creationTime": report.at_ms}
        if report.order is not None:
            self._publish("order", [{**_order(report.order), "category": "spot"}], **about)
        if report.fill is not None:
            row = {**self._execution(report.fill), "category": "spot"}
            self._publish("execution", [row], **about)

    def traded(self, trade: Trade) -> None:
        self._publish(f"publicTrade.{trade.symbol}", [
            {"T": trade.at_ms, "s": trade.symbol, "S": "Sell" if trade.buyer_is_maker else "Buy",
             "v": trade.quantity, "p": trade.price, "i": str(trade.trade_id), "BT": False}
        ], type="snapshot")  # fmt: skip

    def kline(self, symbol: str, kline: Kline, *, closed: bool) -> None:
        start = kline.open_ns // 10**6
        self._publish(f"kline.{self._word}.{symbol}", [
            {"start": start, "end": start + self.market.bar_ns // 10**6 - 1,
             "interval": self._word, "open": kline.open, "high": kline.high, "low": kline.low,
             "close": kline.close, "volume": kline.volume, "turnover": kline.quote_volume,
             "confirm": closed, "timestamp": self.market.now_ms()}
        ], type="snapshot")  # fmt: skip

    def moved(self, symbol: str) -> None:
        for socket, topics in list(self._topics.items()):
            for topic in topics:
                if topic.startswith("orderbook.") and topic.endswith(f".{symbol}"):
                    self._show_book(socket, topic)

    def _show_book(self, socket: Socket, topic: str) -> None:
        """Show a whole book once, then the levels that changed; a gone one has no quantity."""
        _, depth, symbol = topic.split(".")
        book, first = self.engine.books[symbol], topic not in self._shown[socket]
        now = {side: dict(list((book.bids, book.asks)[side].items())[: int(depth)])
               for side in (False, True)}  # fmt: skip
        before = self._shown[socket].get(topic, {False: {}, True: {}})
        self._shown[socket][topic] = now
        data = {"s": symbol, "u": book.update_id, "seq": book.update_id}
        for name, side in (("b", False), ("a", True)):
            gone = dict.fromkeys(before[side].keys() - now[side].keys(), 0)
            data[name] = _levels({**gone, **now[side]})
        socket.send(json.dumps({
            "topic": topic, "type": "snapshot" if first else "delta",
            "ts": self.market.now_ms(), "data": data,
        }))  # fmt: skip


def _levels(side: dict[int, int]) -> list[list[str]]:
    return [[text(price), text(quantity)] for price, quantity in side.items()]


def _order(order: Order) -> Row:
    """An order as lists and the stream show it."""
    asked, gone = order.asked, order.status in ("CANCELED", "EXPIRED")
    ended = "PartiallyFilledCanceled" if order.executed else "Cancelled"
    average = order.quote_executed * 10**8 // order.executed if order.executed else 0
    return {
        "symbol": asked.symbol, "orderId": str(order.order_id), "orderLinkId": asked.client_id,
        "side": asked.side.capitalize(), "orderType": asked.type.capitalize(),
        "orderStatus": ended if gone else STATES[order.status], "price": text(asked.price),
        "qty": text(order.quantity), "cumExecQty": text(order.executed),
        "cumExecValue": text(order.quote_executed), "leavesQty": text(0 if gone else order.left),
        "avgPrice": text(average) if order.executed else "", "timeInForce": asked.tif,
        "createdTime": str(order.created_ms), "updatedTime": str(order.updated_ms),
        "marketUnit": "baseCoin" if asked.type == "MARKET" else "", "tpslMode": "",
        "triggerPrice": "", "rejectReason": "EC_NoError", "reduceOnly": False,
    }  # fmt: skip
