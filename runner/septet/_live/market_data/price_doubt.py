"""Whether the prices of a new bar are plausible, given the bars before it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from septet._data.price_steps import is_spike_live
from septet._host.venues import BarSeen

__all__ = ["Doubt", "PriceDoubt"]

Doubt = Literal["", "absurd", "price_spike"]


@dataclass(slots=True)
class PriceDoubt:
    """The close of the last emitted bar, and a confirmed bar that was held back as a spike."""

    close: float = math.nan
    _spike_ns: int = -1
    _spike_close: float = math.nan

    def of(self, seen: BarSeen, jump: float, *, confirmed: bool) -> Doubt:
        """Return what is doubtful about the prices of a bar; empty for nothing.

        A bar with a price further than the share `jump` from the last close is absurd until the
        feed confirms it. A confirmed bar that meets the rule for spikes of history is held back
        until the next bar lies at its level as well.
        """
        bound = jump * self.close  # NaN before the first bar: no price is absurd
        top, bottom = self.close + bound, self.close - bound
        above = seen.high > top or seen.low > top or seen.open > top or seen.close > top
        below = seen.low < bottom or seen.high < bottom or seen.open < bottom or seen.close < bottom
        if not (above or below):
            return ""
        if not confirmed:
            return "absurd"
        spike_close = self._spike_close if self._spike_ns < seen.open_ns else math.nan
        if not is_spike_live(seen.high, seen.low, seen.close, self.close, spike_close):
            return ""
        self._spike_ns, self._spike_close = seen.open_ns, seen.close
        return "price_spike"

    def take(self, close: float) -> None:
        """Continue after an emitted bar."""
        self.close, self._spike_ns, self._spike_close = close, -1, math.nan
