"""Time of a live run: a wall clock that never goes back, and market time beside it.

After the machine's clock was set back, time advances at half speed until both agree again.

Strategies use market time, connections use wall time. They differ only in a drill, where a bar
labelled an hour lasts a second.
"""

from __future__ import annotations

import math
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from septet._host.venues import Clock
from septet._text import decode_json
from septet.errors import InputError, RunError

__all__ = [
    "Jump", "LiveClock", "ManualClock", "MarketOrigin", "ShortenedClock", "WallClock",
    "clock_from", "read_origin", "without_redirects",
]  # fmt: skip

JUMP_NS: Final = 500_000_000
_CATCH_UP: Final = 2
"""While the time given is ahead of the machine's, it goes at a half of its pace."""
_UNSURE_NS: Final = 600_000_000_000
"""So long a jump ahead is doubted: the machine may have slept, and the new time is right."""
_TIMEOUT_S: Final = 5.0
_LARGEST: Final = 65_536


class LiveClock(Clock, Protocol):
    """A clock that also gives the wall time at which a market time is reached."""

    def wall_of_market(self, market_ns: int) -> int:
        """Return the earliest wall time at which `market_ns` is reached, UTC nanoseconds."""
        ...

    def ahead_ns(self) -> int:
        """Return how far `now_ns` is ahead of the machine's clock after that was set back."""
        ...

    def uncertainty_ns(self) -> int:
        """Return how far `now_ns` may be ahead of true time, after a jump of the clock."""
        ...


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump: the system's clock moved by `by_ns` against the monotonic one (positive: ahead).

    Ahead means that the machine slept or its clock was set forward, and this time follows. Behind
    means that it was set back: this time advances at half the speed until the system's has caught
    up.
    """

    by_ns: int
    at_ns: int

    def __str__(self) -> str:
        seconds = abs(self.by_ns) / 1e9
        if self.by_ns > 0:
            return f"the clock jumped {seconds:.3f} s ahead: the machine slept or time was set"
        return f"the clock was set back by {seconds:.3f} s: time goes slower until both agree"


class WallClock:
    """UTC wall time carried by the monotonic clock, so that it never goes backwards.

    If the system's clock is set back, this time advances at half the speed, and agrees with the
    system's after twice the difference. Until then `ahead_ns` is the difference. If the system's
    clock jumps ahead it is unknown which time was right, that before or after: `uncertainty_ns` is
    the possible excess, for ten minutes.
    """

    speed: float = 1.0

    def __init__(
        self,
        *,
        bound_ns: int = JUMP_NS,
        wall: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Anchor at the system's time; a difference over `bound_ns` is a jump."""
        self._wall, self._monotonic, self._bound_ns = wall, monotonic, bound_ns
        self._offset_ns = wall() - monotonic()
        self._ahead_ns, self._since_ns = 0, 0
        self._jumped_ns, self._jumped_at_ns = 0, 0
        self.jumps = 0

    def now_ns(self) -> int:
        """Wall time, UTC nanoseconds."""
        monotonic_ns = self._monotonic()
        if self._ahead_ns:
            return monotonic_ns + self._offset_ns + self._left_ns(monotonic_ns)
        return monotonic_ns + self._offset_ns

    def market_ns(self) -> int:
        """Market time: the same as wall time."""
        return self.now_ns()

    def wall_of_market(self, market_ns: int) -> int:
        """Return the wall time of a market time: itself."""
        return market_ns

    def ahead_ns(self) -> int:
        """Return how far `now_ns` is ahead of the system's clock, because that was set back."""
        return self._left_ns(self._monotonic()) if self._ahead_ns else 0

    def uncertainty_ns(self) -> int:
        """Return how far `now_ns` may be ahead of true time."""
        if not (self._jumped_ns or self._ahead_ns):
            return 0
        monotonic_ns = self._monotonic()
        return self._left_ns(monotonic_ns) + self._doubted_ns(monotonic_ns)

    def check(self) -> Jump | None:
        """Compare with the system's clock; return a jump that was not reported before.

        To be called every second or so: a machine that slept is found at the first call after.
        """
        monotonic_ns = self._monotonic()
        offset = self._wall() - monotonic_ns
        left_ns = self._left_ns(monotonic_ns)
        by_ns = offset - self._offset_ns
        if abs(by_ns) <= self._bound_ns:
            if not left_ns:
                self._ahead_ns = 0
            return None
        self._jumped_ns = max(0, self._doubted_ns(monotonic_ns) + by_ns)
        self._jumped_at_ns = monotonic_ns
        self._ahead_ns, self._since_ns = max(0, left_ns - by_ns), monotonic_ns
        self._offset_ns = offset
        self.jumps += 1
        return Jump(by_ns, self.now_ns())

    def _left_ns(self, monotonic_ns: int) -> int:
        """Return how much of the difference is left at a time of the monotonic clock."""
        return max(0, self._ahead_ns - (monotonic_ns - self._since_ns) // _CATCH_UP)

    def _doubted_ns(self, monotonic_ns: int) -> int:
        """Return the uncertain part of the jumps ahead at a time of the monotonic clock."""
        recent = monotonic_ns - self._jumped_at_ns < _UNSURE_NS
        return self._jumped_ns if recent else 0


@dataclass(frozen=True, slots=True)
class MarketOrigin:
    """Market time at a wall time (both UTC ns), and its speed (market seconds per wall second).

    Raises
    ------
    InputError
        If the speed is not positive and finite.
    """

    wall_ns: int
    market_ns: int
    speed: float
    bar_ns: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.speed) and self.speed > 0.0):
            raise InputError(f"the speed of a market clock was {self.speed}, expected above 0")

    def market_of(self, wall_ns: int) -> int:
        """Market time at a wall time."""
        return self.market_ns + math.floor((wall_ns - self.wall_ns) * self.speed)

    def wall_of(self, market_ns: int) -> int:
        """Earliest wall time at which a market time is reached."""
        wall_ns = self.wall_ns + math.ceil((market_ns - self.market_ns) / self.speed)
        while self.market_of(wall_ns) < market_ns:  # a rounded quotient may be one step too small
            wall_ns += max(1, math.ceil((market_ns - self.market_of(wall_ns)) / self.speed))
        return wall_ns


