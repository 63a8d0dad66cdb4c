"""Recent fills of a symbol, by which a read of the account that lags is recognised."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

import msgspec

from septet import messages as m

__all__ = ["LARGEST_FEE", "MOST_FILLS", "Fill", "RecentFills"]

MOST_FILLS: Final = 4_096
"""Most fills of a symbol that a comparison with the account looks back on."""
LARGEST_FEE: Final = 0.05
"""Of a fill's quantity; a larger number is a fee in another currency."""
Fill = tuple[int, int, float, float]
_venue_ns = itemgetter(1)


class RecentFills(msgspec.Struct, array_like=True):
    """Recent fills of a symbol that a stale read of the account may not show.

    Each is when it was booked (when it happened, if a list showed it), when it happened at the
    venue, what it moved (signed), and what a fee in the base currency may have taken of that.
    `dropped_ns` is when the newest of those was booked that were too many to keep.
    """

    fills: list[Fill] = []
    dropped_ns: int = -1

    def add(self, fill: m.Filled, now_ns: int, keep_ns: int) -> None:
        """Remember a fill, and forget those booked longer ago than `keep_ns`."""
        moved = fill.quantity if fill.side == "buy" else -fill.quantity
        fee = fill.fee if fill.fee <= LARGEST_FEE * fill.quantity else 0.0
        fills = self.fills
        since_ns = min(now_ns, fill.venue_ns) if fill.listed else now_ns
        insort(fills, (since_ns, fill.venue_ns, moved, fee))
        old = bisect_left(fills, (now_ns - keep_ns,))
        if len(fills) - old > MOST_FILLS:
            old = len(fills) - MOST_FILLS // 2
            self.dropped_ns = fills[old - 1][0]
        if old > MOST_FILLS // 2 or fills[0][0] < now_ns - 2 * keep_ns:
            del fills[:old]

    def lags(self, since_ns: int, others: Sequence[Fill] = ()) -> list[tuple[float, float]]:
        """Return the position at each instant since a wall time, relative to now, as bounds.

        Fills go back in the venue's order; of those of one instant any may have come first.
        With fills of other strategies it is the position of all of them.
        """
        if self.dropped_ns >= since_ns:
            return [(-math.inf, math.inf)]
        back = [each for each in (*self.fills, *others) if each[0] >= since_ns]
        back.sort(key=_venue_ns)
        bounds, start, spare = [(0.0, 0.0)], 0.0, 0.0
        for _, together in groupby(reversed(back), key=_venue_ns):
            bought = sold = 0.0
            count = 0
            for _, _, moved, fee in together:
                bought, sold, spare = bought + max(moved, 0.0), sold - min(moved, 0.0), spare + fee
                count += 1
            if (bought > 0.0 and sold > 0.0) or (others and count > 1):
                bounds.append((start - bought - spare, start + sold + spare))
            start += sold - bought
            bounds.append((start - spare, start + spare))
        return bounds
