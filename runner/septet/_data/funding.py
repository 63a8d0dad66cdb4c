"""Funding due between two instants: one function for a whole history and for a live bar."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["FundingRates"]


@dataclass
class FundingRates:
    """A constant rate, or a series of rates, each due once, at its stamp (UTC nanoseconds).

    A rate is a fraction of the notional, positive where longs pay. `rate` is due at each UTC
    multiple of `every_ns`.

    If several rates have the same stamp, the first one added counts.
    """

    rate: float = 0.0
    every_ns: int = 1
    points: list[tuple[int, float, int]] | None = field(default=None)
    """Due time (ascending), rate and stamp of each rate; None if the rate is constant."""

    def __post_init__(self) -> None:
        self._stamps = {stamp for _, _, stamp in self.points or ()}

    @classmethod
    def of_series(cls, stamp_ns: Sequence[int], value: Sequence[float]) -> FundingRates:
        """Return the rates of a series: stamps in UTC ns, rates as fractions of the notional."""
        rates = cls(points=[])
        for stamp, rate in zip(stamp_ns, value, strict=True):
            rates.add(stamp, rate)
        return rates

    def add(self, stamp_ns: int, value: float, not_before_ns: int = 0) -> None:
        """Add a rate (a fraction); one that arrives late is due at `not_before_ns` (UTC ns)."""
        if self.points is None:
            self.points = []
        if stamp_ns in self._stamps:
            return
        self._stamps.add(stamp_ns)
        insort(self.points, (max(stamp_ns, not_before_ns), value, stamp_ns), key=_due_ns)

    def restore(self, points: Iterable[tuple[int, float, int]] | None) -> None:
        """Restore the points of another instance."""
        self.points = None if points is None else list(points)
        self.__post_init__()

    def due(self, since_ns: int, until_ns: int) -> float:
        """Return the sum of the rates due in ``(since_ns, until_ns]``, a fraction, rounded once."""
        if until_ns <= since_ns:
            return 0.0
        if self.points is None:
            instants = until_ns // self.every_ns - since_ns // self.every_ns
            return instants * self.rate
        first = bisect_right(self.points, since_ns, key=_due_ns)
        last = bisect_right(self.points, until_ns, lo=first, key=_due_ns)
        return math.fsum(value for _, value, _ in self.points[first:last])


def _due_ns(point: tuple[int, float, int]) -> int:
    return point[0]
