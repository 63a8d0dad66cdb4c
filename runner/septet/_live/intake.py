"""Turns bars as they arrive into the columns of a plan, by the same rules as a whole history.

The intake is part of the deterministic core: its output depends only on its events and on their
order.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from septet import messages as m
from septet._core.events import DecisionTime
from septet._data.bars import Ints
from septet._data.calendars import Anchor, Calendar
from septet._data.funding import FundingRates
from septet._data.members import MEMBER_BARS, calendar_beyond, ended_from_ns
from septet._data.scheduled_neighbours import NEIGHBOURS, Neighbours, neighbours_of
from septet._data.trading_hours import FillGrid, HourRules, events_from, flags_by_symbol
from septet._kernel import layout
from septet._plan.graph import BAR_COLUMNS
from septet._shell.aligned_bars import (
    DAY_NS,
    DERIVED,
    FUNDING,
    FUNDING_BEFORE,
    AlignmentRules,
    day_numbers,
)
from septet.errors import InputError

__all__ = ["Intake", "PlacedBar", "Schedule"]

YEAR_NS: Final = 366 * DAY_NS
AHEAD: Final = 256  # decision times whose hours are looked up at once
_ROUND_THE_CLOCK: Final = "24x7"
_PRICES: Final = Struct(f"{layout.X_FIXED}d")  # one write per bar, for speed
_FACTS: Final = Struct(f"{layout.M_ROWS}q")


class _Slot(NamedTuple):
    """A scheduled bar."""

    open_ns: int
    known_ns: int


_NEVER: Final = _Slot(2**62, 2**62)


class PlacedBar(msgspec.Struct, frozen=True, gc=False):
    """Position of one bar on the time grid, for `septet._shell.aligned_bars.DERIVED`."""

    open_ns: int
    known_ns: int
    session: int
    ordinal: int
    bar_ns: int


@dataclass
class Schedule:
    """Places single bars of one symbol on its calendar; ordinals stay comparable for ever."""

    bar_ns: int
    calendar: str = _ROUND_THE_CLOCK
    anchor: Anchor = "utc"
    _loaded: tuple[Calendar, int, int] | None = field(default=None, repr=False)
    _missing: tuple[int, _Slot, _Slot] = field(default=(-1, _NEVER, _NEVER), repr=False)
    """Newest scheduled bar that was known, its number before it, and the one after it."""
    _beside: tuple[int, Neighbours] | None = field(default=None, repr=False)
    """The newest bar that was asked for, and the scheduled ones beside it."""

    def place(self, open_ns: int, known_ns: int) -> PlacedBar:
        """Place a bar that opens at `open_ns`."""
        if self.calendar == _ROUND_THE_CLOCK:  # fast: no arrays between a bar and its order
            return PlacedBar(
                open_ns, known_ns, open_ns // DAY_NS, open_ns // self.bar_ns, self.bar_ns
            )
        self._load(open_ns)
        assert self._loaded is not None
        stamps = np.array([open_ns], dtype=np.int64)
        placed = self._loaded[0].place(stamps, self.bar_ns, "open", self.anchor)
        ordinal = int(placed.ordinal[0])
        return PlacedBar(open_ns, known_ns, int(placed.session[0]), ordinal, self.bar_ns)

    def neighbours(self, open_ns: int) -> Neighbours:
        """Return the scheduled bars beside the one that opens at `open_ns`."""
        if self._beside is None or self._beside[0] != open_ns:
            self._load(open_ns)
            assert self._loaded is not None
            calendar, stamps = self._loaded[0], np.array([open_ns], dtype=np.int64)
            placed = calendar.place(stamps, self.bar_ns, "open", self.anchor)
            self._beside = open_ns, neighbours_of(calendar, placed, self.bar_ns)
        return self._beside[1]

    def ended_from(self, open_ns: int, known_ns: int) -> int:
        """Return from when on bars have ended whose last one this is (UTC ns)."""
        if self.calendar == _ROUND_THE_CLOCK:
            return known_ns + MEMBER_BARS * self.bar_ns
        ordinal = self.place(open_ns, known_ns).ordinal
        assert self._loaded is not None
        return ended_from_ns(self._loaded[0], ordinal, self.bar_ns, self.anchor)

    def missing_open(self, last: _Last, time_ns: int) -> int | None:
        """Return the open of the newest scheduled bar that did not come by a time, if any."""
        if self.calendar == _ROUND_THE_CLOCK:
            bars = (time_ns - last.known_ns) // self.bar_ns
            return last.known_ns + (bars - 1) * self.bar_ns if bars > 0 else None
        ordinal, newest, following = self._missing
        if ordinal < last.ordinal or newest.known_ns > time_ns:
            ordinal, newest = last.ordinal, _Slot(last.open_ns, last.known_ns)
            following = self._scheduled(ordinal + 1, last.open_ns)
        while following.known_ns <= time_ns:
            ordinal, newest = ordinal + 1, following
            following = self._scheduled(ordinal + 1, last.open_ns)
        self._missing = ordinal, newest, following
        return newest.open_ns if ordinal > last.ordinal else None

    def _scheduled(self, ordinal: int, near_ns: int) -> _Slot:
        """Return the bar with a number; one far in the future where the calendar ends before.

        `near_ns` is the open of a bar in whose year the calendar is loaded.
        """
        self._load(near_ns)
        assert self._loaded is not None
        try:
            placed = self._loaded[0].at(np.array([ordinal]), self.bar_ns, self.anchor)
        except IndexError:
            return _NEVER
        return _Slot(int(placed.open_ns[0]), int(placed.known_ns[0]))

    def _load(self, open_ns: int) -> None:
        """Load the calendar over a year from a bar on, and the weeks in which its bars may end."""
        if self._loaded is None or not self._loaded[1] <= open_ns <= self._loaded[2]:
            # the first year never moves, so that ordinals count from the same session
            first = open_ns - open_ns % YEAR_NS if self._loaded is None else self._loaded[1]
            last = open_ns + YEAR_NS
            self._loaded = (_calendar(self.calendar, min(first, open_ns), last), first, last)


class _Last(msgspec.Struct):
    """The newest bar of a symbol that a decision time has taken in."""

    open_ns: int
    known_ns: int
    ordinal: int
    age: int
    columns: tuple[float, ...]
    times: int = 0
    """Decision times up to that of the bar."""


@lru_cache(maxsize=8)
def _calendar(name: str, first_ns: int, last_ns: int) -> Calendar:
    """Load a calendar once for all symbols that have it."""
    return calendar_beyond(name, first_ns, last_ns)


def _time(point: tuple[int, float]) -> int:
    return point[0]


class _Kept(msgspec.Struct):
    """Snapshot of an intake."""

    last: list[_Last | None]
    waiting: list[list[m.BarClosed]]
    points: dict[str, list[tuple[int, float]]]
    day: int
    rates: list[list[tuple[int, float, int]] | None]
    charged_ns: list[int]
    begun: bool
    events: list[tuple[int, int]] = []
    times: int = 0


class Intake:
    """Collects bars until a decision time uses them.

    Parameters
    ----------
    symbols
        The universe, in its order.
    columns
        Names of the rows of X, in their order (see `septet._shell.aligned_bars`).
    schedules
        One for each symbol.
    rules
        Rules that count days, gaps and funding.
    max_ages_ns
        For each series how long a value is valid after it became known (ns); None means for ever.
    hours
        The trading hours, None without any.
    grids
        The scheduled opens of each symbol's bars, for the hours; symbols of one calendar share one.
    counts_members
        Whether the members of a portfolio are counted (see `septet._data.members`).
    """

    def __init__(
        self,
        symbols: Sequence[str],
        columns: Sequence[str],
        schedules: Sequence[Schedule],
        rules: AlignmentRules,
        max_ages_ns: dict[str, int | None] | None = None,
        *,
        hours: HourRules | None = None,
        grids: Sequence[FillGrid] = (),
        counts_members: bool = False,
    ) -> None:
        self._symbols, self._names, self._schedules = list(symbols), list(columns), list(schedules)
        self._rules, self._max_ages = rules, dict(max_ages_ns or {})
        self._last: list[_Last | None] = [None] * len(self._symbols)
        self._waiting: list[deque[m.BarClosed]] = [deque() for _ in self._symbols]
        self._points: dict[str, list[tuple[int, float]]] = {}
        self._hours = hours
        always = FillGrid(_ROUND_THE_CLOCK, self._schedules[0].bar_ns)
        self._grids = list(grids) or [always] * len(self._symbols)
        self._events: list[tuple[int, int]] = []  # of a blackout: stamp, and when it was known
        self._flags: dict[int, Ints] = {}
        self._counts_members, self._times = counts_members, 0
        self._day = -(2**40)
        rate, every_ns = float(rules.funding_rate or 0.0), rules.funding_every_ns
        self._rates = [FundingRates(rate, every_ns) for _ in self._symbols]
        self._charged_ns = [0] * len(self._symbols)  # funding due until then has been charged
        self._begun = False  # from the first decision on, bars that were missed meet resting orders
        self._before = next((row for row, name in enumerate(columns) if name == FUNDING_BEFORE), -1)
        count = len(self._symbols)
        self._columns = np.full((count, max(layout.X_FIXED, len(self._names))), np.nan)
        self._facts = np.zeros((count, layout.M_ROWS), np.int64)
        self._columns_at = self._columns.data.cast("B")
        self._facts_at = self._facts.data.cast("B")
        self._row_bytes = self._facts.strides[0], self._columns.strides[0]
        self._cells: Any = self._columns.data
        self._others = [self._reference(name) for name in self._names]
        self._more = range(layout.X_FIXED, len(self._names))
        self._utc = rules.time_zone == "UTC"

    def _reference(self, name: str) -> tuple[int, int] | None:
        """Symbol and column of a name such as ``close@ETH/USDT``."""
        column, at, symbol = name.partition("@")
        if not at:
            return None
        if symbol not in self._symbols:
            raise InputError(
                f"the feature input {name} needs bars of {symbol}, which is not in the universe",
                hint=f"add {symbol} to universe.symbols",
            )
        return self._symbols.index(symbol), BAR_COLUMNS.index(column)

    # ------------------------------------------------------------------ what comes in

    def bar(self, event: m.BarClosed) -> None:
        """Store a bar until its decision time."""
        self._waiting[event.symbol].append(event)

    def point(self, event: m.SeriesPoint) -> None:
        """Store a value of a series; a later one of the same time is a revision and replaces it."""
        name, _, symbol = event.name.partition("@")
        if name == FUNDING:  # a late one is due at the next decision
            charged = zip(self._rates, self._symbols, self._charged_ns, strict=True)
            for rates, own, charged_ns in charged:
                if symbol in ("", own):
                    rates.add(event.stamp_ns, event.value, charged_ns + 1)
            if f"series:{FUNDING}" not in self._names:
                return
        if self._hours is not None and name == self._hours.series:
            self._events.append((event.stamp_ns, event.known_ns))
            self._flags = {}
        points = self._points.setdefault(event.name, [])
        points.insert(
            bisect_right(points, event.known_ns, key=_time), (event.known_ns, event.value)
        )

    def decision_time(self, event: m.DecisionTimeReached) -> DecisionTime:
        """Process the next bar of every symbol present.

        The arrays of the result are overwritten by the next call: `columns` is float64 of shape
        (symbols, columns), NaN where a value is not known; `facts` is int64 of shape (symbols, 4).
        """
        facts, cells, present = self._facts, self._cells, event.present
        if len(present) < len(facts):
            facts[:, layout.AGE] = self._without_bars(event.time_ns)
        other_rows, bars = self._more, []
        self._times += 1
        for k in present:
            bars.append((k, self._take(k)))
        if other_rows:  # a column of another symbol sees that symbol's bar at T, too
            for k, place in bars:
                for row in other_rows:
                    name = self._names[row]
                    derive = DERIVED.get(name)
                    cells[k, row] = (
                        self._column(k, row, place)
                        if derive is None
                        else derive(place, self._rules, self._schedules[k].calendar)
                    )
        if self._before >= 0:
            self._charge(event, bars)
        if self._utc:
            day = (event.time_ns - self._rules.day_start_ns) // DAY_NS
        else:
            day = self._day_of(event.time_ns)
        if day > self._day:
            self._day = day
        matches = self._begun and not event.decides
        self._begun = self._begun or event.decides
        return DecisionTime(
            event.time_ns, self._day, self._columns, facts, event.decides, event.late, matches,
            0 if self._hours is None else self._flags_at(self._hours, event.time_ns),
            self._members_at(event.time_ns) if self._counts_members else 0,
        )  # fmt: skip

    def _without_bars(self, time_ns: int) -> list[int]:
        """Return what T holds of each symbol that has no bar at a time: see `NO_BAR`."""
        values = []
        for schedule, last in zip(self._schedules, self._last, strict=True):
            opened = None if last is None else schedule.missing_open(last, time_ns)
            values.append(-1 if opened is None else layout.NO_BAR + opened)
        return values

    def _flags_at(self, hours: HourRules, time_ns: int) -> Ints:
        """Return the flags of the hours of each symbol, by the function a backtest calls ahead.

        Flags of later times are cached until another event becomes known.
        """
        flags = self._flags.get(time_ns)
        if flags is None:
            bar_ns = self._grids[0].bar_ns
            count = max(1, min(AHEAD, DAY_NS // bar_ns))
            times = time_ns + bar_ns * np.arange(count, dtype=np.int64)
            computed = flags_by_symbol(hours, times, self._grids, events_from(self._events))
            self._flags = dict(zip(times.tolist(), computed.T, strict=True))
            flags = self._flags[time_ns]
        return flags

    def _members_at(self, time_ns: int) -> int:
        """Return how many symbols are members, as `member_counts` counts a whole history."""
        count = 0
        for schedule, last in zip(self._schedules, self._last, strict=True):
            if last is None:
                continue
            if self._times - last.times >= MEMBER_BARS:
                count += time_ns < schedule.ended_from(last.open_ns, last.known_ns)
            else:
                count += 1
        return count

    def _take(self, k: int) -> PlacedBar:
        """Process the next bar of a symbol: its prices, its age, the bars missing before it."""
        bar = self._waiting[k].popleft()
        place = self._schedules[k].place(bar.open_ns, bar.known_ns)
        last = self._last[k]
        missing = 0 if last is None else place.ordinal - last.ordinal - 1
        fresh = last is None or missing > self._rules.reset_after
        age = 0 if fresh or last is None else last.age + 1
        prices = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        self._last[k] = _Last(
            bar.open_ns, bar.known_ns, place.ordinal, age, prices, self._times
        )  # fmt: skip
        facts_row, columns_row = self._row_bytes
        _FACTS.pack_into(self._facts_at, k * facts_row, bar.open_ns, age, missing, 0)
        _PRICES.pack_into(self._columns_at, k * columns_row, *prices)
        return place

    def _charge(self, event: m.DecisionTimeReached, bars: Sequence[tuple[int, PlacedBar]]) -> None:
        """Write the funding to charge: before a bar and in it, or where there is no bar.

        A decision charges every symbol; a missed bar charges its own, on the position of that time.
        """
        cells, charged = self._cells, self._charged_ns
        row, inside = self._before, self._names.index(FUNDING)
        if len(bars) < len(self._symbols):
            for k, (rates, since) in enumerate(zip(self._rates, charged, strict=True)):
                due = event.decides and since > 0
                cells[k, row] = rates.due(since, event.time_ns) if due else 0.0
        for k, place in bars:
            before = charged[k] or place.open_ns
            cells[k, row] = self._rates[k].due(before, place.open_ns)
            cells[k, inside] = self._rates[k].due(max(before, place.open_ns), place.known_ns)
            if charged[k]:
                charged[k] = max(charged[k], place.known_ns)
        if event.decides:
            charged[:] = [max(each, event.time_ns) for each in charged]

    def _column(self, k: int, row: int, place: PlacedBar) -> float:
        name, source = self._names[row], self._others[row]
        if source is not None:
            last = self._last[source[0]]
            return math.nan if last is None else last.columns[source[1]]
        if name in (FUNDING, FUNDING_BEFORE):
            return 0.0
        if name in NEIGHBOURS:
            return float(getattr(self._schedules[k].neighbours(place.open_ns), name)[0])
        return self._as_of(self._own(k, name.removeprefix("series:")), place.known_ns)

    def _own(self, k: int, name: str) -> str:
        """Name of a symbol's own series where it has one, else that of all symbols."""
        own = f"{name}@{self._symbols[k]}"
        return own if own in self._points else name

    def _as_of(self, name: str, at_ns: int) -> float:
        """Value of a series as known at a time, NaN before the first and after its `max_age`."""
        points = self._points.get(name, [])
        row = bisect_right(points, at_ns, key=_time) - 1
        if row < 0:
            return math.nan
        known_ns, value = points[row]
        max_age = self._max_ages.get(name.partition("@")[0])
        return math.nan if max_age is not None and at_ns - known_ns > max_age else value

    def _day_of(self, time_ns: int) -> int:
        stamp = np.array([time_ns], dtype=np.int64)
        return int(day_numbers(stamp, self._rules.time_zone, self._rules.day_start_ns)[0])

    # ------------------------------------------------------------------ continuing

    def snapshot(self) -> bytes:
        """Return all state that is needed to continue with the same bits."""
        waiting = [list(each) for each in self._waiting]
        return msgspec.msgpack.encode(
            _Kept(
                self._last,
                waiting,
                self._points,
                self._day,
                [each.points for each in self._rates],
                self._charged_ns,
                self._begun,
                self._events,
                self._times,
            )
        )

    def restore(self, data: bytes) -> None:
        """Restore a snapshot."""
        snapshot = msgspec.msgpack.decode(data, type=_Kept)
        self._last, self._points, self._day = snapshot.last, snapshot.points, snapshot.day
        self._charged_ns, self._begun = snapshot.charged_ns, snapshot.begun
        self._events, self._flags = snapshot.events, {}
        self._times = snapshot.times
        for rates, points in zip(self._rates, snapshot.rates, strict=True):
            rates.restore(points)
        self._waiting = [deque(each) for each in snapshot.waiting]
