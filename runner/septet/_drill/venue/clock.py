"""Time at the venue: wall time for requests, market time for prices."""

from __future__ import annotations

import time

__all__ = ["MarketClock"]


class MarketClock:
    """Market time = origin + (wall - start) * speed; while paused it is the time that was set."""

    def __init__(self, origin_ns: int, bar_ns: int, bar_wall_ns: int, *, paused: bool) -> None:
        self.origin_ns = origin_ns
        self.bar_ns = bar_ns
        self.bar_wall_ns = bar_wall_ns
        self.paused = paused
        self._start_ns = self.wall_ns()
        self._stands_ns = origin_ns

    @property
    def speed(self) -> float:
        """Seconds of market time in a second of wall time."""
        return self.bar_ns / self.bar_wall_ns

    @staticmethod
    def wall_ns() -> int:
        """Wall time, UTC nanoseconds."""
        return time.time_ns()

    def market_ns(self) -> int:
        """Market time, UTC nanoseconds."""
        return self._stands_ns if self.paused else self.market_at(self.wall_ns())

    def market_at(self, wall_ns: int) -> int:
        """Market time at a wall time, while time runs."""
        return self.origin_ns + (wall_ns - self._start_ns) * self.bar_ns // self.bar_wall_ns

    def wall_at(self, market_ns: int) -> int:
        """Wall time at a market time, while time runs."""
        return self._start_ns + (market_ns - self.origin_ns) * self.bar_wall_ns // self.bar_ns

    def put(self, market_ns: int) -> None:
        """Move paused time."""
        self._stands_ns = market_ns

    def run(self) -> None:
        """Continue paused time."""
        if self.paused:
            gone = (self._stands_ns - self.origin_ns) * self.bar_wall_ns // self.bar_ns
            self._start_ns = self.wall_ns() - gone
            self.paused = False

    def pause(self) -> None:
        """Stop market time where it is."""
        if not self.paused:
            self._stands_ns = self.market_ns()
            self.paused = True
