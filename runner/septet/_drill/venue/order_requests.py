"""Requests about orders and the account, and the faults that apply to them."""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_left
from dataclasses import replace
from typing import Any
from zlib import crc32

from septet._drill.venue.amounts import text
from septet._drill.venue.binance_messages import ack, cancelled, my_trade, order_body
from septet._drill.venue.clock import MarketClock
from septet._drill.venue.engine import MatchingEngine
from septet._drill.venue.false_values import redirect
from septet._drill.venue.faults import Injector, PlannedFault
from septet._drill.venue.orders import WHOLE_PPM, Asked, Order, Rejection
from septet._drill.venue.venue_request import VenueRequest, VenueResponse, number_of, whole_of

__all__ = ["OrderRequests"]

_RECV_WINDOW = 5000
_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_STALE_CODES = frozenset({"E16"})


class OrderRequests:
    """The private part of the protocol: places, cancels and queries orders."""

    def __init__(
        self, engine: MatchingEngine, clock: MarketClock, faults: Injector, *, can_withdraw: bool
    ) -> None:  # fmt: skip
        self.engine = engine
        self.clock = clock
        self.faults = faults
        self.can_withdraw = can_withdraw
        self._later: set[asyncio.Task[None]] = set()
        self._cancels = 0

    def now_ms(self) -> int:
        """Wall time in milliseconds."""
        return self.clock.wall_ns() // 10**6

    # ------------------------------------------------------------ new orders

    def asked(self, params: dict[str, str]) -> Asked:
        """Read a new order; Rejection if it is malformed."""
        for name in ("symbol", "side", "type"):
            if not params.get(name):
                raise Rejection(
                    -1102,
                    f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.",
                )
        kind = params["type"].upper()
        client_id = params.get("newClientOrderId", "") or f"auto{self.clock.wall_ns():x}"
        if not _CLIENT_ID.fullmatch(client_id):
            raise Rejection(-1100, "Illegal characters found in parameter 'newClientOrderId'.")
        if "LIMIT" in kind and kind != "LIMIT_MAKER" and not params.get("timeInForce"):
            raise Rejection(
                -1102,
                "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.",
            )
        return Asked(
            params["symbol"], params["side"].upper(), kind, client_id,
            number_of(params, "quantity"), number_of(params, "quoteOrderQty"),
            number_of(params, "price"), number_of(params, "stopPrice"),
            params.get("timeInForce", "GTC"),
        )  # fmt: skip

    def place(self, request: VenueRequest) -> VenueResponse:
        """Accept a new order, unless a fault acts."""
        asked = self.asked(request.params)
        planned = self.faults.due_fault("place", asked.symbol, asked.client_id)
        if planned is not None:
            return self._faulty_order(request, asked, planned)
        return self._placed(request, asked)

    def _placed(
        self, request: VenueRequest, asked: Asked, *, portion: int = WHOLE_PPM, then: str = ""
    ) -> VenueResponse:  # fmt: skip
        now = self.now_ms()
        order = self.engine.place(asked, now, portion=portion, then=then)
        usual = "FULL" if asked.type in {"MARKET", "LIMIT"} else "ACK"
        return VenueResponse(200, ack(order, request.params.get("newOrderRespType", usual), now))

    def _faulty_order(
        self, request: VenueRequest, asked: Asked, planned: PlannedFault
    ) -> VenueResponse:
        """Handle a new order on which a fault acts."""
        code = planned.fault.code
        if code == "N2":
            return _lost(planned)
        if code == "N4":
            self._soon(self._place_late(request, asked, planned))
            return _lost(planned)
        if code == "E5":
            raise Rejection(
                int(planned.number_of("code", -2010)),
                planned.word_of("text", "Account has insufficient balance for requested action."),
            )
        if code == "E1" and not planned.flag_of("executed", default=planned.draw.random() < 0.5):
            return _unknown(planned)
        if code in {"E9", "E10"}:
            return self._partial(request, asked, planned)
        if code == "E23":
            name = asked.client_id
            if planned.flag_of("other", default=False):
                name = f"{crc32(name.encode()):08x}"
            listed_as = planned.word_of("prefix", "x-") + name + planned.word_of("suffix")
            asked = replace(asked, client_id=listed_as, sent_as=asked.client_id)
        response = self._placed(request, asked)
        match code:
            case "N1":
                return _lost(planned)
            case "N3":
                response.hold_ms = planned.number_of("delay_ms", 12_000)
            case "N13":
                response.raw = planned.word_of("body", "{}").encode()
            case "E1":
                return _unknown(planned)
            case "A1":
                return redirect(planned, request)
            case "E6":
                raise Rejection(-2010, "Duplicate order sent.")
            case "E15":
                response.hold_ms = planned.number_of("delay_ms", 300)
            case "E21":
                name = planned.word_of("field", "origQty")
                response.body[name] = planned.word_of("value") or text(
                    2 * number_of(response.body, name)
                )
            case _:
                pass
        return response

    def _partial(self, request: VenueRequest, asked: Asked, planned: PlannedFault) -> VenueResponse:
        portion = int(planned.number_of("portion", 0.5) * WHOLE_PPM)
        then = "rest" if planned.fault.code == "E9" else "expire"
        response = self._placed(request, asked, portion=portion, then=then)
        if then == "rest":
            self._soon(self._resume(response.body["orderId"], planned.number_of("delay_ms", 200)))
        return response

    async def _resume(self, order_id: int, delay_ms: float) -> None:
        await asyncio.sleep(delay_ms / 1000)
        self.engine.resume(order_id, self.now_ms())

    async def _place_late(self, request: VenueRequest, asked: Asked, planned: PlannedFault) -> None:
        """Execute an accepted request later, unless its receive window has passed by then."""
        await asyncio.sleep(planned.number_of("delay_ms", 2000) / 1000)
        window = whole_of(request.params, "recvWindow") or _RECV_WINDOW
        late = self.now_ms() - (whole_of(request.params, "timestamp") or 0) > window
        if late:
            self.faults.note(planned, asked.symbol, asked.client_id, "too late", counts=False)
            return
        try:
            self._placed(request, asked)
        except Rejection as rejection:
            self.faults.note(
                planned, asked.symbol, asked.client_id, f"rejected: {rejection}", counts=False
            )

    def _soon(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def pending(self) -> list[asyncio.Task[None]]:
        """Return the deferred actions that have not run yet."""
        return list(self._later)

    async def close(self) -> None:
        """Drop the deferred actions."""
        for task in list(self._later):
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)

    def test(self, request: VenueRequest) -> VenueResponse:
        """Check an order without placing it."""
        self.engine.check(self.asked(request.params))
        return VenueResponse(200, {})

    # ------------------------------------------------------------ cancels

    def _find(self, params: dict[str, str], code: int, order_id: str, client_id: str) -> Order:
        number, name = whole_of(params, order_id), params.get(client_id, "")
        if number is None and not name:
            raise Rejection(
                -1102,
                f"Param '{client_id}' or '{order_id}' must be sent, but both were empty/null!",
            )
        found = self.engine.find(params.get("symbol", ""), number, name)
        if found is None:
            what = "Unknown order sent." if code == -2011 else "Order does not exist."
            raise Rejection(code, what)
        return found

    def cancel(self, request: VenueRequest) -> VenueResponse:
        """Cancel one order, unless a fault acts."""
        found = self._find(request.params, -2011, "orderId", "origClientOrderId")
        planned = self.faults.due_fault("cancel", found.asked.symbol, found.asked.client_id)
        code = planned.fault.code if planned is not None else ""
        if planned is not None and code == "N2":
            return _lost(planned)
        if planned is not None and code == "E1":
            if planned.flag_of("executed", default=planned.draw.random() < 0.5):
                self._cancelled(request, found)
            return _unknown(planned)
        if code == "E11":
            self.engine.execute(found, self.now_ms())
        response = self._cancelled(request, found)
        if planned is not None and code in {"N1", "N6"}:
            return _lost(planned, "hang" if code == "N6" else "abort")
        if planned is not None and code == "N3":
            response.hold_ms = planned.number_of("delay_ms", 12_000)
        if planned is not None and code == "N13":
            response.raw = planned.word_of("body", "{}").encode()
        return response

    def _cancelled(self, request: VenueRequest, order: Order) -> VenueResponse:
        now = self.now_ms()
        self._cancels += 1
        cancel_id = request.params.get("newClientOrderId") or f"cancel{self._cancels}"
        self.engine.cancel(order, now, cancel_id=cancel_id)
        return VenueResponse(200, cancelled(order, cancel_id, now))

    def cancel_all(self, request: VenueRequest) -> VenueResponse:
        """Cancel every open order of a symbol."""
        symbol = request.params.get("symbol", "")
        mine = [order for order in self.engine.open.values() if order.asked.symbol == symbol]
        if not mine:
            raise Rejection(-2011, "Unknown order sent.")
        planned = self.faults.due_fault("cancel", symbol)
        if planned is not None and planned.fault.code == "N2":
            return _lost(planned)
        answers = [self._cancelled(request, order).body for order in mine]
        if planned is not None and planned.fault.code in {"N1", "N6"}:
            return _lost(planned, "hang" if planned.fault.code == "N6" else "abort")
        return VenueResponse(200, answers)

    def replace(self, request: VenueRequest) -> VenueResponse:
        """Cancel an order and place another; the second only if the first went through."""
        params = request.params
        go_on = params.get("cancelReplaceMode") == "ALLOW_FAILURE"
        gone: dict[str, Any] | None = None
        try:
            old = self._find(params, -2011, "cancelOrderId", "cancelOrigClientOrderId")
            inner = VenueRequest("DELETE", request.path, {"newClientOrderId": ""})
            gone = self._cancelled(inner, old).body
        except Rejection as rejection:
            body = {"code": rejection.code, "msg": rejection.text}
            if not go_on:
                data = {
                    "cancelResult": "FAILURE", "newOrderResult": "NOT_ATTEMPTED",
                    "cancelResponse": body, "newOrderResponse": None,
                }  # fmt: skip
                return VenueResponse(400, _replace_failed(-2022, data))
            gone = body
        try:
            response = self.place(request)
        except Rejection as rejection:
            data = {
                "cancelResult": "SUCCESS" if "orderId" in gone else "FAILURE",
                "newOrderResult": "FAILURE", "cancelResponse": gone,
                "newOrderResponse": {"code": rejection.code, "msg": rejection.text},
            }  # fmt: skip
            return VenueResponse(409, _replace_failed(-2021, data))
        if response.status == 200:
            response.body = {
                "cancelResult": "SUCCESS" if "orderId" in gone else "FAILURE",
                "newOrderResult": "SUCCESS", "cancelResponse": gone,
                "newOrderResponse": response.body,
            }  # fmt: skip
        return response

    # ------------------------------------------------------------ questions

    def _as_of(self, symbol: str = "", client_id: str = "") -> int | None:
        """Return the time as of which queries are answered, None for now."""
        planned = self.faults.due_fault("query", symbol, client_id, only=_STALE_CODES)
        return self.now_ms() - int(planned.number_of("stale_ms", 2000)) if planned else None

    def query(self, request: VenueRequest) -> VenueResponse:
        """Return one order."""
        params = request.params
        found = self._find(params, -2013, "orderId", "origClientOrderId")
        at_ms = self._as_of(found.asked.symbol, found.asked.client_id)
        state = found.as_of(at_ms) if at_ms is not None else None
        if at_ms is not None and state is None:
            raise Rejection(-2013, "Order does not exist.")
        return VenueResponse(200, order_body(found, state))

    def open_orders(self, request: VenueRequest) -> VenueResponse:
        """List open orders, of a symbol or all."""
        symbol = request.params.get("symbol", "")
        at_ms = self._as_of(symbol)
        found = []
        for order in self.engine.open.values() if at_ms is None else self.engine.orders.values():
            if symbol and order.asked.symbol != symbol:
                continue
            state = order.as_of(at_ms) if at_ms is not None else None
            if at_ms is None:
                found.append(order_body(order))
            elif state is not None and state[0] in {"NEW", "PARTIALLY_FILLED"}:
                found.append(order_body(order, state))
        return VenueResponse(200, found)

    def all_orders(self, request: VenueRequest) -> VenueResponse:
        """List orders of a symbol, oldest first, from a number or a time on."""
        params, limit = request.params, whole_of(request.params, "limit") or 500
        since, first = whole_of(params, "startTime"), whole_of(params, "orderId")
        found = [
            order_body(order)
            for order in self.engine.orders.values()
            if order.asked.symbol == params.get("symbol")
            and order.created_ms >= (since or 0)
            and order.order_id >= (first or 0)
        ]
        return VenueResponse(200, found[:limit] if since or first else found[-limit:])

    def my_trades(self, request: VenueRequest) -> VenueResponse:
        """List executions of a symbol, by order, number or time."""
        params, limit = request.params, whole_of(request.params, "limit") or 500
        since, until = whole_of(params, "startTime"), whole_of(params, "endTime")
        first, order_id = whole_of(params, "fromId"), whole_of(params, "orderId")
        symbol = params.get("symbol", "")
        if symbol not in self.engine.fills:
            raise Rejection(-1121, "Invalid symbol.")
        at_ms = self._as_of(symbol)
        end = min(x for x in (until, at_ms, 2**62) if x is not None)
        fills = self.engine.fills[symbol]
        start = bisect_left(fills, since or 0, key=lambda fill: fill.at_ms)
        found = [
            my_trade(fill)
            for fill in fills[start:]
            if fill.at_ms <= end
            and fill.trade_id >= (first or 0)
            and order_id in {None, fill.order_id}
        ]
        return VenueResponse(200, found[:limit] if since or first else found[-limit:])

    def account(self, request: VenueRequest) -> VenueResponse:
        """Return the balances of the account."""
        at_ms, ledger = self._as_of(), self.engine.ledger
        held = ledger.balances() if at_ms is None else ledger.as_of(at_ms)
        return VenueResponse(200, {
            "makerCommission": 10, "takerCommission": 10, "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": {"maker": self.engine.fees.maker, "taker": self.engine.fees.taker,
                                "buyer": "0.00000000", "seller": "0.00000000"},
            "canTrade": True, "canWithdraw": self.can_withdraw, "canDeposit": True,
            "brokered": False, "requireSelfTradePrevention": False, "preventSor": False,
            "updateTime": self.now_ms(), "accountType": "SPOT",
            "balances": [
                {"asset": asset, "free": text(free), "locked": text(locked)}
                for asset, (free, locked) in held.items()
            ],
            "permissions": ["SPOT"], "uid": 354937868,
        })  # fmt: skip


def _replace_failed(code: int, data: dict[str, Any]) -> dict[str, Any]:
    what = "Order cancel-replace failed." if code == -2022 else (
        "Order cancel-replace partially failed."
    )  # fmt: skip
    return {"code": code, "msg": what, "data": data}


def _lost(planned: PlannedFault, usual: str = "abort") -> VenueResponse:
    """Return an answer that never arrives."""
    mode = planned.word_of("mode", usual)
    hold = planned.number_of("hold_ms", 30_000 if mode == "hang" else 0)
    return VenueResponse(200, None, mode="hang" if mode == "hang" else "abort", hold_ms=hold)


def _unknown(planned: PlannedFault) -> VenueResponse:
    """Return an answer that leaves open whether the request was executed."""
    status = int(planned.number_of("status", 503))
    body = {
        "code": int(planned.number_of("code", -1007)),
        "msg": planned.word_of(
            "text",
            "Timeout waiting for response from backend server. "
            "Send status unknown; execution status unknown.",
        ),
    }  # fmt: skip
    return VenueResponse(status, body)
