"""The matching engine: pure and synchronous; time, prices and orders are handed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from septet._drill.venue.amounts import SCALE, ceil_product, floor_product, floor_to, units
from septet._drill.venue.book import Book
from septet._drill.venue.config import Fees, SymbolConfig
from septet._drill.venue.ledger import Ledger
from septet._drill.venue.orders import (
    FINAL,
    WHOLE_PPM,
    Asked,
    Execution,
    Fill,
    Order,
    Rejection,
    Rules,
)

__all__ = ["MatchingEngine", "Report"]

FIRST_ORDER = 1000
FIRST_TRADE = 500_000_000
"""Executions of the account are numbered apart from the public trades."""


@dataclass(frozen=True, slots=True)
class Report:
    """Something happened: an order changed, or money moved without one (`delta`).

    `assets` are the balances that changed. `cancel_id` is the client id of a cancel request.
    """

    execution: Execution | None
    order: Order | None
    at_ms: int
    assets: tuple[str, ...] = ()
    fill: Fill | None = None
    cancel_id: str = ""
    delta: int = 0
    by: str = "client"


class MatchingEngine:
    """Orders of one account against synthetic books; every change is reported to `notify`.

    `before_execution` is called with an order and the quantity that it could execute now. It may
    inject a fault: change the order's `portion` and `then`, or the `fees` of the engine.
    """

    def __init__(
        self, symbols: Iterable[SymbolConfig], balances: Mapping[str, str], *,
        fees: Fees = Fees(), participation: str = "1", seed: int = 0,  # noqa: B008 - frozen
        notify: Callable[[Report], None] = lambda report: None,
        before_execution: Callable[[Order, int], None] = lambda order, quantity: None,
    ) -> None:  # fmt: skip
        configs = list(symbols)
        self.rules = {config.id: Rules.of(config) for config in configs}
        self.books = {config.id: Book(config, seed) for config in configs}
        self.last = dict.fromkeys(self.rules, 0)
        self.ledger = Ledger(balances)
        self.fees = fees
        self.share = units(participation)
        self.notify = notify
        self.before_execution = before_execution
        self.orders: dict[int, Order] = {}
        self.open: dict[int, Order] = {}
        self.by_client: dict[str, Order] = {}
        self._open_clients: dict[str, int] = {}
        self.fills: dict[str, list[Fill]] = {symbol: [] for symbol in self.rules}
        self._next_order = FIRST_ORDER
        self._next_trade = FIRST_TRADE

    # ------------------------------------------------------------ prices

    def move(self, symbol: str, price: int, volume: int, now_ms: int) -> None:
        """Take a trade of the market: renew the book, trigger stops, fill what it went through.

        With `participation` below one, resting orders get at most that share of `volume`. While
        the symbol does not trade, nothing is matched.
        """
        rules = self.rules[symbol]
        self.last[symbol] = price
        self.books[symbol].renew(price, rules.tick, rules.lot)
        if not self.open or not rules.trading:
            return
        cap = None
        if self.share < SCALE:
            cap = floor_to(floor_product(volume, self.share), rules.lot)
        for order in [o for o in self.open.values() if o.asked.symbol == symbol]:
            if order.status in FINAL:
                continue
            if not order.triggered:
                self._trigger(order, price, now_ms)
            elif order.asked.price and (
                price < order.asked.price if order.buys else price > order.asked.price
            ):
                got = order.left if cap is None else min(order.left, cap)
                cap = None if cap is None else cap - got
                self._rest_fill(order, got, now_ms)

    def _trigger(self, order: Order, price: int, now_ms: int) -> None:
        if not self._reached(order.asked, price):
            return
        order.triggered = True
        order.note(now_ms)
        self._release(order)
        try:
            self._work(order, now_ms)
        except Rejection as rejection:
            order.reason = rejection.text
            self._finish(order, "EXPIRED", now_ms, by="venue")

    @staticmethod
    def _reached(asked: Asked, price: int) -> bool:
        rising = (asked.side == "BUY") == asked.type.startswith("STOP")
        return price >= asked.stop if rising else price <= asked.stop

    def _rest_fill(self, order: Order, quantity: int, now_ms: int) -> None:
        if quantity > 0:
            quantity = self._part(order, quantity)
        if quantity > 0:
            self._fill(order, quantity, order.asked.price, maker=True, now_ms=now_ms)
        if order.then == "expire" and order.status not in FINAL:
            self._finish(order, "EXPIRED", now_ms, by="venue")

    def _part(self, order: Order, quantity: int) -> int:
        """Return the part of a quantity that is executed now: at least a lot, or nothing.

        `portion` holds for one execution and is reset here.
        """
        self.before_execution(order, quantity)
        portion, order.portion = order.portion, WHOLE_PPM
        if portion in (0, WHOLE_PPM):
            return quantity if portion else 0
        lot = self.rules[order.asked.symbol].lot
        return min(quantity, max(floor_to(quantity * portion // WHOLE_PPM, lot), lot))

    # ------------------------------------------------------------ orders

    def place(
        self, asked: Asked, now_ms: int, *, portion: int = WHOLE_PPM, then: str = ""
    ) -> Order:
        """Take a new order and work it; Rejection if the venue does not accept it.

        A client id must be unique among open orders only. `portion` (millionths) of what could
        be executed at once is, with 0 nothing; the rest waits for `resume` if `then` is ``rest``,
        or expires if it is ``expire``.
        """
        self.check(asked)
        order = Order(self._next_order, asked, now_ms, now_ms, quantity=asked.quantity)
        order.portion, order.then = portion, then
        if asked.type == "MARKET" and asked.quote_quantity:
            order.quantity = self._quantity_for(asked)
        if asked.stop:
            order.triggered = False
        self._reserve(order)
        self._next_order += 1
        self.orders[order.order_id] = order
        self.by_client[asked.client_id] = order
        self.open[order.order_id] = order
        self._open_clients[asked.client_id] = order.order_id
        order.note(now_ms)
        self._log("NEW", order, now_ms)
        if order.triggered:
            self._work(order, now_ms)
        return order

    def check(self, asked: Asked) -> None:
        """Raise Rejection if an order would not be accepted, money aside."""
        rules = self.rules.get(asked.symbol)
        if rules is None:
            raise Rejection(-1121, "Invalid symbol.")
        rules.check(asked, self.last[asked.symbol])
        if asked.client_id in self._open_clients:
            raise Rejection(-2010, "Duplicate order sent.")
        if asked.stop and self._reached(asked, self.last[asked.symbol]):
            raise Rejection(-2010, "Stop price would trigger immediately.")
        if asked.type == "LIMIT_MAKER" and self._crosses(asked):
            raise Rejection(-2010, "Order would immediately match and take.")

    def _crosses(self, asked: Asked) -> bool:
        bid, _, ask, _ = self.books[asked.symbol].best()
        return bool(ask and asked.price >= ask) if asked.side == "BUY" else asked.price <= bid

    def _quantity_for(self, asked: Asked) -> int:
        """Return how much a market order over a quote amount comes to at the book's prices."""
        money, got = asked.quote_quantity, 0
        for price, quantity in self.books[asked.symbol].reach(
            buys=asked.side == "BUY", limit=0, share=self.share
        ):
            part = min(quantity, money * SCALE // price)
            got, money = got + part, money - floor_product(price, part)
            if part < quantity:
                break
        got = floor_to(got, self.rules[asked.symbol].lot)
        if not got:
            raise Rejection(-1013, "Filter failure: LOT_SIZE")
        return got

    def _reserve(self, order: Order) -> None:
        """Set aside what the order may need; Rejection if it is not there."""
        asked, rules = order.asked, self.rules[order.asked.symbol]
        if order.buys:
            asset = rules.quote
            need = (
                ceil_product(asked.price or asked.stop, order.quantity)
                if asked.type != "MARKET"
                else self._cost(asked.symbol, order.quantity)
            )
        else:
            asset, need = rules.base, order.quantity
        if not self.ledger.has(asset, need):
            raise _insufficient()
        order.locked_asset = asset
        if asked.type != "MARKET":
            order.locked = need
            self.ledger.lock(asset, need)

    def _cost(self, symbol: str, quantity: int) -> int:
        cost = 0
        for price, there in self.books[symbol].reach(buys=True, limit=0, share=self.share):
            part = min(there, quantity)
            cost, quantity = cost + floor_product(price, part), quantity - part
            if not quantity:
                break
        return cost

    def _release(self, order: Order) -> None:
        if order.locked:
            self.ledger.lock(order.locked_asset, -order.locked)
            order.locked = 0

    def _work(self, order: Order, now_ms: int) -> None:
        """Execute what can be executed at once, then rest, expire or wait."""
        asked = order.asked
        if order.at_market and asked.stop and not self._funded(order):
            raise _insufficient()
        if asked.stop and not order.at_market and not order.locked:
            self._reserve(order)
        lot = self.rules[asked.symbol].lot
        book = self.books[asked.symbol]
        goal = min(order.left, self._there(order))
        if asked.tif == "FOK" and goal < order.left:
            self._finish(order, "EXPIRED", now_ms)
            return
        if goal > 0:
            goal = self._part(order, goal)
        taken = []
        for price, there in book.reach(buys=order.buys, limit=asked.price, share=self.share):
            part = min(floor_to(there, lot), goal)
            if part <= 0:
                break
            taken.append((price, part))
            goal -= part
        for price, part in taken:
            book.take(buys=order.buys, price=price, quantity=part)
            self._fill(order, part, price, maker=False, now_ms=now_ms)
        waits = order.then == "rest"
        if order.status in FINAL or waits:
            return
        expires = order.then == "expire" and order.executed
        if order.at_market or asked.tif in {"IOC", "FOK"} or expires:
            self._finish(order, "EXPIRED", now_ms)

    def _there(self, order: Order) -> int:
        """Return the quantity in the book at the order's price or better, in whole lots."""
        lot = self.rules[order.asked.symbol].lot
        reach = self.books[order.asked.symbol].reach(
            buys=order.buys, limit=order.asked.price, share=self.share
        )
        return sum(floor_to(there, lot) for _, there in reach)

    def _funded(self, order: Order) -> bool:
        """Return whether the balance for the unfilled quantity of an order is locked, or free."""
        need = self._cost(order.asked.symbol, order.left) if order.buys else order.left
        return order.locked > 0 or self.ledger.has(order.locked_asset, need)

    def resume(self, order_id: int, now_ms: int) -> None:
        """Execute an order that waits; it keeps waiting while its symbol does not trade."""
        order = self.open.get(order_id)
        if order is None or order.then != "rest" or not self.rules[order.asked.symbol].trading:
            return
        order.then, order.portion = "", WHOLE_PPM
        if order.triggered:
            self._execute_accepted(order, now_ms)

    def _execute_accepted(self, order: Order, now_ms: int) -> None:
        """Execute an order that was accepted earlier; it expires if the balance is too small."""
        if self._funded(order):
            self._work(order, now_ms)
        else:
            self._finish(order, "EXPIRED", now_ms, by="venue")

    # ------------------------------------------------------------ fills and ends

    def _fill(self, order: Order, quantity: int, price: int, *, maker: bool, now_ms: int) -> None:
        symbol, ledger = order.asked.symbol, self.ledger
        rules = self.rules[symbol]
        quote = floor_product(price, quantity)
        paid, got = (quote, quantity) if order.buys else (quantity, quote)
        gets = rules.base if order.buys else rules.quote
        from_lock = order.locked > 0
        ledger.pay(order.locked_asset, paid, from_locked=from_lock)
        order.locked -= paid if from_lock else 0
        ledger.pay(gets, -got)
        fee, fee_asset = self._charge(order, quantity, quote, maker)
        fill = Fill(
            self._next_trade, order.order_id, symbol, order.buys, quantity, price, quote, fee,
            fee_asset, maker, now_ms,
        )  # fmt: skip
        self._next_trade += 1
        order.executed += quantity
        order.quote_executed += quote
        order.fills.append(fill)
        self.fills[symbol].append(fill)
        order.status = "FILLED" if order.left == 0 else "PARTIALLY_FILLED"
        keep = 0
        if order.locked and order.left:
            keep = ceil_product(order.asked.price, order.left) if order.buys else order.left
        if order.locked > keep:
            ledger.lock(order.locked_asset, keep - order.locked)
            order.locked = keep
        if order.status == "FILLED":
            self._close(order)
        order.note(now_ms)
        self._log("TRADE", order, now_ms, fill=fill)

    def _charge(self, order: Order, quantity: int, quote: int, maker: bool) -> tuple[int, str]:
        """Take the fee and return it with its asset."""
        rules, fees = self.rules[order.asked.symbol], self.fees
        rate = units(fees.maker if maker else fees.taker)
        asset = rules.base if order.buys else rules.quote
        fee = (quantity if order.buys else quote) * rate // SCALE
        if fees.fee_currency == "quote":
            other, wanted = rules.quote, quote * rate // SCALE
        elif fees.fee_currency == "received":
            other, wanted = asset, fee
        elif fees.fee_currency == "base":
            other, wanted = rules.base, quantity * rate // SCALE
        else:
            other = fees.fee_currency
            wanted = quote * rate // units(fees.third_price)
        if self.ledger.has(other, wanted):
            asset, fee = other, wanted
        self.ledger.pay(asset, fee)
        return fee, asset

    def cancel(
        self, order: Order, now_ms: int, *, cancel_id: str = "", by: str = "client"
    ) -> Order:  # fmt: skip
        """Cancel an open order; Rejection if it is not open."""
        if order.order_id not in self.open:
            raise Rejection(-2011, "Unknown order sent.")
        self._finish(order, "CANCELED", now_ms, cancel_id=cancel_id, by=by)
        return order

    def expire(self, order: Order, now_ms: int) -> None:
        """End an open order for the venue's own reasons."""
        if order.order_id in self.open:
            self._finish(order, "EXPIRED", now_ms, by="venue")

    def execute(self, order: Order, now_ms: int) -> None:
        """Fill what is left of a resting order: at its own price, a stop at the market's."""
        if order.order_id not in self.open:
            return
        order.triggered, order.portion, order.then = True, WHOLE_PPM, ""
        if not order.asked.price:
            self._release(order)
            self._execute_accepted(order, now_ms)
        else:
            self._rest_fill(order, order.left, now_ms)

    def _finish(
        self, order: Order, status: Execution, now_ms: int, *, cancel_id: str = "",
        by: str = "client",
    ) -> None:  # fmt: skip
        self._release(order)
        order.status = status
        self._close(order)
        order.note(now_ms)
        self._log(status, order, now_ms, cancel_id=cancel_id, by=by)

    def _close(self, order: Order) -> None:
        self.open.pop(order.order_id, None)
        if self._open_clients.get(order.asked.client_id) == order.order_id:
            del self._open_clients[order.asked.client_id]

    def transfer(self, asset: str, amount: int, now_ms: int, *, by: str = "other") -> None:
        """Deposit money, or withdraw it where the amount is negative; Rejection if too much."""
        if amount < 0 and not self.ledger.has(asset, -amount):
            raise Rejection(-2010, "Account has insufficient balance for requested action.")
        self.ledger.pay(asset, -amount)
        self.notify(Report(None, None, now_ms, self._changed(now_ms), delta=amount, by=by))

    def _log(
        self, execution: Execution, order: Order, now_ms: int, *, fill: Fill | None = None,
        cancel_id: str = "", by: str = "",
    ) -> None:  # fmt: skip
        changed, reported = self._changed(now_ms), by or order.asked.by
        self.notify(
            Report(execution, order, now_ms, changed, fill=fill, cancel_id=cancel_id, by=reported)
        )

    def _changed(self, now_ms: int) -> tuple[str, ...]:
        """Return the assets whose balances have changed since the last report, and note them."""
        changed = tuple(sorted(self.ledger.changed))
        if changed:
            self.ledger.note(now_ms)
            self.ledger.changed.clear()
        return changed

    # ------------------------------------------------------------ questions

    def find(self, symbol: str, order_id: int | None, client_id: str) -> Order | None:
        """Return an order by its number or client id (the latest that bore it)."""
        found = self.orders.get(order_id) if order_id is not None else None
        if order_id is None:
            found = self.by_client.get(client_id)
        return found if found is not None and found.asked.symbol == symbol else None

    def change_rules(self, symbol: str, **new: int | bool) -> Rules:
        """Replace filters of a symbol and return the old ones."""
        old = self.rules[symbol]
        self.rules[symbol] = replace(old, **new)  # type: ignore[arg-type]
        return old


def _insufficient() -> Rejection:
    return Rejection(-2010, "Account has insufficient balance for requested action.")
