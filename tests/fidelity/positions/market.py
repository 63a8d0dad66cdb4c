"""What the reference sees of a market: bars of each symbol and columns of features."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.exact_fraction import Fraction
from tests.fidelity.positions.exact import exact

__all__ = ["DAY", "DELISTED_AFTER", "HOUR", "MINUTE", "START", "Bar", "Market", "bars_of"]

MINUTE = 60_000_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 1_609_718_400_000_000_000  # 2021-01-04 00:00 UTC, a Monday

DELISTED_AFTER = 20
"""Bars without one after which a symbol's bars have ended: the default of `delisted_after`."""


@dataclass(frozen=True)
class Bar:
    """One bar; prices are exact decimals."""

    open_ns: int
    open: Fraction
    high: Fraction
    low: Fraction
    close: Fraction
    volume: Fraction = Fraction(10**9)


@dataclass(frozen=True, repr=False)
class Market:
    """Bars by symbol, in universe order, and features: name -> symbol -> one value a bar.

    Instants in `late` mark rows that were decided too late: (symbol, T). `fine` are shorter bars.
    A symbol trades in the sessions of its calendar, where `calendars` names one, else always.
    """

    bar_ns: int
    bars: Mapping[str, Sequence[Bar]]
    features: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    late: frozenset[tuple[str, int]] = frozenset()
    fine: Mapping[str, Sequence[Bar]] = field(default_factory=dict)
    fine_ns: int = 0
    calendars: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, columns in self.features.items():
            for symbol, column in columns.items():
                if len(column) != len(self.bars[symbol]):
                    raise ValueError(f"feature {name} of {symbol}: {len(column)} values")
        rows = {
            symbol: {self.known_ns(symbol, bar): i for i, bar in enumerate(each)}
            for symbol, each in self.bars.items()
        }
        object.__setattr__(self, "_rows", rows)

    def __repr__(self) -> str:
        return f"Market({ {name: len(each) for name, each in self.bars.items()} })"

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols in universe order."""
        return tuple(self.bars)

    def session_from(self, symbol: str, instant_ns: int) -> tuple[int, int] | None:
        """Return the session of a symbol's calendar that holds an instant, or the next one."""
        from tests.fidelity.positions.sessions import (
            sessions_of,
        )  # which reads times of this module

        if symbol not in self.calendars:
            return None
        sessions = sessions_of(self.calendars[symbol])
        return sessions[bisect_right(sessions, instant_ns, key=lambda each: each[1])]

    def known_ns(self, symbol: str, bar: Bar) -> int:
        """Return when a bar is known: its close, no later than that of its session."""
        session = self.session_from(symbol, bar.open_ns)
        end_ns = bar.open_ns + self.bar_ns
        return end_ns if session is None else min(end_ns, session[1])

    def traded_from(self, symbol: str, instant_ns: int) -> int:
        """Return an instant, or between two sessions of a symbol the open of the next one."""
        session = self.session_from(symbol, instant_ns)
        return instant_ns if session is None else max(instant_ns, session[0])

    def next_open(self, symbol: str, instant_ns: int) -> int:
        """Return the first open of a bar that the symbol's calendar has at an instant or later."""
        session = self.session_from(symbol, instant_ns)
        first = 0 if session is None else session[0]
        found = first + max(0, -(-(instant_ns - first) // self.bar_ns)) * self.bar_ns
        if session is None or found < session[1]:
            return found
        return self.next_open(symbol, session[1])

    def expires_ns(self, symbol: str, active_ns: int) -> int:
        """Return the first instant at which an open is too late for an entry at market.

        A closure of the calendar is no missing bar.
        """
        closes = symbol in self.calendars
        return (self.next_open(symbol, active_ns) if closes else active_ns) + self.bar_ns

    def decides(self, symbol: str, time_ns: int) -> bool:
        """Return whether a bar of the symbol's calendar has ended since the decision before."""
        before = max((each for each in self.times() if each < time_ns), default=0)
        opened = self.next_open(symbol, before + 1 - self.bar_ns)
        while True:
            session = self.session_from(symbol, opened)
            end_ns = opened + self.bar_ns
            end_ns = end_ns if session is None else min(end_ns, session[1])
            if end_ns > time_ns:
                return False
            if end_ns > before:
                return True
            opened = self.next_open(symbol, opened + 1)

    def times(self) -> list[int]:
        """Every decision time: the close of a bar of any symbol."""
        rows: dict[str, dict[int, int]] = self.__dict__["_rows"]
        return sorted(set().union(*rows.values()))

    def row(self, symbol: str, time_ns: int) -> int | None:
        """Return the number of the bar that is known at a time, if there is one."""
        found: int | None = self.__dict__["_rows"][symbol].get(time_ns)
        return found

    def bar(self, symbol: str, time_ns: int) -> Bar | None:
        """Return the bar that ends at a time."""
        row = self.row(symbol, time_ns)
        return None if row is None else self.bars[symbol][row]

    def last_row(self, symbol: str, time_ns: int) -> int | None:
        """Return the number of the last bar known at or before a time."""
        bars, last = self.bars[symbol], time_ns - self.bar_ns
        count = bisect_right(bars, last, key=lambda bar: bar.open_ns)
        return count - 1 if count else None

    def is_member(self, symbol: str, time_ns: int) -> bool:
        """Return whether a symbol has had a bar and its bars have not ended.

        Ended: since the last one as many bars of the calendar, and as many decision times, have
        passed as `delisted_after` names by default. A bar of a gap is one that could have closed.
        """
        row = self.last_row(symbol, time_ns)
        if row is None:
            return False
        known_ns = self.bars[symbol][row].open_ns + self.bar_ns
        bars = (time_ns - known_ns) // self.bar_ns
        times = sum(known_ns < each <= time_ns for each in self.times())
        return bars < DELISTED_AFTER or times < DELISTED_AFTER

    def last_close(self, symbol: str, time_ns: int) -> Fraction | None:
        """Return the last close known at a time."""
        row = self.last_row(symbol, time_ns)
        return None if row is None else self.bars[symbol][row].close

    def fine_bars(self, symbol: str, bar: Bar, tick: Fraction) -> list[Bar]:
        """Return the finer bars of a bar where all exist and give its prices to a tick."""
        if not self.fine_ns:
            return []
        end = bar.open_ns + self.bar_ns
        found = [each for each in self.fine.get(symbol, ()) if bar.open_ns <= each.open_ns < end]
        if len(found) != self.bar_ns // self.fine_ns:
            return []
        high, low = max(each.high for each in found), min(each.low for each in found)
        pairs = (
            (found[0].open, bar.open), (high, bar.high), (low, bar.low),
            (found[-1].close, bar.close),
        )  # fmt: skip
        return found if all(abs(a - b) <= tick for a, b in pairs) else []

    def feature(self, name: str, symbol: str, time_ns: int) -> float:
        """Return a feature at a time, NaN where there is none."""
        row = self.row(symbol, time_ns)
        if row is None or symbol not in self.features[name]:
            return math.nan
        return self.features[name][symbol][row]


def bars_of(
    rows: Sequence[Sequence[float] | None], bar_ns: int = HOUR, start_ns: int = START
) -> list[Bar]:
    """Make bars from (open, high, low, close), a fifth for the volume, or one price for all four.

    None is a missing bar.
    """
    made = []
    for number, row in enumerate(rows):
        if row is not None:
            opened, high, low, close = row[:4] if len(row) > 1 else (row[0],) * 4
            prices = (exact(opened), exact(high), exact(low), exact(close))
            bar = Bar(start_ns + number * bar_ns, *prices)
            made.append(replace(bar, volume=exact(row[4])) if len(row) == 5 else bar)
    return made
