"""What funding is due between two instants: one function for a whole tape and for a live bar."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["FundingRates"]


@dataclass
class FundingRates:
    """A constant rate, or a series of rates, each due at its stamp (UTC nanoseconds)."""

    rate: float = 0.0
    every_ns: int = 1
    points: list[tuple[int, float]] | None = field(default=None)
    """Stamps, rising, and rates; None where the rate is constant."""

    @classmethod
    def of_series(cls, stamp_ns: Sequence[int], value: Sequence[float]) -> FundingRates:
        """Return the rates of a series."""
        return cls(points=list(zip(stamp_ns, value, strict=True)))

    def add(self, stamp_ns: int, value: float) -> None:
        """Take a rate of the series."""
        if self.points is None:
            self.points = []
        insort(self.points, (stamp_ns, value), key=_stamp)

    def due(self, since_ns: int, until_ns: int) -> float:
        """Sum of the rates due after one instant and up to another, rounded once."""
        if until_ns <= since_ns:
            return 0.0
        if self.points is None:
            instants = until_ns // self.every_ns - since_ns // self.every_ns
            return instants * self.rate
        first = bisect_right(self.points, since_ns, key=_stamp)
        last = bisect_right(self.points, until_ns, lo=first, key=_stamp)
        return math.fsum(value for _, value in self.points[first:last])


def _stamp(point: tuple[int, float]) -> int:
    return point[0]
