"""A venue played by hand: each answer is given by the test, each command is looked at."""

from __future__ import annotations

from typing import Any, TypeVar

from septet import messages as m
from septet._core.orders import Booked, Parent
from tests.core.orders.market import PRICE, SECOND, World

C = TypeVar("C", bound=m.Command)
FINAL_AFTER = 6


class Bench(World):
    """One core, one hand. Times are seconds since the start."""

    def __init__(self, *, amends: bool = False) -> None:
        super().__init__(0, amends=amends)
        self.manual = True
        self.trades = 0
        self.sent: list[m.Command] = []

    def after_s(self, seconds: float) -> Bench:
        """Let time pass, tick by tick of a quarter of a second."""
        until = self.now + round(seconds * SECOND)
        while self.now < until:
            self.now = min(until, self.now + SECOND // 4)
            self.handle(m.Ticked(at_ns=self.now, market_ns=self.now))
        return self

    def jump_s(self, seconds: float) -> None:
        """Let the local clock jump ahead, as the process reports it: no time has passed."""
        by_ns = round(seconds * SECOND)
        self.now += by_ns
        self.handle(m.Ticked(at_ns=self.now, market_ns=self.now, jumped_ns=by_ns))

    def proceed(self) -> list[m.Command]:
        commands = super().proceed()
        self.sent = commands
        return commands

    def take(self, kind: type[C]) -> list[C]:
        """Return the commands of a kind since the last time, and forget all of them."""
        found = [each for each in self.commands if isinstance(each, kind)]
        self.commands = [each for each in self.commands if not isinstance(each, kind)]
        return found

    def only(self, kind: type[C]) -> C:
        """Return the one command of a kind since the last time."""
        (found,) = self.take(kind)
        return found

    def alerted(self, event: str) -> list[str]:
        """Return the levels of alerts of one name so far."""
        return [each.level for each in self.alerts if each.event == event]

    def prices_booked(self) -> list[float]:
        """Return the prices of the fills that were booked."""
        return [each.fill.price for each in self.outcomes if isinstance(each, Booked)]

    # ------------------------------------------------------------------ requests

    def order(self, number: int, quantity: float = 1.0, **rest: Any) -> m.Submit:
        """Place a parent; return the request that leaves."""
        self.want(number, quantity, **rest)
        return self.only(m.Submit)

    def want(self, number: int, quantity: float = 1.0, **rest: Any) -> None:
        """Place a parent."""
        rest.setdefault("symbol", 0)
        rest.setdefault("reduces", quantity < 0.0)
        self.place(Parent(number=number, quantity=quantity, **rest))
        self.proceed()

    def operate(self, action: Any) -> None:
        self.handle(m.Operated(at_ns=self.now, action=action, name="ann", reason="why"))

    def hold(self, quantity: float) -> None:
        """Begin with a position."""
        self.position[0] = self.held[0] = quantity
        self.core.touch(0)

    def hold_with_stop(self, quantity: float, level: float) -> m.Submit:
        """Begin with a position whose stop at `level` the venue has accepted; return the stop."""
        self.hold(quantity)
        self.core.protect(0, quantity, level)
        self.proceed()
        stop = self.only(m.Submit)
        self.ack(stop)
        return stop

    # ------------------------------------------------------------------ answers

    def ack(self, order: m.Submit, **rest: Any) -> None:
        fields: dict[str, Any] = {
            "side": order.side, "quantity": order.quantity, "price": order.limit_price,
            "state": "open", "venue_order_id": f"v-{order.client_id}",
        }  # fmt: skip
        fields.update(rest)
        self.handle(m.Acked(at_ns=self.now, client_id=order.client_id, **fields))

    def show(self, order: m.Submit, state: m.OrderState, filled: float = 0.0, **rest: Any) -> None:
        fields: dict[str, Any] = {
            "client_id": order.client_id, "venue_order_id": f"v-{order.client_id}",
            "side": order.side, "quantity": order.quantity, "price": order.limit_price,
        }  # fmt: skip
        fields.update(rest)
        self.handle(
            m.OrderSeen(at_ns=self.now, symbol=order.symbol, state=state, filled=filled, **fields)
        )

    def end(self, order: m.Submit, state: m.OrderState, filled: float = 0.0, **rest: Any) -> None:
        """End an order that nobody cancelled: the stream reports it, and a query shows it too."""
        self.show(order, state, filled, **rest)
        assert any(each.client_id == order.client_id for each in self.take(m.Query))
        self.show(order, state, filled, by="query", **rest)

    def execute(self, order: m.Submit, quantity: float, **rest: Any) -> m.Filled:
        """Fill a part of an order; the fill is received at once."""
        self.trades += 1
        fields: dict[str, Any] = {
            "client_id": order.client_id, "venue_order_id": f"v-{order.client_id}",
            "trade_id": f"x{self.trades}", "price": PRICE, "side": order.side, "fee": 0.0,
            "fee_currency": "USDT", "venue_ns": self.now,
        }  # fmt: skip
        fields.update(rest)
        fill = m.Filled(
            at_ns=self.now, venue="v", symbol=order.symbol, market_ns=self.now,
            quantity=quantity, **fields,
        )  # fmt: skip
        self.handle(fill)
        return fill

    def reject(self, client_id: str, code: str, **rest: Any) -> None:
        self.handle(m.Rejected(at_ns=self.now, client_id=client_id, code=code, text="", **rest))

    def lose(self, client_id: str) -> None:  # an answer that never came
        self.handle(m.Uncertain(at_ns=self.now, client_id=client_id, text="timeout"))

    def miss(self, client_id: str, **rest: Any) -> None:
        """Report that the venue knows no such order, asked for just now."""
        fields = {"asked_ns": self.now, **rest}
        self.handle(m.NotFound(at_ns=self.now, client_id=client_id, **fields))

    def list_open(self, *orders: m.OrderSeen, asked_ns: int = 0) -> None:
        asked_ns = asked_ns or self.now
        self.handle(m.OpenOrders(at_ns=self.now, orders=orders, asked_ns=asked_ns))

    def read(self, *orders: m.OrderSeen) -> None:
        """Read the open orders and the account, which agrees with what is booked."""
        self.list_open(*orders)
        self.read_account(self.position, self.now)

    def listed(self, order: m.Submit, **rest: Any) -> m.OrderSeen:
        fields: dict[str, Any] = {
            "client_id": order.client_id, "venue_order_id": f"v-{order.client_id}",
            "side": order.side, "quantity": order.quantity, "state": "open", "filled": 0.0,
        }  # fmt: skip
        fields.update(rest)
        return m.OrderSeen(at_ns=self.now, symbol=order.symbol, by="list", **fields)
