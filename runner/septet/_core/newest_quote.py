"""The newest quote of a symbol: whether it is fresh, and whether decided bars contradict it."""

from __future__ import annotations

import math
from typing import Final

import msgspec

__all__ = ["BARS", "BEYOND", "FRESH_NS", "LASTING_NS", "NewestQuote"]

FRESH_NS: Final = 10_000_000_000
"""A quote or trade of this age or less is newer than any bar."""
NEVER_NS: Final = -(2**62)
BARS: Final = 2
"""Quotes are contradicted once this many decided bars in a row, and those of `LASTING_NS`, have
closed beyond all of them. One close may lie there by a sweep of the book that a stream of snapshots
does not show, and closes of very short bars by the time that a quote is under way."""
LASTING_NS: Final = 10_000_000_000
BEYOND: Final = 0.001
"""Beyond bid or ask by this share, and by the spread: further than prices of one instrument stay
apart at two venues, where the difference pays the fees of taking it."""


class NewestQuote(msgspec.Struct, array_like=True):
    """Bid and ask of a symbol, and when a quote or trade that may be used was received last.

    `low` and `high` are the lowest bid and the highest ask since the newest decided bar. `beyond`
    is how many such bars in a row have closed beyond all quotes of their time, and `close` the last
    close that did; `since_ns` is when the first was decided on. `is_contradicted` is whether
    they count no more: no quote has come near a close since. `is_traded` is whether the newest bar
    has volume: the close of one that has none is a price of an earlier time. `executed` is the
    price of the run's own last execution, and `executed_ns` its time.
    """

    bid: float = 0.0
    ask: float = 0.0
    received_ns: int = NEVER_NS
    low: float = math.inf
    high: float = 0.0
    beyond: int = 0
    close: float = 0.0
    is_traded: bool = True
    since_ns: int = 0
    is_contradicted: bool = False
    executed: float = 0.0
    executed_ns: int = NEVER_NS

    def is_fresh(self, now_ns: int) -> bool:
        """Whether a quote or trade is new enough to outweigh a bar."""
        return now_ns - self.received_ns <= FRESH_NS

    def is_executed_off(self, price: float, share: float, now_ns: int) -> bool:
        """Whether the run itself has just traded further from a price than a share of it.

        Quotes and bars may be late, above all when prices fall fast; an execution is not.
        """
        is_new = now_ns - self.executed_ns <= FRESH_NS
        return is_new and not abs(self.executed - price) <= share * price

    def take(self, bid: float, ask: float, now_ns: int) -> bool:
        """Take a quote; return whether it may be used."""
        self.bid, self.ask = bid, ask
        self.low, self.high = min(self.low, bid), max(self.high, ask)
        if not self.may_use(bid, ask):
            return False
        if self.is_contradicted:
            self.beyond, self.is_contradicted = 0, False
        self.received_ns = now_ns
        return True

    def may_use(self, bid: float, ask: float) -> bool:
        """Whether a quote that arrives may be used: bars do not contradict it."""
        return not self.is_contradicted or self._is_near(bid, ask, self.close)

    def compare(self, close: float, now_ns: int) -> bool:
        """Compare the quotes of a bar with its close; return whether they count no more from now.

        Only quotes that arrive are compared: a stream that sends changes alone is silent meanwhile.
        """
        low, high, before = self.low, self.high, self.is_contradicted
        self.low, self.high = math.inf, 0.0
        if not high or not self.is_traded or not (before or self.is_fresh(now_ns)):
            return False
        if self._is_near(low, high, close):
            self.beyond, self.is_contradicted = 0, False
            return False
        self.since_ns = self.since_ns if self.beyond else now_ns
        self.beyond, self.close = self.beyond + 1, close
        if self.beyond >= BARS and now_ns - self.since_ns >= LASTING_NS:
            self.is_contradicted, self.received_ns = True, NEVER_NS
        return self.is_contradicted and not before

    def _is_near(self, low: float, high: float, close: float) -> bool:
        """Whether a close lies between two quotes, or as near to them as prices of one time do."""
        bound = max(self.ask - self.bid, BEYOND * close)
        return low - bound <= close <= high + bound

    def contradiction(self, close: float) -> str:
        """Return what the alert of contradicted quotes states."""
        return (
            f"{self.beyond} bars closed beyond all quotes of their time, the last at {close:.12g} "
            f"while quotes were {self.bid:.12g} / {self.ask:.12g}: these are not used until one "
            "comes near a close; levels are tested on closes"
        )
