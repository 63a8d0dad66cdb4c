"""How orders of the reference meet a bar: at its open, and inside it; part of `Reference`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tests.core.book import NAN, Account, Order, at_or_below, rounded
from tests.core.settings import HOUR, Bars, Settings

__all__ = ["Matching"]


class Matching:
    """At what price an order fills in a bar, and which entries have found no open in time."""

    s: Settings
    bars: Sequence[Bars]
    account: Account
    times: list[int]
    sources: list[list[bool]]
    _execute: Any
    _expire: Any

    def _cost(self, side: float, price: float) -> float:
        return rounded(price * (1.0 + side * self.s.slippage), side, self.s.tick)

    def _missed(self, k: int, i: int, order: Order) -> int:
        """Scheduled opens that did not exist since the order could have filled."""
        opens = self.bars[k].open_ns
        missing = (int(opens[i]) - int(opens[i - 1])) // HOUR - 1
        if self.sources[k][i - 1]:
            missing += 1
        return missing - max(0, (order.active_ns - int(opens[i - 1]) - HOUR) // HOUR)

    def _bars_left_at(self, k: int, i: int, order: Order) -> int:
        """Time in force (bars) of an entry at this open, none once it has found no open in time."""
        opens = self.bars[k].open_ns
        if order.kind == "market" and int(opens[i - 1]) < order.active_ns:
            return order.bars_left if int(opens[i]) - order.active_ns < HOUR else 0
        return order.bars_left - max(0, self._missed(k, i, order))

    def _expire_without_open(self, k: int, now: int) -> None:
        """End the entry that has found no open in time, where the symbol has no bar now.

        At market that is one bar, else the time in force; scheduled bars count once they should
        have been known.
        """
        opens = self.bars[k].open_ns
        last = int(opens[opens < now - HOUR].max(initial=-1))
        order, queued = self.account.orders[k], self.account.queued[k]
        for each in (order, queued):
            if each is None or each.reduces:
                continue
            known = [t for t in self.times if last + HOUR < t <= now]
            missed = sum(t - HOUR >= each.active_ns for t in known)
            at_market = each.kind == "market" and last < each.active_ns
            if not missed or (each.bars_left > missed and not at_market):
                continue
            if each is order:
                self._expire(k, "no_market", now)
            else:
                self.account.drop(k, "expired", "no_market", now)

    def _expire_flip(self, k: int, i: int) -> None:
        """Fill the exit that replaces a flip without an open in time: it is a reduction."""
        order, open_ns = self.account.orders[k], int(self.bars[k].open_ns[i])
        if order is None or order.reduces or open_ns < order.active_ns:
            return
        flips = order.units * self.account.positions[k].units < 0
        if flips and self._bars_left_at(k, i, order) <= 0:
            self._expire(k, "no_market", open_ns)
            if self.account.orders[k] is not None:
                self._meet_open(k, i)

    def _meet_open(self, k: int, i: int) -> None:
        book, bars = self.account, self.bars[k]
        order = book.orders[k]
        open_ns = int(bars.open_ns[i])
        if open_ns < order.active_ns:
            return
        if not order.reduces:
            order.bars_left = self._bars_left_at(k, i, order)
            if order.bars_left <= 0:
                self._expire(k, "no_market", open_ns)
                if book.orders[k] is None:
                    return
        side = 1.0 if order.units > 0 else -1.0
        arrives = not order.reduces and int(bars.open_ns[i - 1]) < order.active_ns
        price, maker = self._price_at_open(order, side, float(bars.open[i]), arrives)
        if not math.isnan(price):
            self._execute(k, i, price, maker, open_ns, inside=False)
        elif order.kind == "stop_limit" and at_or_below(float(bars.open[i]), order.trigger, -side):
            order.kind = "limit"

    def _price_at_open(
        self, order: Order, side: float, opened: float, arrives: bool
    ) -> tuple[float, bool]:
        if order.kind in ("stop", "stop_limit") and not at_or_below(opened, order.trigger, -side):
            return NAN, False
        taker_price = self._cost(side, opened)
        if order.kind in ("market", "stop"):
            return taker_price, False
        if at_or_below(opened, order.limit, -side):
            return NAN, False
        if order.kind == "limit" and not arrives:
            return opened, True
        return (taker_price if side * (order.limit - taker_price) > 0.0 else order.limit), False

    def _meet_within(self, k: int, i: int, now: int) -> None:
        bars, order = self.bars[k], self.account.orders[k]
        side = 1.0 if order.units > 0 else -1.0
        high, low = float(bars.high[i]), float(bars.low[i])
        toward, away = (low, high) if side > 0 else (high, low)
        if order.kind == "limit":
            if not at_or_below(toward, order.limit, -side):
                self._execute(k, i, order.limit, True, now, inside=True)
            return
        if not at_or_below(away, order.trigger, -side):
            return
        price = self._cost(side, order.trigger)
        if order.kind == "stop_limit":
            if side * (order.limit - order.trigger) < 0.0:  # rounding to the tick parted them
                order.kind = "limit"
                return
            price = price if side * (order.limit - price) > 0.0 else order.limit
        self._execute(k, i, price, False, now, inside=True)
