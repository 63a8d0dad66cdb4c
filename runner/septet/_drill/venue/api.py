"""Routes requests, after the checks of outages, limits, keys and signatures."""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable
from dataclasses import dataclass

from septet._drill.venue.clock import MarketClock
from septet._drill.venue.config import VenueConfig
from septet._drill.venue.false_values import falsify_answer
from septet._drill.venue.faults import ANY_REQUEST, Injector, PlannedFault
from septet._drill.venue.market_requests import MarketRequests
from septet._drill.venue.order_requests import OrderRequests
from septet._drill.venue.orders import Rejection
from septet._drill.venue.venue_journal import Answered, RequestSeen, VenueJournal
from septet._drill.venue.venue_request import VenueRequest, VenueResponse, signed_by, whole_of

__all__ = ["WS_METHODS", "Api"]

_V3 = "/api/v3/"
_BREAK = ANY_REQUEST - {"A2"}
"""Faults after which a question has no answer."""
WS_METHODS = {
    "ping": ("GET", _V3 + "ping"), "time": ("GET", _V3 + "time"),
    "exchangeInfo": ("GET", _V3 + "exchangeInfo"), "klines": ("GET", _V3 + "klines"),
    "depth": ("GET", _V3 + "depth"), "trades.recent": ("GET", _V3 + "trades"),
    "trades.aggregate": ("GET", _V3 + "aggTrades"), "ticker.24hr": ("GET", _V3 + "ticker/24hr"),
    "ticker.price": ("GET", _V3 + "ticker/price"),
    "ticker.book": ("GET", _V3 + "ticker/bookTicker"),
    "order.place": ("POST", _V3 + "order"), "order.test": ("POST", _V3 + "order/test"),
    "order.cancel": ("DELETE", _V3 + "order"), "order.status": ("GET", _V3 + "order"),
    "order.cancelReplace": ("POST", _V3 + "order/cancelReplace"),
    "openOrders.status": ("GET", _V3 + "openOrders"),
    "openOrders.cancelAll": ("DELETE", _V3 + "openOrders"),
    "allOrders": ("GET", _V3 + "allOrders"), "myTrades": ("GET", _V3 + "myTrades"),
    "account.status": ("GET", _V3 + "account"),
}  # fmt: skip
"""Method of the WebSocket API -> the REST request that does the same."""


@dataclass(frozen=True, slots=True)
class _Endpoint:
    handle: Callable[[VenueRequest], VenueResponse]
    weight: int
    signed: bool = False
    places: bool = False


