"""The newest quote of a symbol: whether it is fresh, and whether decided bars contradict it."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["BEYOND", "FRESH_NS", "FROZEN_BARS", "NewestQuote"]

FRESH_NS: Final = 10_000_000_000
"""A quote or trade of this age or less is newer than any bar."""
NEVER_NS: Final = -(2**62)
FROZEN_BARS: Final = 2
"""A quote that stays the same over this many decided bars, all closed beyond it, is frozen. One
close may lie there by a sweep of the book that a stream of snapshots does not show."""
BEYOND: Final = 0.001
"""Beyond bid or ask by this share, and by the spread: further than prices of one instrument stay
apart at two venues, where the difference pays the fees of taking it."""


class NewestQuote(msgspec.Struct, array_like=True):
    """Bid and ask of a symbol, and when a quote or trade that may be used was received last.

    `changed` is whether the quote has changed since the newest decided bar, `beyond` how many
    decided bars have closed beyond it since.
    """

    bid: float = 0.0
    ask: float = 0.0
    received_ns: int = NEVER_NS
    changed: bool = True
    beyond: int = 0

    @property
    def is_frozen(self) -> bool:
        """Whether bars have contradicted the quote, which has not changed since."""
        return self.beyond >= FROZEN_BARS

    def is_fresh(self, now_ns: int) -> bool:
        """Whether a quote or trade is new enough to outweigh a bar."""
        return now_ns - self.received_ns <= FRESH_NS

    def take(self, bid: float, ask: float, now_ns: int) -> bool:
        """Take a quote; return whether it may be used."""
        if bid != self.bid or ask != self.ask:
            self.bid, self.ask, self.changed, self.beyond = bid, ask, True, 0
        elif self.is_frozen:
            return False
        self.received_ns = now_ns
        return True

    def compare(self, close: float, now_ns: int) -> bool:
        """Compare the quote with a decided close; return whether it counts as frozen from now on.

        Only quotes that arrive are frozen: a stream that sends changes alone is silent meanwhile.
        """
        changed, self.changed = self.changed, False
        if self.is_frozen or changed or not self.ask or not self.is_fresh(now_ns):
            return False
        bound = max(self.ask - self.bid, BEYOND * close)
        inside = self.bid - bound <= close <= self.ask + bound
        self.beyond = 0 if inside else self.beyond + 1
        if self.is_frozen:
            self.received_ns = NEVER_NS
        return self.is_frozen

    def frozen_text(self, close: float) -> str:
        """Return what the alert of frozen quotes states."""
        return (
            f"{self.bid:.12g} / {self.ask:.12g} did not change over {self.beyond} bars that closed "
            f"beyond it, the last at {close:.12g}: not used until it changes; levels are tested on "
            "closes"
        )
