"""The truth: an exchange with one account, exact to the last unit, which everything is told from.

Quantities are whole units (1e-8 of the base), prices whole ticks (0.01 of the quote), cash whole
1e-10 of the quote, so that a balance is a sum without rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from septet import messages as m
from septet._drill.sim.fault_rates import Weather
from septet._drill.sim.world import MS, World

__all__ = [
    "BASES", "CASH", "COARSEST", "FINAL", "LOT", "QUOTE", "THIRD", "TICK", "TOGETHER", "UNIT",
    "Listing", "Market", "Order", "Trade", "listed",
]  # fmt: skip

UNIT: Final = 100_000_000
TICK: Final = 100
CASH: Final = UNIT * TICK
LOT: Final = 100_000
COARSEST: Final = 10 * LOT
"""The largest lot that a change of filters brings."""
BASES: Final = ("BTC", "ETH", "SOL")
QUOTE, THIRD = "USDT", "BNB"
FINAL: Final = frozenset({"filled", "cancelled", "expired", "rejected"})
TOGETHER: Final = 0.8
"""Share of equity that a strategy of several symbols may hold of those that move together."""
_FALSE: Final[tuple[Callable[[int, int], tuple[m.OrderState, int]], ...]] = (
    lambda part, whole: ("filled", 0),
    lambda part, whole: ("filled", part),
    lambda part, whole: ("partially_filled", 0),
    lambda part, whole: ("partially_filled", whole),
    lambda part, whole: ("open", part),
)
"""What cannot be of an order: its state and its executed units contradict each other."""
_OWN: Final = 8
"""Ticks by which a symbol's step may differ from the one that all take: they move together."""


def listed(seed: int) -> int:
    """Return how many symbols the account of a seed trades: one, or in two of five several."""
    return (3, 1, 2, 1, 1)[seed % 5]


@dataclass(slots=True)
class Listing:
    """One symbol of the account: its price, its filters, and what is held of its base."""

    k: int
    name: str
    price: int = 10_000
    lot: int = LOT
    halted_until_ns: int = 0
    held: int = 0
    given: int = 0

    @property
    def symbol(self) -> str:
        """What it is called in a universe."""
        return f"{self.name}/{QUOTE}"

    @property
    def bid(self) -> int:
        """Best bid in ticks."""
        return self.price - 1

    @property
    def ask(self) -> int:
        """Best ask in ticks."""
        return self.price + 1


@dataclass(slots=True)
class Order:
    """An order at the exchange, and what it was at earlier times."""

    of: Listing
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

    def reported(self, venue: str, *, unnamed: bool = False) -> m.Filled:
        """Return the execution as the venue tells it; `unnamed` without our id."""
        scale = UNIT if self.currency == self.order.of.name else CASH
        third = self.currency == THIRD
        return m.Filled(
            at_ns=0, venue=venue, symbol=self.order.of.k, trade_id=self.trade_id,
            client_id="" if unnamed else self.order.client_id, venue_order_id=self.order.venue_id,
            venue_ns=self.time_ns, market_ns=self.market_ns, side=self.order.side,
            quantity=self.quantity / UNIT, price=self.price / TICK, fee=self.fee / scale,
            fee_currency=self.currency, fee_quote=self.fee / CASH if third else None,
        )  # fmt: skip


