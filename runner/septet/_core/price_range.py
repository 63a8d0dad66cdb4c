"""The range of plausible execution prices, from known market prices and the order."""

from __future__ import annotations

import math
from typing import Final

import msgspec

__all__ = ["FAR", "FAR_FACTOR", "PriceRange"]

FAR: Final = 0.1
"""An execution may be this share beyond the prices known of the last minutes."""
FAR_FACTOR: Final = 5.0
"""And this factor beyond them where no price is fresh."""
SPAN_NS: Final = 120_000_000_000
"""The range of known prices goes back at least so far, and at most twice as far."""


class PriceRange(msgspec.Struct, array_like=True):
    """Lowest and highest known price of a symbol, of the newest span and of the one before it."""

    since_ns: int = 0
    low: float = 0.0
    high: float = 0.0
    old_low: float = 0.0
    old_high: float = 0.0

    def widen(self, low: float, high: float, now_ns: int) -> None:
        """Add the prices of this moment to the range."""
        age_ns = now_ns - self.since_ns
        if age_ns > SPAN_NS or not self.high:
            recent = age_ns <= 2 * SPAN_NS and self.high > 0.0
            self.old_low, self.old_high = (self.low, self.high) if recent else (low, high)
            self.since_ns, self.low, self.high = now_ns, low, high
            return
        if low < self.low:
            self.low = low
        if high > self.high:
            self.high = high

    def bounds(self, price: float, now_ns: int, *, fresh: bool) -> tuple[float, float]:
        """Return the lowest and highest plausible execution price; unbounded without a known price.

        Parameters
        ----------
        price
            The newest known price (quote), 0 for none.
        now_ns
            Wall time.
        fresh
            Whether that price is new enough for an entry.
        """
        if price <= 0.0:
            return 0.0, math.inf
        low = high = price
        age_ns = now_ns - self.since_ns
        if self.high and age_ns <= 2 * SPAN_NS:
            low, high = min(low, self.low), max(high, self.high)
            if age_ns <= SPAN_NS:
                low, high = min(low, self.old_low), max(high, self.old_high)
        if not fresh:
            return low / FAR_FACTOR, high * FAR_FACTOR
        return low * (1.0 - FAR), high * (1.0 + FAR)
