"""Detects dead streams by the age of their last data: a socket that answers pings may be dead."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from septet import messages as m
from septet._live.clock import LiveClock
from septet._live.market_data.feed_grid import Grid

__all__ = ["DialRules", "Redial", "Watchdog", "default_silences_ns"]


def default_silences_ns(
    bar_ns: int, speed: float, max_staleness_ns: int | None = None
) -> dict[str, int]:
    """Return how long each stream may be silent, wall time.

    Bars: after an expected close, as the file sets it, else a bar, two minutes at most. Trades,
    quotes and books: 30 s, less where bars are shorter.
    """
    wall = int(bar_ns / speed)
    bars = max_staleness_ns or min(120_000_000_000, max(1_000_000_000, wall))
    streams = min(30_000_000_000, max(2_000_000_000, wall))
    return {"bars": bars, "trades": streams, "quotes": streams, "book": streams}


_TIMES: Final = 8
"""How much longer each pause of a symbol alone is than the one before."""
_ITS_OWN: Final = 2
"""Reconnects after which a silence is taken for the symbol's own, if others are live."""


@dataclass(frozen=True, slots=True)
class DialRules:
    """Limits on reconnects of a feed: back-off with jitter, and a maximum per window.

    A reconnect interrupts every symbol. For the sake of one that is silent while others are live
    the pauses grow faster, up to `longest_alone_ns`.
    """

    first_ns: int = 1_000_000_000
    longest_ns: int = 60_000_000_000
    down_patience_ns: int = 30_000_000_000
    most: int = 12
    window_ns: int = 600_000_000_000
    stable_ns: int = 60_000_000_000
    longest_alone_ns: int = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Redial:
    """A request to close the feed and open it again; `number` counts the tries in a row."""

    number: int
    reason: str


@dataclass(slots=True)
class _Stream:
    name: str
    symbol: int
    grid: Grid
    silent_ns: int
    received_ns: int
    """When its last data came: by the wall, and in market time."""
    received_market_ns: int
    state: Literal["live", "stale", "down"] = "down"
    received: bool = False
    since_ns: int = 0
    unlisted: bool = False
    tries: int = 0
    """Reconnects for the sake of its symbol since it was last live for a while."""
    tried_ns: int = 0
    dial_ns: int = 0
    """When the next may follow, as far as this stream is concerned."""