class Market:
    """Matching, balances and filters of one account, against seeded price paths.

    Its symbols share the cash, and their prices move together. `notify` hears every message of the
    user stream at the instant it happened.
    """

    def __init__(self, world: World, weather: Weather, notify: Callable[[m.Event], None]) -> None:
        self._world, self._weather, self._notify = world, weather, notify
        self.orders: dict[str, Order] = {}
        self._open: dict[str, Order] = {}
        self.trades: list[Trade] = []
        self.invented: set[str] = set()
        self.accepted: dict[str, int] = {}
        self.listings = [Listing(k, BASES[k]) for k in range(listed(world.seed))]
        self.cash = 1_000 * CASH
        self.third = 0
        self.begun_cash = self.cash
        self.balances: list[tuple[int, dict[str, tuple[float, float]]]] = []
        self._keep_balances()

    # ------------------------------------------------------------ prices

    def trading(self, of: Listing) -> bool:
        """Whether a symbol trades."""
        return self._world.now_ns >= of.halted_until_ns

    def halt(self, until_ns: int, listings: Sequence[Listing]) -> None:
        """Let symbols not trade for a while."""
        for each in listings:
            each.halted_until_ns = max(each.halted_until_ns, until_ns)

    def move(self) -> None:
        """Let the prices take a step and orders meet them."""
        chance, step = self._world.chance, self._world.chance.randint(-40, 40)
        for each in self.listings:
            own = chance.randint(-_OWN, _OWN) if len(self.listings) > 1 else 0
            each.price = max(2_000, each.price + step + own)
        for order in list(self._open.values()):
            self.meet(order)

    # ------------------------------------------------------------ orders

    def working(self, *, ours: bool = True) -> list[Order]:
        """Return open orders: ours, or of others."""
        return [each for each in self._open.values() if each.ours == ours]

    def objection(self, order: m.Submit) -> str:
        """Say why an order is rejected, or nothing."""
        of = self.listings[order.symbol]
        if not self.trading(of):
            return "market_closed"
        units = round(order.quantity * UNIT)
        if units <= 0 or units % of.lot:
            return "filters"
        if order.side == "sell" and units > of.held - self._locked(of):
            return "insufficient_funds"
        price = round((order.limit_price or 0.0) * TICK) or of.ask
        if order.side == "buy" and units * price * 1001 // 1000 > self.cash - self._locked_cash():
            return "insufficient_funds"
        if self._weather.strikes("E5 rejection"):
            return "rejected"
        return ""

    def accept(self, order: m.Submit) -> Order:
        """Take an order into the book; it meets the market now or soon."""
        of, asked = self.listings[order.symbol], round(order.quantity * UNIT)
        quantity = asked
        if self._weather.strikes("E21 ack differs"):
            quantity = max(of.lot, asked // 2 // of.lot * of.lot)
        made = Order(
            of=of, client_id=order.client_id, venue_id=f"v{len(self.orders) + 1}", side=order.side,
            kind=order.order_type, asked=asked, quantity=quantity,
            limit=round((order.limit_price or 0.0) * TICK),
            trigger=round((order.trigger_price or 0.0) * TICK), ours=True,
        )  # fmt: skip
        self.accepted[order.client_id] = self.accepted.get(order.client_id, 0) + 1
        self.orders[made.venue_id] = made
        self._keep(made)
        self._notify(self.seen(made))
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
        self._notify(self.seen(order, text=text))

    def seen(self, order: Order, *, as_of_ns: int = -1, by: str = "stream", text: str = "") -> (
        m.OrderSeen
    ):  # fmt: skip
        """Return how the venue shows an order, now or as of a time."""
        state, filled = order.state, order.filled
        if as_of_ns >= 0:
            state, filled = order.at(as_of_ns) or (state, filled)
        state, filled = self.falsified(order, state, filled)
        return m.OrderSeen(
            at_ns=0, client_id=order.client_id, venue_order_id=order.venue_id,
            symbol=order.of.k, side=order.side, state=state,
            quantity=order.quantity / UNIT, filled=filled / UNIT,
            price=order.limit / TICK if order.limit else None, by=by, text=text,  # type: ignore[arg-type]
        )  # fmt: skip

    def falsified(
        self, order: Order, state: m.OrderState, filled: int
    ) -> tuple[m.OrderState, int]:  # fmt: skip
        """Return a state and executed units that contradict each other, or those given."""
        if not order.ours or not self._weather.strikes("A18 false status"):
            return state, filled
        part, whole = max(1, order.quantity // 2), order.quantity
        return self._world.chance.choice(_FALSE)(part, whole)

    def meet(self, order: Order) -> None:
        """Let an order meet the price: a part, the whole, or nothing."""
        of = order.of
        if not order.working or not self.trading(of):
            return
        shown = of.ask if order.sign > 0 else of.bid
        if order.kind in ("stop", "stop_limit"):
            if order.sign * (shown - order.trigger) < 0:
                return
            order.kind = "market" if order.kind == "stop" else "limit"
        if order.kind == "limit" and order.sign * (order.limit - shown) <= 0:
            return
        price = shown if order.kind == "market" else order.limit
        quantity = order.left
        if quantity >= 2 * of.lot and self._weather.strikes("E9 partial fill"):
            quantity = self._world.chance.randint(1, quantity // of.lot - 1) * of.lot
        self.fill(order, quantity, price)
        if order.working and order.kind == "market":
            if self._weather.strikes("E10 rest expired"):
                self.end(order, "expired")
            else:
                delay_ns = self._world.chance.randint(1, 2_000) * MS
                self._world.after(delay_ns, lambda: self.meet(order))

    def fill(self, order: Order, quantity: int, price: int) -> None:
        """Execute a part of an order, no worse than its limit; move the balances, tell it."""
        if order.limit:
            price = min(price, order.limit) if order.sign > 0 else max(price, order.limit)
        if order.sign > 0:
            quantity = min(quantity, max(0, self.cash) * 1000 // (price * 1001))
        else:
            quantity = min(quantity, order.of.held)
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
        elif self._in_base(order, quantity):
            currency, fee = order.of.name, quantity // 1000
            order.of.held -= fee
        else:
            self.cash -= fee
        order.of.held += order.sign * quantity
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
            f"{order.of.name} at {price / TICK} (trade {trade.trade_id}, {order.state})"
        )
        reported = trade.reported("sim", unnamed=self._weather.strikes("E14 fill unnamed"))
        cumulative = order.filled / UNIT
        if order.ours and self._weather.strikes("A18 false status"):
            cumulative = self._world.chance.choice((0.0, reported.quantity / 2))
        self._notify(msgspec.structs.replace(reported, cumulative=cumulative))
        self._notify(self.seen(order))
        if order.ours and self._weather.strikes("A3 overfill"):
            self._notify(self._false_execution(trade))

    def _false_execution(self, trade: Trade) -> m.Filled:
        """Return an execution that was none and cannot be of its order."""
        reported, chance = trade.reported("sim"), self._world.chance
        name, side, units = f"{90_000 + len(self.invented)}", reported.side, trade.quantity
        match chance.randint(0, 2):
            case 0:
                units = 2 * trade.order.quantity + chance.randint(100, 200) * LOT
            case 1:
                side = "sell" if reported.side == "buy" else "buy"
            case _:
                name = f"-{1 + len(self.invented)}"
        self.invented.add(name)
        return msgspec.structs.replace(reported, trade_id=name, side=side, quantity=units / UNIT)

    def _in_base(self, order: Order, quantity: int) -> bool:
        """Whether the base pays the fee; of a sale where others hold enough of it."""
        if order.sign > 0:
            return self._world.seed % 2 == 1
        left = order.of.held - quantity
        return left >= quantity // 1000 and self._weather.strikes("E22 base fee")

    def give(self, of: Listing, units: int) -> None:
        """Move a balance from outside: a deposit or a withdrawal."""
        units = max(units, -of.held)
        of.held, of.given = of.held + units, of.given + units
        self._keep_balances()

    def place_external(self, of: Listing) -> Order:
        """Let somebody else place an order on the account."""
        sign = self._world.chance.choice((1, -1))
        made = Order(
            of=of, client_id=self._world.chance.choice(("", "web_x1")),
            venue_id=f"v{len(self.orders) + 1}", side="buy" if sign > 0 else "sell",
            kind="limit", asked=LOT, quantity=LOT, ours=False, trigger=0,
            limit=of.price - sign * self._world.chance.randint(5, 60),
        )  # fmt: skip
        self.orders[made.venue_id] = made
        self._keep(made)
        self._notify(self.seen(made))
        return made

    def balances_at(self, time_ns: int) -> dict[str, tuple[float, float]]:
        """Return free and locked balances as of a time."""
        found = self.balances[0]
        for each in reversed(self.balances):
            found = each
            if each[0] <= time_ns:
                break
        return found[1]

    # ------------------------------------------------------------ records

    def _keep(self, order: Order) -> None:
        order.was.append((self._world.now_ns, order.state, order.filled))
        if order.working:
            self._open[order.venue_id] = order
        else:
            self._open.pop(order.venue_id, None)
        self._keep_balances()

    def _keep_balances(self) -> None:
        locked = self._locked_cash()
        shown = {QUOTE: ((self.cash - locked) / CASH, locked / CASH)}
        for of in self.listings:
            locked = self._locked(of)
            shown[of.name] = ((of.held - locked) / UNIT, locked / UNIT)
        self.balances.append((self._world.now_ns, shown))

    def _locked(self, of: Listing) -> int:
        asked = sum(each.left for each in self._open.values() if each.of is of and each.sign < 0)
        return min(asked, max(0, of.held))

    def _locked_cash(self) -> int:
        asked = sum(
            each.left * (each.limit or each.trigger or each.of.ask)
            for each in self._open.values()
            if each.sign > 0
        )
        return min(asked, max(0, self.cash))