class ShortenedClock:
    """A wall clock whose market time runs `speed` times as fast."""

    def __init__(self, origin: MarketOrigin, wall: WallClock | None = None) -> None:
        """Start market time at `origin`."""
        self.origin = origin
        self._wall = wall or WallClock()

    @property
    def speed(self) -> float:
        """Seconds of market time in a second of wall time."""
        return self.origin.speed

    def now_ns(self) -> int:
        """Wall time, UTC nanoseconds."""
        return self._wall.now_ns()

    def market_ns(self) -> int:
        """Market time, UTC nanoseconds."""
        return self.origin.market_of(self._wall.now_ns())

    def wall_of_market(self, market_ns: int) -> int:
        """Return the earliest wall time at which `market_ns` is reached."""
        return self.origin.wall_of(market_ns)

    def ahead_ns(self) -> int:
        """Return how far the wall clock is ahead of the machine's."""
        return self._wall.ahead_ns()

    def uncertainty_ns(self) -> int:
        """Return how far the wall clock may be ahead of true time."""
        return self._wall.uncertainty_ns()

    def check(self) -> Jump | None:
        """Return a jump of the wall clock that was not reported before."""
        return self._wall.check()


class ManualClock:
    """A clock that moves only when it is advanced, for tests and simulation."""

    def __init__(self, now_ns: int = 0, *, speed: float = 1.0, market_ns: int | None = None):
        """Start at a wall time; market time starts there as well unless it is given."""
        self.origin = MarketOrigin(now_ns, now_ns if market_ns is None else market_ns, speed)
        self._now_ns = now_ns

    @property
    def speed(self) -> float:
        """Seconds of market time in a second of wall time."""
        return self.origin.speed

    def now_ns(self) -> int:
        """Wall time, UTC nanoseconds."""
        return self._now_ns

    def market_ns(self) -> int:
        """Market time, UTC nanoseconds."""
        return self.origin.market_of(self._now_ns)

    def wall_of_market(self, market_ns: int) -> int:
        """Return the earliest wall time at which `market_ns` is reached."""
        return self.origin.wall_of(market_ns)

    def ahead_ns(self) -> int:
        """Return 0: there is no other clock."""
        return 0

    def uncertainty_ns(self) -> int:
        """Return 0: this clock is exact."""
        return 0

    def check(self) -> Jump | None:
        """Return None: this clock never jumps."""
        return None

    def advance(self, by_ns: int) -> None:
        """Advance time."""
        self.reach(self._now_ns + by_ns)

    def reach(self, now_ns: int) -> None:
        """Advance time to a wall time; an earlier time has no effect."""
        self._now_ns = max(self._now_ns, now_ns)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Turns a redirect into an error."""

    def redirect_request(self, *args: Any, **keys: Any) -> None:
        return None


def without_redirects() -> urllib.request.OpenerDirector:
    """Return a URL opener that follows no redirect."""
    return urllib.request.build_opener(_NoRedirects)


def read_origin(url: str) -> MarketOrigin:
    """Ask a local venue for its market clock: ``GET /septet/clock``.

    Raises
    ------
    RunError
        If it does not answer, or not with a clock.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise InputError(f"the address of a clock was {url}, expected http:// or https://")
    address = f"{parts.scheme}://{parts.netloc}/septet/clock"
    try:
        with without_redirects().open(address, timeout=_TIMEOUT_S) as answer:
            fields: Any = decode_json(answer.read(_LARGEST))
        return MarketOrigin(
            int(fields["wall_ns"]), int(fields["market_ns"]), float(fields["speed"]),
            int(fields.get("bar_ns", 0)),
        )  # fmt: skip
    except (OSError, urllib.error.URLError) as error:
        raise RunError(
            f"no clock at {address}: {error}", hint="is the local venue running?"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{address} gave no clock: {type(error).__name__}: {error}") from error


def clock_from(url: str) -> WallClock | ShortenedClock:
    """Return the clock of a local venue: shortened if its market is, otherwise wall time."""
    origin = read_origin(url)
    if origin.speed == 1.0 and origin.wall_ns == origin.market_ns:
        return WallClock()
    return ShortenedClock(origin)
