"""The reference's account: cash, positions, orders and trades as plain objects."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from tests.core.settings import Settings

__all__ = ["HAIR", "NAN", "Account", "Order", "Position", "at_or_below", "floor_lots", "rounded"]

NAN = math.nan
FAR = 1 << 40
HAIR = 1e-12
"""Share of a price by which it may miss a level and still count as at it."""


def at_or_below(price: float, level: float, side: float) -> bool:
    """Whether a price is at a level or below it; above it for side -1."""
    return side * price <= side * level + HAIR * price


def floor_lots(units: float, lot: int) -> int:
    """Whole lots in a number of units; a hair below a whole lot counts as whole."""
    lots = units / lot
    near = round(lots)
    return (near if abs(lots - near) <= 4e-15 * abs(near) else math.floor(lots)) * lot


def rounded(price: float, side: float, tick: float) -> float:
    """Round a price to the tick: up for a buy, down for a sell, never to zero."""
    if not tick or math.isnan(price):
        return price
    steps = price / tick
    near = math.floor(steps + 0.5)
    if abs(steps - near) <= 1e-9:
        return round(near * tick, 10)  # the float of the decimal
    if 0 < steps < 1:
        return tick
    return round((math.ceil(steps) if side > 0 else math.floor(steps)) * tick, 10)


@dataclass
class Order:
    """The order that works for a symbol."""

    number: int
    kind: str
    units: int
    reason: str
    active_ns: int
    reduces: bool
    limit: float
    trigger: float
    decision_price: float
    bars_left: int
    begins_again: bool = False
    has_waited: bool = False


@dataclass
class Position:
    """What is held of a symbol and the trade it belongs to."""

    units: int = 0
    side: int = 0
    average: float = NAN
    best: float = NAN
    entry_ns: int = 0
    held: int = 0
    inside: bool = False
    reentry_blocked: dict[int, int] = field(default_factory=dict)
    since_entry: int = FAR
    mark: float = 0.0
    scale: float = 1.0
    volume_used: int = 0
    gross: float = 0.0
    fees: float = 0.0
    entered: float = 0.0
    left: float = 0.0
    closed: int = 0
    cost: float = 0.0
    funding: float = 0.0
    margin_paid: float = 0.0
    liquidation: float = 0.0
    slippage: float = 0.0
    trade_ns: int = 0
    exit_to_retry: str = ""

    def worth(self) -> float:
        """Value at the last close (quote)."""
        return self.units / self.scale * self.mark


@dataclass
class Account:
    """Cash, positions and everything that happened to them."""

    s: Settings
    count: int
    fills: list[tuple[object, ...]] = field(default_factory=list)
    trades: list[tuple[object, ...]] = field(default_factory=list)
    placed: list[tuple[object, ...]] = field(default_factory=list)
    ended: list[tuple[object, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cash = self.s.capital
        self.scale = float(round(1.0 / min(1e-8, self.s.lot)))
        self.lot = round(self.s.lot * self.scale)
        self.positions = [Position(scale=self.scale) for _ in range(self.count)]
        self.orders: list[Any] = [None] * self.count
        self.queued: list[Any] = [None] * self.count  # entries behind the exit of the other side
        self.losses = 0
        self.fees = self.funding_paid = 0.0
        self.last_return = 0.0
        self.just_closed = False

    def equity(self) -> float:
        """Cash plus every position at its last close."""
        return self.cash + sum(p.worth() for p in self.positions)

    def may_send(self, units: int, price: float) -> bool:
        """Whether an order for so many units is worth what the venue takes, but for a hair."""
        least = self.s.min_notional
        return abs(units) / self.scale * price >= least - HAIR * least

    def place(
        self, k: int, kind: str, units: int, reason: str, now: int, reduces: bool,
        limit: float, trigger: float, price: float, active_ns: int, time_in_force: int,
    ) -> Order:  # fmt: skip
        """Make an order work."""
        order = self.make(
            k, now, kind, units, reason, active_ns, reduces, limit, trigger, price, time_in_force
        )
        self.orders[k] = order
        return order

    def make(self, k: int, now: int, *values: Any) -> Order:
        """Number an order and write it down."""
        order = Order(len(self.placed), *values)
        self.placed.append(
            (now, k, order.kind, order.units, order.limit, order.trigger, order.reason)
        )
        return order

    def drop(self, k: int, status: str, reason: str, now: int) -> None:
        """End a queued entry, if there is one."""
        if self.queued[k] is not None:
            self.ended.append((now, k, self.queued[k].number, status, reason))
            self.queued[k] = None

    def begin_again(self, k: int, now: int, inside: bool) -> None:
        """An entry has added to a position too small to be sold: it counts as begun by it."""
        p = self.positions[k]
        p.entry_ns, p.held, p.inside, p.best = now, 0, inside, p.average
        p.reentry_blocked.pop(p.side, None)

    def release(self, k: int) -> None:
        """Let a queued entry work where nothing of the other side is held any more."""
        order = self.queued[k]
        free = order is not None and self.orders[k] is None
        if free and self.positions[k].side * order.units >= 0:
            self.orders[k], self.queued[k] = order, None

    def end(self, k: int, status: str, reason: str, now: int) -> None:
        """Take an order out of work."""
        order = self.orders[k]
        assert order is not None
        self.ended.append((now, k, order.number, status, reason))
        self.orders[k] = None

    def fill(
        self, k: int, order: Order, units: int, price: float, maker: bool, now: int, inside: bool
    ) -> None:
        """Book one fill."""
        s, p = self.s, self.positions[k]
        rate = s.maker if maker else s.taker
        notional = abs(units) / self.scale * price
        if order.reason == "liquidation":
            self._liquidate(p, units, price, notional * rate)
        fee, net_units = notional * rate, units
        if units > 0 and s.received:
            fee_units = math.ceil(units * rate)
            net_units, fee = units - fee_units, fee_units / self.scale * price
            self.cash -= notional
        else:
            self.cash -= math.copysign(notional, units) + fee
        self.fees += fee
        self.fills.append((now, k, order.number, units, price, fee, maker))
        slippage = (price - order.decision_price) * units / self.scale
        self._move(k, p, net_units, price, fee, slippage, now, inside, order.reason)

    def fund(self, k: int, after: int, until: int, mark: float) -> None:
        """Pay the funding of the instants after one time and up to another."""
        every, position = self.s.funding_every, self.positions[k]
        count = until // every - after // every
        if self.s.spot or not position.side or until <= after or not count:
            return
        paid = position.units / self.scale * mark * (count * self.s.funding)
        self.cash -= paid
        position.funding += paid
        position.margin_paid += paid
        self.funding_paid += paid

    def _liquidate(self, p: Position, units: int, price: float, fee: float) -> None:
        """Charge the liquidation; a loss beyond the isolated margin is the venue's."""
        amount = abs(units) / self.scale
        charge = amount * price * self.s.liquidation_fee
        lost = (p.average - price) * p.side * amount + fee + charge
        margin = amount * p.average / self.s.leverage
        margin -= p.margin_paid * amount / (abs(p.units) / self.scale)
        charge -= max(0.0, lost - margin)
        self.cash -= charge
        p.liquidation += charge

    def _move(
        self, k: int, p: Position, net_units: int, price: float, fee: float, slippage: float,
        now: int, inside: bool, reason: str,
    ) -> None:  # fmt: skip
        before, self.just_closed = p.units, False
        p.units += net_units
        way = 1 if net_units > 0 else -1
        if not p.side:
            if abs(p.units) >= self.lot and p.units * way > 0:  # else dust before and after
                opened = net_units if before * way >= 0 else p.units
                self._begin(p, way, opened, price, now, inside)
                p.fees, p.slippage = fee, slippage
            return
        if way == p.side:
            p.average = (p.average * abs(before) + price * abs(net_units)) / abs(p.units)
            p.entered += abs(net_units) / self.scale * price
            p.cost += abs(net_units) / self.scale * price
            p.fees += fee
            p.slippage += slippage
            return
        closing = min(abs(net_units), abs(before))
        share = closing / abs(net_units)
        p.gross += (price - p.average) * p.side * (closing / self.scale)
        p.fees += fee * share
        p.slippage += slippage * share
        p.left += closing / self.scale * price
        p.closed += closing
        p.margin_paid *= abs(p.units) / abs(before)
        if p.units * p.side < 0:
            self._finish(k, p, now, "reversal")
            self._begin(p, way, p.units, price, now, inside)
            p.fees, p.slippage = fee * (1.0 - share), slippage * (1.0 - share)
        elif abs(p.units) < self.lot:
            self._finish(k, p, now, "reversal" if reason == "entry" else reason)

    def _begin(
        self, p: Position, side: int, units: int, price: float, now: int, inside: bool
    ) -> None:
        p.side, p.average, p.best = side, price, price
        p.entry_ns = p.trade_ns = now
        p.held, p.inside = 0, inside
        p.margin_paid = 0.0
        p.gross, p.left, p.closed, p.funding, p.liquidation = 0.0, 0.0, 0, 0.0, 0.0
        p.entered = abs(units) / self.scale * price
        p.cost = abs(p.units) / self.scale * price  # dust that was there joins at this price

    def _finish(self, k: int, p: Position, now: int, reason: str) -> None:
        quantity = p.closed / self.scale
        pnl = p.gross - p.fees - p.funding - p.liquidation
        costs = (p.fees, p.funding, p.liquidation, p.slippage)
        kept = abs(p.units) if p.units * p.side > 0 else 0  # below a lot: it stays at its cost
        entry = (p.cost - kept / self.scale * p.average) / quantity
        prices = (entry, now, p.left / quantity)
        self.trades.append((k, p.side, p.trade_ns, *prices, quantity, pnl, *costs, reason))
        self.losses = self.losses + 1 if pnl < 0.0 else 0
        self.last_return, self.just_closed = pnl / p.entered, True
        p.side, p.average, p.inside, p.held, p.exit_to_retry = 0, NAN, False, 0, ""