class Watchdog:
    """Watches every stream of a feed by its last data.

    A stream that went stale or down is live again once a message has come and nothing is missing
    of its symbol. Silence while the market is closed does not count.
    """

    def __init__(
        self,
        clock: LiveClock,
        *,
        behind: Callable[[int], bool] = lambda symbol: False,
        seed: int = 0,
        rules: DialRules | None = None,
    ) -> None:
        """Start without streams.

        `behind` states whether bars of a symbol are still missing; `seed` draws the jitter.
        """
        self._clock, self._behind, self._rules = clock, behind, rules or DialRules()
        self._streams: dict[tuple[str, int], _Stream] = {}
        self._draw = random.Random(seed)
        self._dials: deque[int] = deque()
        self._tries, self._dial_ns, self._well_since_ns = 0, 0, 0

    def watch(self, name: str, symbols: Sequence[Grid], silent_ns: int) -> list[m.FeedChanged]:
        """Expect data of a stream for every symbol; it is down until its first message."""
        now, market, changes = self._clock.now_ns(), self._clock.market_ns(), []
        for k, grid in enumerate(symbols):
            stream = _Stream(name, k, grid, silent_ns, now, market, since_ns=now)
            self._streams[name, k] = stream
            changes.append(self._changed(stream, "down", "no message yet", now))
        self._dial_ns = now + silent_ns
        return changes

    def received(
        self, name: str, symbol: int, now_ns: int, market_ns: int
    ) -> Sequence[m.FeedChanged]:
        """Record data of a stream; return that it is live, if it was not."""
        stream = self._streams.get((name, symbol))
        if stream is None:
            return ()
        stream.received, stream.unlisted = True, False
        stream.received_ns, stream.received_market_ns = now_ns, market_ns
        # Data keeps a live stream live; `check` computes how long it may be silent.
        return () if stream.state == "live" else self._changes_of(stream, now_ns)

    def down(
        self, name: str, symbol: int, reason: str, now_ns: int, *, unlisted: bool = False
    ) -> list[m.FeedChanged]:
        """Record that a stream ended, as its feed reports; -1 stands for all symbols.

        An `unlisted` one needs no reconnect: there is nothing to connect to.
        """
        changes = []
        for stream in self._streams.values():
            if name in ("", stream.name) and symbol in (-1, stream.symbol):
                stream.received = False
                if stream.state != "down" or (unlisted and not stream.unlisted):
                    down = self._changed(stream, "down", reason, now_ns, unlisted=unlisted)
                    changes.append(down)
                stream.unlisted |= unlisted
        return changes

    def check(self, now_ns: int) -> list[m.FeedChanged]:
        """Return what changed: streams that fell silent, and streams that recovered."""
        return [
            event for stream in self._streams.values() for event in self._changes_of(stream, now_ns)
        ]

    def _changes_of(self, stream: _Stream, now_ns: int) -> list[m.FeedChanged]:
        silent = now_ns > self._deadline(stream)
        stream.received = stream.received and not silent
        if stream.state == "live" and silent:
            return [self._changed(stream, "stale", f"no data of {stream.name}", now_ns)]
        if stream.state != "live" and stream.received and not self._behind(stream.symbol):
            return [self._changed(stream, "live", "", now_ns)]
        return []

    def redial(self) -> Redial | None:
        """Return a request to reconnect the feed, if a stream needs it and the limits allow it."""
        now, rules = self._clock.now_ns(), self._rules
        ill = [each for each in self._streams.values() if self._needs_dial(each, now)]
        if not ill:
            if all(
                each.state == "live" or each.unlisted or each.tries >= _ITS_OWN
                for each in self._streams.values()
            ):
                self._well_since_ns = self._well_since_ns or now
                if now - self._well_since_ns >= rules.stable_ns:
                    self._tries = 0
            return None
        self._well_since_ns = 0
        while self._dials and now - self._dials[0] >= rules.window_ns:
            self._dials.popleft()
        if now < self._dial_ns or len(self._dials) >= rules.most:
            return None
        self._dials.append(now)
        self._tries += 1
        self._space(ill, now)
        wait = min(rules.longest_ns, rules.first_ns * 2 ** min(self._tries - 1, 20))
        self._dial_ns = now + int(wait * self._draw.uniform(0.75, 1.25))
        names = sorted({each.name for each in ill})
        return Redial(self._tries, f"no data of {', '.join(names)}")

    def _space(self, ill: Sequence[_Stream], now_ns: int) -> None:
        """Count a reconnect for the symbols it is for; one that is silent alone waits long."""
        rules, symbols = self._rules, {each.symbol for each in ill}
        others = (each for each in self._streams.values() if each.symbol not in symbols)
        alone = any(each.state == "live" for each in others)
        for each in self._streams.values():
            if each.symbol in symbols:  # its other streams were connected anew with the ill one
                each.tries, each.tried_ns = each.tries + 1, now_ns
                wait = min(rules.longest_alone_ns, rules.first_ns * _TIMES ** min(each.tries, 20))
                each.dial_ns = now_ns + wait if alone else each.dial_ns

    def is_any_live(self) -> bool:
        """Whether a stream brings data."""
        return any(each.state == "live" for each in self._streams.values())

    def is_watched(self, symbol: int) -> bool:
        """Whether a stream of a symbol brings data, or none can: closed, or not listed any more."""
        streams = [each for each in self._streams.values() if each.symbol == symbol]
        market_ns = self._clock.market_ns()
        return any(
            each.state == "live"
            or each.unlisted
            or each.grid.known_after(market_ns).open_ns > market_ns
            for each in streams
        )

    def next_wall_ns(self) -> int | None:
        """Return when `check` and `redial` should be called next, None if nothing is watched."""
        now = self._clock.now_ns()
        live = [each for each in self._streams.values() if each.state == "live"]
        times = [self._deadline(each) + 1 for each in live]
        if len(times) < len(self._streams):
            bound = 0
            if len(self._dials) >= self._rules.most:
                bound = self._dials[0] + self._rules.window_ns
            times.append(max(self._dial_ns, bound, now + self._rules.first_ns))
        return min(times, default=None)

    # ------------------------------------------------------------------------------------

    def _needs_dial(self, stream: _Stream, now_ns: int) -> bool:
        """Whether a stream is silent or down for long, and its feed does not recover it."""
        if stream.state == "live" or stream.received or stream.unlisted:
            return False
        if now_ns < stream.dial_ns:
            return False
        if stream.state == "stale":
            return True
        closed = now_ns <= self._deadline(stream)
        return not closed and now_ns - stream.since_ns >= self._rules.down_patience_ns

    def _deadline(self, stream: _Stream) -> int:
        """Return until when silence is normal: after the next close, or from the next open."""
        slot = stream.grid.known_after(stream.received_market_ns)
        if stream.name == "bars":
            return self._clock.wall_of_market(slot.known_ns) + stream.silent_ns
        if slot.open_ns <= stream.received_market_ns:
            return stream.received_ns + stream.silent_ns
        return self._clock.wall_of_market(slot.open_ns) + stream.silent_ns

    def _changed(
        self, stream: _Stream, state: Literal["live", "stale", "down"], reason: str, now_ns: int,
        *, unlisted: bool = False,
    ) -> m.FeedChanged:  # fmt: skip
        steady_ns = now_ns - max(stream.since_ns, stream.tried_ns)
        if stream.state == "live" and steady_ns >= self._rules.stable_ns:
            stream.tries = stream.dial_ns = 0
        stream.state, stream.since_ns = state, now_ns
        return m.FeedChanged(
            at_ns=now_ns, stream=stream.name, symbol=stream.symbol, state=state, reason=reason,
            unlisted=unlisted,
        )  # fmt: skip
