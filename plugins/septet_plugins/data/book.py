"""Order book built from a snapshot and numbered differences.

It is either correct or marked invalid.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

__all__ = ["Book", "Levels"]

Levels = Iterable[Sequence[Any]]
"""Price and quantity, as texts or numbers; further elements of a row are ignored."""
_BUFFERED: Final = 20_000
_DEEPEST: Final = 10_000


class _Side:
    """Levels of one side, best first; `sign` is -1 for bids."""

    __slots__ = ("_sign", "keys", "sizes")

    def __init__(self, sign: float) -> None:
        self._sign = sign
        self.keys: list[float] = []
        self.sizes: dict[float, float] = {}

    def take(self, levels: Levels) -> str:
        """Apply levels (quantity 0 removes one); return the text of an invalid level, if any."""
        sign, keys, sizes = self._sign, self.keys, self.sizes
        for level in levels:
            try:
                price, quantity = float(level[0]), float(level[1])
            except (TypeError, ValueError, IndexError):
                return f"a level is no number: {level!r}"
            if not (0.0 < price < math.inf and 0.0 <= quantity < math.inf):
                return f"a level is no price or quantity: {level!r}"
            key = sign * price
            if quantity == 0.0:
                if sizes.pop(key, None) is not None:
                    del keys[bisect_left(keys, key)]
                continue
            if key not in sizes:
                insort(keys, key)
            sizes[key] = quantity
            if len(keys) > _DEEPEST:
                del sizes[keys.pop()]
        return ""

    def top(self, count: int) -> tuple[tuple[float, float], ...]:
        sign, sizes = self._sign, self.sizes
        return tuple([(sign * key, sizes[key]) for key in self.keys[:count]])


class Book:
    """An order book that reports when it is invalid, and why.

    Each difference contains the first and last number of its changes, as Binance sends them: each
    must begin where the previous one ended. Differences are stored until a snapshot matches them. A
    gap, a level with an invalid price, or a crossed book makes the book invalid until the next
    snapshot.
    """

    def __init__(self) -> None:
        self._bids, self._asks = _Side(-1.0), _Side(1.0)
        self._waiting: deque[tuple[int, int, list[Any], list[Any], int | None]] = deque(
            maxlen=_BUFFERED
        )
        self.last_id = 0
        self.valid = False
        self.reason = "no snapshot yet"
        self.gaps = 0
        self._fresh = False  # no difference since the snapshot: the first may overlap it

    def snapshot(self, last_id: int, bids: Levels, asks: Levels) -> bool:
        """Start from a snapshot, then apply stored differences; return whether the book is valid.

        A snapshot older than the stored differences leaves a gap: another snapshot is needed.
        """
        if self.valid and last_id < self.last_id:
            return True  # the book is newer than the snapshot and has no gap
        self._bids, self._asks = _Side(-1.0), _Side(1.0)
        self.last_id, self.valid, self.reason = last_id, True, ""
        fresh = True
        if not self._apply(bids, asks):
            return False
        waiting, self._waiting = self._waiting, deque(maxlen=_BUFFERED)
        for first, last, some_bids, some_asks, previous in waiting:
            if last <= last_id:
                continue
            self._follow(first, last, some_bids, some_asks, previous, overlap=fresh)
            fresh = False
        if self.valid:
            self._fresh = fresh
        return self.valid

    def update(
        self,
        first_id: int,
        last_id: int,
        bids: Levels,
        asks: Levels,
        previous_id: int | None = None,
    ) -> bool:
        """Apply a difference, or store it while the book is invalid; return whether it is valid.

        `previous_id` is the venue's number of the previous difference (futures), if it is given.
        """
        if not self.valid:
            self._waiting.append((first_id, last_id, list(bids), list(asks), previous_id))
            return False
        if last_id <= self.last_id:
            return True
        self._follow(first_id, last_id, list(bids), list(asks), previous_id, overlap=self._fresh)
        self._fresh = False
        return self.valid

    def _follow(
        self, first: int, last: int, bids: list[Any], asks: list[Any], previous: int | None, *,
        overlap: bool,
    ) -> None:  # fmt: skip
        expected = self.last_id + 1
        if not self.valid:
            self._waiting.append((first, last, bids, asks, previous))
            return
        if previous is None:
            joined = first == expected or (overlap and first <= expected <= last)
        else:
            joined = previous == self.last_id or (overlap and first <= self.last_id <= last)
        if not joined:
            self.gaps += 1
            self._invalid(f"changes {expected} to {first - 1} are missing")
            self._waiting.append((first, last, bids, asks, previous))
            return
        if self._apply(bids, asks):
            self.last_id = last

    def _apply(self, bids: Levels, asks: Levels) -> bool:
        fault = self._bids.take(bids) or self._asks.take(asks)
        if fault:
            return self._invalid(fault)
        if self._bids.keys and self._asks.keys and -self._bids.keys[0] >= self._asks.keys[0]:
            return self._invalid(f"crossed: {-self._bids.keys[0]:g} >= {self._asks.keys[0]:g}")
        return True

    def _invalid(self, reason: str) -> bool:
        self.valid, self.reason = False, reason
        return False

    def reset(self, reason: str) -> None:
        """Clear the book after its connection was closed."""
        self._waiting.clear()
        self._invalid(reason)

    def top(self, count: int) -> tuple[tuple[tuple[float, float], ...], ...]:
        """Return bids and asks, (price, quantity) each, best first.

        Only valid while the book is.
        """
        if not self.valid:
            raise ValueError(f"the book is not valid: {self.reason}")
        return self._bids.top(count), self._asks.top(count)

    def depth(self) -> tuple[int, int]:
        """Return the number of levels of each side."""
        return len(self._bids.keys), len(self._asks.keys)
