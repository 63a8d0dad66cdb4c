"""The truth: an exchange with one account, exact to the last unit, which everything is told from.

Quantities are whole units (1e-8 of the base), prices whole ticks (0.01 of the quote), cash whole
1e-10 of the quote, so that a balance is a sum without rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from septet import messages as m
from septet._drill.sim.weather import Weather
from septet._drill.sim.world import MS, World

__all__ = [
    "BASE",
    "CASH",
    "COARSEST",
    "LOT",
    "QUOTE",
    "THIRD",
    "TICK",
    "UNIT",
    "Market",
    "Order",
    "Trade",
]

UNIT: Final = 100_000_000
TICK: Final = 100
CASH: Final = UNIT * TICK
LOT: Final = 100_000
COARSEST: Final = 10 * LOT
"""The largest lot that a change of filters brings."""
BASE, QUOTE, THIRD = "BTC", "USDT", "BNB"
FINAL: Final = frozenset({"filled", "cancelled", "expired", "rejected"})
_KINDS: Final[tuple[m.OrderKind, ...]] = ("market", "limit", "stop", "stop_limit")


@dataclass(slots=True)
class Order:
    """An order at the exchange, and what it was at earlier times."""

    client_id: str
    venue_id: str
    side: m.Side
    kind: m.OrderKind
    asked: int
    quantity: int
    limit: int
    trigger: int
    ours: bool
    state: m.OrderState = "open"
    filled: int = 0
    paid: int = 0
    was: list[tuple[int, m.OrderState, int]] = field(default_factory=list)

    @property
    def sign(self) -> int:
        """+1 to buy, -1 to sell."""
        return 1 if self.side == "buy" else -1

    @property
    def left(self) -> int:
        """Units that may still be filled."""
        return self.quantity - self.filled

    @property
    def working(self) -> bool:
        """Whether anything can still happen to it."""
        return self.state not in FINAL

    def at(self, time_ns: int) -> tuple[m.OrderState, int] | None:
        """Return state and filled units as of a time; None before it was."""
        for when_ns, state, filled in reversed(self.was):
            if when_ns <= time_ns:
                return state, filled
        return None

    def was_open(self, first_ns: int, last_ns: int) -> bool:
        """Return whether it was in the book at any time of a span, its first instant left out."""
        opened_ns = self.was[0][0]
        closed_ns = last_ns if self.working else self.was[-1][0]
        return opened_ns < last_ns and closed_ns > first_ns


@dataclass(frozen=True, slots=True)
class Trade:
    """An execution; the fee in units of its currency (cash for the third, too)."""

    trade_id: str
    order: Order
    quantity: int
    price: int
    fee: int
    currency: str
    time_ns: int
    market_ns: int

    def told(self, venue: str, *, unnamed: bool = False) -> m.Filled:
        """Return the execution as the venue tells it; `unnamed` without our id."""
        scale = UNIT if self.currency == BASE else CASH
        third = self.currency == THIRD
        return m.Filled(
            at_ns=0, venue=venue, symbol=0, trade_id=self.trade_id,
            client_id="" if unnamed else self.order.client_id, venue_order_id=self.order.venue_id,
            venue_ns=self.time_ns, market_ns=self.market_ns, side=self.order.side,
            quantity=self.quantity / UNIT, price=self.price / TICK, fee=self.fee / scale,
            fee_currency=self.currency, fee_quote=self.fee / CASH if third else None,
        )  # fmt: skip


class Market:
    """Matching, balances and filters of one symbol, against a seeded price path.

    `tell` hears every message of the user stream at the instant it happened.
    """

    def __init__(self, world: World, weather: Weather, tell: Callable[[m.Event], None]) -> None:
        self._world, self._weather, self._tell = world, weather, tell
        self.orders: dict[str, Order] = {}
        self._open: dict[str, Order] = {}
        self.trades: list[Trade] = []
        self.accepted: dict[str, int] = {}
        self.price = 10_000
        self.lot = LOT
        self.halted_until_ns = 0
        self.base = 0
        self.cash = 1_000 * CASH
        self.third = 0
        self.given_base = 0
        self.given_cash = 0
        self.begun_cash = self.cash
        self.balances: list[tuple[int, int, int, int, int]] = []
        self._keep_balances()

    # ------------------------------------------------------------ prices

    @property
    def bid(self) -> int:
        """Best bid in ticks."""
        return self.price - 1

    @property
    def ask(self) -> int:
        """Best ask in ticks."""
        return self.price + 1

    @property
    def trading(self) -> bool:
        """Whether the symbol trades."""
        return self._world.now_ns >= self.halted_until_ns

    def move(self) -> None:
        """Let the price take a step and orders meet it."""
        self.price = max(2_000, self.price + self._world.chance.randint(-40, 40))
        if self.trading:
            for order in list(self._open.values()):
                self.meet(order)

    # ------------------------------------------------------------ orders

    def working(self, *, ours: bool = True) -> list[Order]:
        """Return open orders: ours, or of others."""
        return [each for each in self._open.values() if each.ours == ours]

    def objection(self, order: m.Submit) -> str:
        """Say why an order is refused, or nothing."""
        if not self.trading:
            return "market_closed"
        units = round(order.quantity * UNIT)
        if units <= 0 or units % self.lot:
            return "filters"
        if order.side == "sell" and units > self.base - self._locked_base():
            return "insufficient_funds"
        price = round((order.limit_price or 0.0) * TICK) or self.ask
        if order.side == "buy" and units * price * 1001 // 1000 > self.cash - self._locked_cash():
            return "insufficient_funds"
        if self._weather.strikes("E5 refusal"):
            return "refused"
        return ""

    def accept(self, order: m.Submit) -> Order:
        """Take an order into the book; it meets the market now or soon."""
        asked = quantity = round(order.quantity * UNIT)
        if self._weather.strikes("E21 ack differs"):
            quantity = max(self.lot, asked // 2 // self.lot * self.lot)
        made = Order(
            client_id=order.client_id, venue_id=f"v{len(self.orders) + 1}", side=order.side,
            kind=order.order_type, asked=asked, quantity=quantity,
            limit=round((order.limit_price or 0.0) * TICK),
            trigger=round((order.trigger_price or 0.0) * TICK), ours=True,
        )  # fmt: skip
        self.accepted[order.client_id] = self.accepted.get(order.client_id, 0) + 1
        self.orders[made.venue_id] = made
        self._keep(made)
        self._tell(self.seen(made))
        if self._world.chance.random() < 0.5:
            self.meet(made)
        else:
            self._world.after(self._world.chance.randint(1, 500) * MS, lambda: self.meet(made))
        return made

    def by_client(self, client_id: str) -> Order | None:
        """Return the newest order of a client id."""
        for order in reversed(self.orders.values()):
            if order.client_id == client_id:
                return order
        return None

    def end(self, order: Order, state: m.OrderState, text: str = "") -> None:
        """Take an order out of the book and say so."""
        order.state = state
        self._keep(order)
        self._tell(self.seen(order, text=text))

    def seen(self, order: Order, *, as_of_ns: int = -1, by: str = "stream", text: str = "") -> (
        m.OrderSeen
    ):  # fmt: skip
        """Return how the venue shows an order, now or as of a time."""
        state, filled = order.state, order.filled
        if as_of_ns >= 0:
            state, filled = order.at(as_of_ns) or (state, filled)
        return m.OrderSeen(
            at_ns=0, client_id=order.client_id, venue_order_id=order.venue_id, symbol=0,
            side=order.side, state=state, quantity=order.quantity / UNIT, filled=filled / UNIT,
            price=order.limit / TICK if order.limit else None, by=by, text=text,  # type: ignore[arg-type]
        )  # fmt: skip

    def meet(self, order: Order) -> None:
        """Let an order meet the price: a part, the whole, or nothing."""
        if not order.working or not self.trading:
            return
        shown = self.ask if order.sign > 0 else self.bid
        if order.kind in ("stop", "stop_limit"):
            if order.sign * (shown - order.trigger) < 0:
                return
            order.kind = "market" if order.kind == "stop" else "limit"
        if order.kind == "limit" and order.sign * (order.limit - shown) <= 0:
            return
        price = shown if order.kind == "market" else order.limit
        quantity = order.left
        if quantity >= 2 * self.lot and self._weather.strikes("E9 partial fill"):
            quantity = self._world.chance.randint(1, quantity // self.lot - 1) * self.lot
        self.fill(order, quantity, price)
        if order.working and order.kind == "market":
            if self._weather.strikes("E10 rest expired"):
                self.end(order, "expired")
            else:
                delay_ns = self._world.chance.randint(1, 2_000) * MS
                self._world.after(delay_ns, lambda: self.meet(order))

    def fill(self, order: Order, quantity: int, price: int) -> None:
        """Execute a part of an order, move the balances, tell it."""
        if order.sign > 0:
            quantity = min(quantity, max(0, self.cash) * 1000 // (price * 1001))
        else:
            quantity = min(quantity, self.base)
        quantity = quantity // LOT * LOT
        if quantity <= 0:
            if not order.ours:
                return
            self.end(order, "expired", "the account holds too little")
            return
        notional = quantity * price
        currency, fee = QUOTE, notional // 1000
        if self._weather.strikes("E22 third fee"):
            currency = THIRD
            self.third -= fee
        elif order.sign > 0 and self._world.seed % 2:
            currency, fee = BASE, quantity // 1000
            self.base -= fee
        else:
            self.cash -= fee
        self.base += order.sign * quantity
        self.cash -= order.sign * notional
        order.filled += quantity
        order.paid += notional
        order.state = "filled" if order.filled >= order.quantity else "partially_filled"
        trade = Trade(
            str(1_000 + len(self.trades)), order, quantity, price, fee, currency,
            self._world.now_ns, self._world.market_ns,
        )  # fmt: skip
        self.trades.append(trade)
        self._keep(order)
        self._keep_balances()
        self._world.note(
            f"  venue fills {order.client_id or 'external'} {order.side} {quantity / UNIT} "
            f"at {price / TICK} (trade {trade.trade_id}, {order.state})"
        )
        self._tell(trade.told("sim", unnamed=self._weather.strikes("E14 fill unnamed")))
        self._tell(self.seen(order))

    def give(self, base: int, cash: int) -> None:
        """Move a balance from outside: a deposit or a withdrawal."""
        base, cash = max(base, -self.base), max(cash, -self.cash)
        self.base, self.cash = self.base + base, self.cash + cash
        self.given_base, self.given_cash = self.given_base + base, self.given_cash + cash
        self._keep_balances()

    def place_external(self) -> Order:
        """Let somebody else place an order on the account."""
        sign = self._world.chance.choice((1, -1))
        made = Order(
            client_id=self._world.chance.choice(("", "web_x1")),
            venue_id=f"v{len(self.orders) + 1}", side="buy" if sign > 0 else "sell",
            kind="limit", asked=LOT, quantity=LOT, ours=False, trigger=0,
            limit=self.price - sign * self._world.chance.randint(5, 60),
        )  # fmt: skip
        self.orders[made.venue_id] = made
        self._keep(made)
        self._tell(self.seen(made))
        return made

    def balances_at(self, time_ns: int) -> dict[str, tuple[float, float]]:
        """Return free and locked balances as of a time."""
        found = self.balances[0]
        for each in reversed(self.balances):
            found = each
            if each[0] <= time_ns:
                break
        _, base, cash, locked_base, locked_cash = found
        return {
            BASE: ((base - locked_base) / UNIT, locked_base / UNIT),
            QUOTE: ((cash - locked_cash) / CASH, locked_cash / CASH),
        }

    # ------------------------------------------------------------ records

    def _keep(self, order: Order) -> None:
        order.was.append((self._world.now_ns, order.state, order.filled))
        if order.working:
            self._open[order.venue_id] = order
        else:
            self._open.pop(order.venue_id, None)
        self._keep_balances()

    def _keep_balances(self) -> None:
        now_ns, locked = self._world.now_ns, (self._locked_base(), self._locked_cash())
        self.balances.append((now_ns, self.base, self.cash, *locked))

    def _locked_base(self) -> int:
        asked = sum(each.left for each in self._open.values() if each.sign < 0)
        return min(asked, max(0, self.base))

    def _locked_cash(self) -> int:
        asked = sum(
            each.left * (each.limit or each.trigger or self.ask)
            for each in self._open.values()
            if each.sign > 0
        )
        return min(asked, max(0, self.cash))
