"""The reference's checks: size, caps in their order, lots, the wire."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.core.book import HAIR, NAN, Account, floor_lots, rounded
from tests.core.settings import Settings

if TYPE_CHECKING:
    from tests.core.reference import Decision, Reference

__all__ = ["Planned", "Sizer"]

Planned = tuple[str, int, float, float, str]
CAPS = ("position", "groups", "correlated", "gross_exposure")


class Sizer:
    """Decides for a candidate what may be ordered, or which rule rejects it."""

    def __init__(self, s: Settings, run: Reference) -> None:
        self.s, self.run = s, run
        self.limits = {"position": 1.0, "gross_exposure": 1.0, "orders_per_minute": 60,
                       "price_collar": 0.05, **s.limits}  # fmt: skip
        self.returns: list[float] = []

    @property
    def book(self) -> Account:
        """The account."""
        return self.run.account

    def reported(self, book: Account) -> None:
        """Take in a trade that has just closed."""
        if book.just_closed:
            self.returns.append(book.last_return)
            book.just_closed = False

    def cost(self, price: float) -> float:
        """What a unit costs with slippage and fee."""
        return price * (1.0 + self.s.slippage) * (1.0 + self.s.taker)

    # ------------------------------------------------------------------ what is there

    def target(self, k: int, side: int, price: float, up: float) -> float:
        """Quantity the sizing rule requests, before anything else."""
        s, equity = self.s, self.run.equity
        if s.sizing == "fixed_quantity":
            wanted = s.amount
        elif s.sizing == "fixed_fraction":
            wanted = s.amount * equity / self.cost(price)
        else:
            wanted = self._kelly(up if side > 0 else 1.0 - up) * equity / self.cost(price)
        return wanted / len(self.run.bars) if s.split else wanted

    def _kelly(self, chance: float) -> float:
        recent = self.returns[-self.s.kelly_window :]
        wins = [each for each in recent if each > 0.0]
        losses = [-each for each in recent if not each > 0.0]
        win, loss = 0.02, 0.015
        if min(len(wins), len(losses)) >= self.s.kelly_least and sum(losses) > 0.0:
            win, loss = sum(wins) / len(wins), sum(losses) / len(losses)
        odds = win / loss
        share = self.s.amount * (chance * odds - (1.0 - chance)) / odds
        return min(self.s.kelly_max, share) if share > 0.0 else 0.0

    def notionals(self, without: int = -1) -> list[float]:
        """Signed notional of every symbol, working orders included."""
        found = []
        for k, position in enumerate(self.book.positions):
            order = self.book.orders[k]
            queued = self.book.queued[k]
            units = position.units + sum(each.units for each in (order, queued) if each)
            found.append(0.0 if k == without else units / self.book.scale * position.mark)
        return found

    def _working_cost(self) -> float:
        """Equity that working orders will cost: their slippage and fees."""
        rate = (1.0 + self.s.slippage) * (1.0 + self.s.taker) - 1.0
        worth = 0.0
        for orders in (self.book.orders, self.book.queued):
            for order, position in zip(orders, self.book.positions, strict=True):
                if order is not None:
                    worth += abs(order.units) / self.book.scale * position.mark
        return rate * worth

    def free_cash(self) -> float:
        """Cash that no order reserves, with the proceeds of reductions."""
        s, cash = self.s, self.book.cash - self.s.cash_buffer * self.run.equity
        for order, position in zip(self.book.orders, self.book.positions, strict=True):
            if order is None:
                continue
            worth = order.units / self.book.scale * position.mark
            if not order.reduces:
                cash -= abs(worth) * (1.0 + s.slippage) * (1.0 + s.taker)
            elif worth < 0.0:
                cash += abs(worth) * (1.0 - s.slippage) * (1.0 - s.taker)
        return cash

    def share(self, planned: list[tuple[float, float]]) -> float:
        """pro_rata: by what the planned entries (units, price) are scaled."""
        s, asked = self.s, 0.0
        for units, price in planned:
            cost = self.cost(price)
            need = cost if s.spot else price + s.leverage * (cost - price)
            asked += units / self.book.scale * need
        if s.spot:
            free = max(0.0, self.free_cash())
        else:
            equity = self.run.equity * (1.0 - s.cash_buffer) - self._working_cost()
            free = max(0.0, s.leverage * equity - sum(map(abs, self.notionals())))
        return free / asked if asked > free else 1.0

    def counts(self, k: int) -> bool:
        """Whether a symbol is held and not being closed, or being entered."""
        position, order = self.book.positions[k], self.book.orders[k]
        if self.book.queued[k] is not None or (order is not None and not order.reduces):
            return True
        leaving = abs(order.units) if order is not None else 0
        return position.side != 0 and abs(position.units) - leaving >= self.book.lot

    def _up(self, k: int, i: int) -> float:
        return self.run.chances[k][i] if self.run.chances is not None else NAN

    # ------------------------------------------------------------------ the checks, in order

    def early(self, k: int, i: int, side: int) -> str:
        """Return the rule that rejects an entry whatever its size, or nothing."""
        position = self.book.positions[k]
        if any(halt.active for halt in self.run.halts):
            return "halted"
        most, count = self.s.max_positions, sum(map(self.counts, range(len(self.run.bars))))
        if most is not None and not self.counts(k) and count >= most:
            return "max_positions"
        if side in position.reentry_blocked and self.s.reentry != "immediate":
            return "reentry_blocked"
        if position.since_entry < self.s.min_interval:
            return "min_interval"
        return ""

    def order(
        self, k: int, i: int, side: int, row: Decision, *, by_cash: bool = True
    ) -> tuple[str | None, Planned | None]:
        """Return the rejecting rule and the order: kind, units, limit, trigger, reason.

        The rule is "" for an accepted entry, None where nothing was asked of the checks. Without
        `by_cash` everything but cash and margin decides.
        """
        s, book, position = self.s, self.book, self.book.positions[k]
        price, scale = float(self.run.bars[k].close[i]), book.scale
        flips = position.side == -side
        resizes = position.side == side and s.band is not None
        wanted = self.target(k, side, price, self._up(k, i))
        if resizes:
            assert s.band is not None
            add = wanted - abs(position.units) / scale
            if not 0.0 < wanted < math.inf:
                return "size", None
            if abs(add) <= (s.band + HAIR) * wanted:
                return None, None
            if add < 0.0:
                row.requested = side * add  # what a reduction asks for is of the other sign
                units = floor_lots(-add * scale, book.lot)
                if not units:
                    return "too_small", None
                way = -units if position.units > 0 else units
                return None, ("market", way, NAN, NAN, "rebalance")
            wanted = add
        early = self.early(k, i, side)
        if early:
            return early, None
        if not 0.0 < wanted < math.inf:
            return "size", None
        row.requested = side * wanted
        units = floor_lots(wanted * scale, book.lot)
        units, capped = self._caps(k, i, side, price, units, flips, by_cash)
        row.capped = capped
        if not units > 0:
            return capped or "lot", None
        # of what is only planned the wire sees one lot: a share of it will be sent
        wired = units if by_cash else book.lot
        return self._sent(k, side, row, units, price, flips, wired)

    def scaled(
        self, k: int, i: int, side: int, row: Decision, planned: float, share: float, price: float
    ) -> tuple[str, Planned | None]:
        """pro_rata: the order for the share of a planned entry, or why there is none."""
        part = floor_lots(planned * share, self.book.lot)
        flips = self.book.positions[k].side == -side
        units, capped = self._caps(k, i, side, price, part, flips, by_cash=False)
        if not capped and part < floor_lots(planned, self.book.lot):
            capped = "cash" if self.s.spot else "margin"
        row.capped = capped or row.capped
        row.granted = 0.0
        if not units > 0:
            return capped or "lot", None
        return self._sent(k, side, row, units, price, flips, units)

    def _sent(
        self, k: int, side: int, row: Decision, units: int, price: float, flips: bool, wired: int
    ) -> tuple[str, Planned | None]:
        if not self.book.may_send(units, price):
            return "min_notional", None
        kind, limit, trigger = self._style(side, price)
        wire = self._wire(wired / self.book.scale, price, limit)
        if wire:
            return wire, None
        row.granted = side * units / self.book.scale
        if flips:
            units += abs(self.book.positions[k].units)
        return "", (kind, side * units, limit, trigger, "entry")

    def _caps(
        self, k: int, i: int, side: int, price: float, units: int, flips: bool, by_cash: bool
    ) -> tuple[int, str]:
        s, book, scale = self.s, self.book, self.book.scale
        extra = self.cost(price) - price
        equity = self.run.equity - self._working_cost()
        if flips:
            equity -= abs(book.positions[k].units) / scale * extra
        notionals = self.notionals(k if flips else -1)
        gross = sum(map(abs, notionals))
        rooms: list[tuple[str, float]] = []

        def room(share: float, used: float) -> float:
            return (share * equity - used) / (price + share * extra)

        for name in CAPS:
            if name not in self.limits:
                continue
            keys: Any = self.limits[name]
            if name == "position":
                rooms.append((name, room(keys, side * notionals[k])))
            elif name == "gross_exposure":
                rooms.append((name, room(keys, gross)))
            elif name == "groups":
                rooms.append((name, self._group_room(k, keys, notionals, room)))
            else:
                rooms.append((name, room(keys["max"], self._alike(k, side, keys, notionals))))
        if not by_cash:
            pass
        elif s.spot:
            rooms.append(("cash", self.free_cash() / self.cost(price)))
        else:
            free = s.leverage * (equity - s.cash_buffer * self.run.equity) - gross
            rooms.append(("margin", free / (price + s.leverage * extra)))
        capped = ""
        for name, quantity in rooms:
            if math.isinf(quantity):
                continue
            cap = floor_lots(max(0.0, quantity) * scale, book.lot)
            if cap < units:
                units, capped = cap, name
        return units, capped

    def _group_room(
        self, k: int, groups: Mapping[str, Any], notionals: list[float], room: Any
    ) -> float:
        names, least = self.s.symbols, math.inf
        for group in groups.values():
            if names[k] in group["symbols"]:
                used = sum(abs(notionals[names.index(each)]) for each in group["symbols"])
                least = min(least, room(group["max"], used))
        return least

    def _alike(self, k: int, side: int, keys: Mapping[str, Any], notionals: list[float]) -> float:
        """Notional of what moves with a symbol, sides counted in, itself included."""
        used = abs(notionals[k])
        for other, notional in enumerate(notionals):
            if other == k or notional == 0.0:
                continue
            toward = 1.0 if notional > 0.0 else -1.0
            value = side * toward * self._correlation(k, other, int(str(keys["window"]).split()[0]))
            if value > keys["above"] or math.isnan(value):
                used += abs(notional)
        return used

    def _correlation(self, a: int, b: int, window: int) -> float:
        """Correlation of log returns over the common bars of the last `window` times."""
        run = self.run
        now = run.curve[-1][0]
        at = run.times.index(now)
        x: list[float] = []
        y: list[float] = []
        common = [t for t in run.times[max(0, at - window) : at + 1]
                  if t in run.rows[a] and t in run.rows[b]]  # fmt: skip
        for before, t in pairwise(common):
            for k, into in ((a, x), (b, y)):
                closes, rows = run.bars[k].close, run.rows[k]
                into.append(math.log(float(closes[rows[t]]) / float(closes[rows[before]])))
        if len(x) < 30:
            return NAN
        mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
        xx = math.fsum((u - mean_x) ** 2 for u in x)
        yy = math.fsum((v - mean_y) ** 2 for v in y)
        xy = math.fsum((u - mean_x) * (v - mean_y) for u, v in zip(x, y, strict=True))
        return xy / math.sqrt(xx * yy) if xx > 0.0 and yy > 0.0 else NAN

    def _style(self, side: int, price: float) -> tuple[str, float, float]:
        s = self.s
        limit = trigger = NAN
        if s.order == "limit":
            limit = price * (1.0 - side * s.offset)
        elif s.order != "market":
            trigger = price * (1.0 + side * s.offset)
            if s.order == "stop_limit":
                limit = trigger * (1.0 + side * s.slack)
        return s.order, rounded(limit, -side, s.tick), rounded(trigger, side, s.tick)

    def _wire(self, quantity: float, price: float, limit: float) -> str:
        limits = self.limits
        if self.run.sent >= max(1, limits["orders_per_minute"] // 2):
            return "orders_per_minute"
        if abs(limit / price - 1.0) > limits["price_collar"] + HAIR:
            return "price_collar"
        if quantity * price > limits.get("max_order_value", math.inf) * (1 + 1e-12):
            return "max_order_value"
        return ""