class Api:
    """Answers calls of REST and WebSocket after the same checks."""

    def __init__(
        self, config: VenueConfig, public: MarketRequests, trading: OrderRequests, faults: Injector,
        journal: VenueJournal,
    ) -> None:  # fmt: skip
        self.public = public
        self.trading = trading
        self._config = config
        self._faults = faults
        self._journal = journal
        self._clock: MarketClock = public.market.clock
        self._number = 0
        self._minute = 0
        self._weight = 0
        self._ten_seconds = 0
        self._placed = 0
        self._rejected = 0
        self._banned_until_ns = 0
        self._table = self._endpoints()

    def _endpoints(self) -> dict[tuple[str, str], _Endpoint]:
        p, t = self.public, self.trading
        return {
            ("GET", _V3 + "ping"): _Endpoint(p.ping, 1),
            ("GET", _V3 + "time"): _Endpoint(p.time, 1),
            ("GET", _V3 + "exchangeInfo"): _Endpoint(p.exchange_info, 20),
            ("GET", _V3 + "klines"): _Endpoint(p.klines, 2),
            ("GET", _V3 + "depth"): _Endpoint(p.depth, 5),
            ("GET", _V3 + "trades"): _Endpoint(p.trades, 25),
            ("GET", _V3 + "aggTrades"): _Endpoint(p.agg_trades, 4),
            ("GET", _V3 + "ticker/24hr"): _Endpoint(p.day, 2),
            ("GET", _V3 + "ticker/price"): _Endpoint(p.price, 2),
            ("GET", _V3 + "ticker/bookTicker"): _Endpoint(p.book_ticker, 2),
            ("POST", _V3 + "order"): _Endpoint(t.place, 1, signed=True, places=True),
            ("POST", _V3 + "order/test"): _Endpoint(t.test, 1, signed=True),
            ("POST", _V3 + "order/cancelReplace"): _Endpoint(
                t.replace, 1, signed=True, places=True
            ),
            ("DELETE", _V3 + "order"): _Endpoint(t.cancel, 1, signed=True),
            ("GET", _V3 + "order"): _Endpoint(t.query, 4, signed=True),
            ("GET", _V3 + "openOrders"): _Endpoint(t.open_orders, 6, signed=True),
            ("DELETE", _V3 + "openOrders"): _Endpoint(t.cancel_all, 1, signed=True),
            ("GET", _V3 + "allOrders"): _Endpoint(t.all_orders, 20, signed=True),
            ("GET", _V3 + "myTrades"): _Endpoint(t.my_trades, 20, signed=True),
            ("GET", _V3 + "account"): _Endpoint(t.account, 20, signed=True),
            ("GET", "/sapi/v1/account/apiRestrictions"): _Endpoint(self._rights, 1, signed=True),
            ("GET", "/sapi/v1/system/status"): _Endpoint(self._status, 1),
        }  # fmt: skip

    def handle(self, request: VenueRequest) -> VenueResponse:
        """Answer a request; never raises for what a client did."""
        self._number += 1
        request.number = self._number
        params, now = request.params, self._clock.wall_ns()
        self._journal.write(
            RequestSeen(
                at_ns=now, number=request.number, method=request.method, path=request.path,
                symbol=params.get("symbol", ""),
                client_id=params.get("newClientOrderId") or params.get("origClientOrderId", ""),
                order_id=params.get("orderId", ""),
            )
        )  # fmt: skip
        try:
            response = falsify_answer(request, self._pass(request, now), self._faults)
        except Rejection as rejection:
            response = VenueResponse.rejected(rejection)
        self._headers(request, response)
        code = response.body.get("code", 0) if isinstance(response.body, dict) else 0
        self._journal.write(
            Answered(
                at_ns=self._clock.wall_ns(), number=request.number, status=response.status,
                code=code, sent=response.mode == "send" and response.raw is None,
            )
        )  # fmt: skip
        return response

    def _pass(self, request: VenueRequest, now_ns: int) -> VenueResponse:
        closed = self._closed(now_ns)
        if closed is not None:
            return closed
        endpoint = self._table.get((request.method, request.path))
        if endpoint is None:
            return VenueResponse(404, {"code": -1000, "msg": f"no such endpoint: {request.path}"})
        limited = self._spend(endpoint, now_ns)
        if limited is not None:
            return limited
        if endpoint.signed:
            self.verify(request)
        symbol = request.params.get("symbol", "")
        if symbol and self._faults.lasting("E24", symbol) is not None:
            raise Rejection(-1121, "Invalid symbol.")
        if request.method == "GET":
            occurred = self._faulty_query(request)
            if occurred is not None:
                return occurred
        return endpoint.handle(request)

    def _faulty_query(self, request: VenueRequest) -> VenueResponse | None:
        """Return the answer of a fault that applies to queries, if one acts."""
        planned = self._faults.due_fault("query", request.params.get("symbol", ""), only=_BREAK)
        return _broken_query(planned) if planned is not None else None

    # ------------------------------------------------------------ gates

    def _closed(self, now_ns: int) -> VenueResponse | None:
        """Return the answer to all requests during an outage, a pause or a ban."""
        if self._faults.lasting("E20") is not None:
            return VenueResponse(503, {"code": -1000, "msg": "System is under maintenance."})
        ban = self._faults.lasting("E3") or self._faults.lasting("A10")
        until = max(ban.until_ns if ban else 0, self._banned_until_ns)
        if until > now_ns:
            text = f"Way too much request weight used; IP banned until {until // 10**6}."
            return _wait(418, text, until - now_ns)
        pause = self._faults.lasting("E2")
        if pause is not None:
            return _wait(429, "Too many requests; please wait.", pause.until_ns - now_ns)
        return None

    def _spend(self, endpoint: _Endpoint, now_ns: int) -> VenueResponse | None:
        """Count the request's weight; return the answer if it is over the limit."""
        minute, tens = now_ns // (60 * 10**9), now_ns // 10**10
        if minute != self._minute:
            self._minute, self._weight, self._rejected = minute, 0, 0
        if tens != self._ten_seconds:
            self._ten_seconds, self._placed = tens, 0
        self._weight += endpoint.weight
        self._placed += endpoint.places
        limits = self._config.limits
        if limits.weight_per_minute and self._weight > limits.weight_per_minute:
            self._rejected += 1
            left = (minute + 1) * 60 * 10**9 - now_ns
            if limits.ban_after and self._rejected >= limits.ban_after:
                self._banned_until_ns = now_ns + limits.ban_seconds * 10**9
                left = limits.ban_seconds * 10**9
                return _wait(418, "Way too much request weight used; IP banned.", left)
            return _wait(429, "Too much request weight used; please wait.", left)
        if endpoint.places and limits.orders_per_10s and self._placed > limits.orders_per_10s:
            left = (tens + 1) * 10**10 - now_ns
            response = _wait(429, "Too many new orders; current limit is in force.", left)
            response.body["code"] = -1015
            return response
        return None

    def verify(self, request: VenueRequest) -> None:
        """Check key, signature and receive window; Rejection states what is wrong."""
        config, params = self._config, request.params
        if not request.api_key:
            raise Rejection(-2014, "API-key format invalid.", 401)
        if request.api_key != config.api_key:
            raise Rejection(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        given = params.get("signature", "")
        if not hmac.compare_digest(given, signed_by(config.secret, request.payload)):
            raise Rejection(-1022, "Signature for this request is not valid.")
        stamp, window = whole_of(params, "timestamp"), whole_of(params, "recvWindow") or 5000
        if stamp is None:
            raise Rejection(
                -1102,
                "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.",
            )
        if window > 60_000:
            raise Rejection(-1131, "recvWindow must be less than 60000.")
        now = self.public.server_ms()
        if stamp > now + 1000:
            raise Rejection(
                -1021, "Timestamp for this request was 1000ms ahead of the server's time."
            )
        if now - stamp > window:
            raise Rejection(-1021, "Timestamp for this request is outside of the recvWindow.")

    def _headers(self, request: VenueRequest, response: VenueResponse) -> None:
        response.headers["X-MBX-USED-WEIGHT"] = str(self._weight)
        response.headers["X-MBX-USED-WEIGHT-1M"] = str(self._weight)
        if request.method == "POST":
            response.headers["X-MBX-ORDER-COUNT-10S"] = str(self._placed)

    # ------------------------------------------------------------ the rest

    def _rights(self, request: VenueRequest) -> VenueResponse:
        return VenueResponse(200, {
            "ipRestrict": True, "createTime": 1_600_000_000_000, "enableReading": True,
            "enableWithdrawals": self._config.can_withdraw, "enableInternalTransfer": False,
            "permitsUniversalTransfer": False, "enableSpotAndMarginTrading": True,
            "enableMargin": False, "enableFutures": False, "enableVanillaOptions": False,
        })  # fmt: skip

    @staticmethod
    def _status(request: VenueRequest) -> VenueResponse:
        return VenueResponse(200, {"status": 0, "msg": "normal"})


def _wait(status: int, text: str, left_ns: int) -> VenueResponse:
    seconds = max(math.ceil(left_ns / 1e9), 1)
    return VenueResponse(status, {"code": -1003, "msg": text}, {"Retry-After": str(seconds)})


def _broken_query(planned: PlannedFault) -> VenueResponse:
    """Return the failed answer to a query."""
    code = planned.fault.code
    if code in {"N1", "N2", "N6"}:
        return VenueResponse(200, None, mode="hang" if code == "N6" else "abort",
                      hold_ms=planned.number_of("hold_ms", 30_000))  # fmt: skip
    if code == "N3":
        return VenueResponse(200, None, mode="hang", hold_ms=planned.number_of("delay_ms", 12_000))
    if code == "N13":
        return VenueResponse(200, None, raw=planned.word_of("body", "{}").encode())
    status = int(planned.number_of("status", 503))
    number = int(planned.number_of("code", -1001))
    return VenueResponse(
        status, {"code": number, "msg": "Internal error; unable to process request."}
    )
