"""The venue's order book: seeded levels around the price, reduced by orders, renewed by ticks."""

from __future__ import annotations

import random
from collections.abc import Iterator

from septet._drill.venue.amounts import SCALE, floor_to, units
from septet._drill.venue.config import SymbolConfig

__all__ = ["Book"]


class Book:
    """Bids and asks as {price: quantity} in units, best first; `update_id` counts changes."""

    def __init__(self, config: SymbolConfig, seed: int) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.update_id = 1
        self._draw = random.Random(f"{seed}:{config.id}:book")
        self._spread = max(config.spread_ticks, 1)
        self._levels = config.levels
        self._notional = units(config.level_notional)

    def renew(self, price: int, tick: int, lot: int) -> None:
        """Set new levels around a price: the best bid at or below it, the best ask above."""
        best = max(floor_to(price, tick), tick)
        typical = max(self._notional * SCALE // max(price, 1), lot)
        draw = self._draw.random
        self.bids, self.asks = {}, {}
        for level in range(self._levels):
            for side, at in (
                (self.bids, best - level * tick),
                (self.asks, best + (self._spread + level) * tick),
            ):
                if at > 0:
                    side[at] = max(floor_to(int(typical * (0.5 + draw())), lot), lot)
        self.update_id += 1

    def best(self) -> tuple[int, int, int, int]:
        """Return (bid, quantity, ask, quantity); 0 where a side is empty."""
        bid = next(iter(self.bids.items()), (0, 0))
        ask = next(iter(self.asks.items()), (0, 0))
        return (*bid, *ask)

    def reach(self, *, buys: bool, limit: int, share: int) -> Iterator[tuple[int, int]]:
        """Yield the (price, quantity) that an order may take now, best first.

        `limit` 0 is any price; `share` of each level is to be had, in units of one.
        """
        levels = self.asks if buys else self.bids
        for price, quantity in levels.items():
            if limit and (price > limit if buys else price < limit):
                break
            yield price, quantity * share // SCALE

    def take(self, *, buys: bool, price: int, quantity: int) -> None:
        """Remove what was executed from a level."""
        levels = self.asks if buys else self.bids
        left = levels[price] - quantity
        if left > 0:
            levels[price] = left
        else:
            del levels[price]
        self.update_id += 1
