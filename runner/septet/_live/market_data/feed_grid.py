"""The schedule of the bars of one symbol, and the checks of one row at a time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final

import msgspec
import numpy as np

from septet._data.bar_checks import MAX_VALUE, MIN_VALUE, PRICES
from septet._data.bars import Bar, Finding
from septet._data.calendars import Anchor, Sessions, load_calendar
from septet._data.defects import Findings
from septet._data.row_admission import Admission
from septet._data.stamps import iso
from septet._host.venues import BarSeen
from septet.errors import DataError
from septet_schemas.data import CandlesConfig, Policies

__all__ = ["Gate", "Grid", "Slot"]

_DAY_NS: Final = 86_400 * 1_000_000_000
_WEEK_NS: Final = 7 * _DAY_NS
_MONDAY_NS: Final = 4 * _DAY_NS
_MINUTE_NS: Final = 60 * 1_000_000_000
_LONG: Final = (40, 300, 60)
"""Days a schedule is read back, ahead, and by how many of these it is read again before."""
_SHORT: Final = (20, 40, 15)
"""The same for bars under a minute, of which a day has many."""


class Slot(msgspec.Struct, frozen=True, gc=False):
    """A bar the calendar schedules: when it opens and when it is known."""

    open_ns: int
    known_ns: int


class Grid:
    """The scheduled bars of one symbol, in order of time.

    Round the clock they are arithmetic; with sessions they are read from the calendar for some
    months ahead and read again when those are used up.
    """

    def __init__(self, calendar: str, bar_ns: int, anchor: Anchor = "utc") -> None:
        """Schedule bars of `bar_ns` on a calendar."""
        self.calendar, self.bar_ns, self.anchor = calendar, bar_ns, anchor
        self._even = calendar == "24x7"
        self._start = _MONDAY_NS if bar_ns % _WEEK_NS == 0 else 0
        self._span = (0, -1)
        self._opens: list[int] = []
        self._knowns: list[int] = []

    def slot(self, open_ns: int) -> Slot | None:
        """Return the bar that opens at a time, None if none is scheduled."""
        if self._even:
            on_grid = (open_ns - self._start) % self.bar_ns == 0
            return Slot(open_ns, open_ns + self.bar_ns) if on_grid else None
        self._cover(open_ns)
        row = bisect_left(self._opens, open_ns)
        is_scheduled = row < len(self._opens) and self._opens[row] == open_ns
        return self._at(row) if is_scheduled else None

    def following(self, open_ns: int) -> Slot:
        """Return the first bar that opens after a time."""
        if self._even:
            next_open_ns = open_ns + self.bar_ns - (open_ns - self._start) % self.bar_ns
            return Slot(next_open_ns, next_open_ns + self.bar_ns)
        self._cover(open_ns)
        return self._at(bisect_right(self._opens, open_ns))

    def known_after(self, known_ns: int) -> Slot:
        """Return the first bar that becomes known after a time."""
        if self._even:
            next_open_ns = known_ns - (known_ns - self._start) % self.bar_ns
            return Slot(next_open_ns, next_open_ns + self.bar_ns)
        self._cover(known_ns)
        return self._at(bisect_right(self._knowns, known_ns))

    def due(self, first_ns: int, until_ns: int, limit: int) -> list[Slot]:
        """Return bars that open from `first_ns` on and are known by `until_ns`, at most `limit`."""
        slots: list[Slot] = []
        slot = self.following(first_ns - 1)
        while slot.known_ns <= until_ns and len(slots) < limit:
            slots.append(slot)
            slot = self.following(slot.open_ns)
        return slots

    def _at(self, row: int) -> Slot:
        return Slot(self._opens[row], self._knowns[row])

    def _cover(self, time_ns: int) -> None:
        if self._span[0] <= time_ns <= self._span[1]:
            return
        days = _SHORT if self.bar_ns < _MINUTE_NS else _LONG
        back, ahead, spare = (each * _DAY_NS for each in days)
        first, last = time_ns - back, time_ns + ahead
        calendar = load_calendar(self.calendar, first, last)
        assert isinstance(calendar, Sessions)
        opens, closes = calendar.opens_ns, calendar.closes_ns
        if self.bar_ns == _DAY_NS:
            rows = np.arange(len(calendar.day_opens_ns))
        else:
            inside = np.flatnonzero((closes > first) & (opens < last))
            ends = np.array([opens[inside[0]], closes[inside[-1]]])
            low = calendar.place(ends[:1], self.bar_ns, "open", self.anchor).ordinal[0]
            high = calendar.place(ends[1:], self.bar_ns, "close", self.anchor).ordinal[0]
            rows = np.arange(low, high + 1)
        placed = calendar.at(rows, self.bar_ns, self.anchor)
        self._opens, self._knowns = placed.open_ns.tolist(), placed.known_ns.tolist()
        self._span = (time_ns - back // 2, time_ns + ahead - spare)


class Gate:
    """Passes rows through `Admission` one by one, with a fast path for those without faults.

    A policy of `refuse` refuses the row and reports it: a running strategy does not end by a bad
    row of its venue.
    """

    def __init__(self, symbol: str, grid: Grid, keys: CandlesConfig, source: str) -> None:
        """Check rows of a symbol by a file's policies."""
        self._symbol, self._grid, self._keys, self._source = symbol, grid, keys, source
        self._quote = keys.volume_in == "quote"
        self._keeps_empty = keys.policy.zero_volume == "keep"

    def _new(self) -> Admission:
        """Return an admission without history: order is checked elsewhere, a gap is no defect."""
        grid = self._grid
        return Admission(
            self._symbol, grid.bar_ns, self._keys, grid.calendar, "open", grid.anchor, self._source
        )

    def admit(self, row: BarSeen) -> tuple[BarSeen | Bar | None, tuple[Finding, ...]]:
        """Check a row whose time was checked before; a row without a fault is the bar."""
        low, high = row.low, row.high
        plain = MIN_VALUE <= low <= row.open <= high and low <= row.close <= high <= MAX_VALUE
        if plain and not self._quote:
            if 0.0 < row.volume <= MAX_VALUE:
                return row, ()
            if row.volume == 0.0 and self._keeps_empty:
                return row, self._empty(row)
        try:
            return self._new().admit(
                row.open_ns, row.open, high, low, row.close, row.volume, now_ns=2**62
            )
        except DataError as error:
            text = f"{error.message}; the row is refused and the run goes on"
            return None, (Finding(self._source, self._symbol, "refused", "refuse", 1, (), text),)

    def admit_confirmed(
        self, row: BarSeen, doubt: str
    ) -> tuple[BarSeen | Bar | None, tuple[Finding, ...]]:
        """Check a row as `admit` does, without holding it back as a spike."""
        if doubt != "price_spike" or self._keys.policy.price_spike == "keep":
            return self.admit(row)
        findings = Findings(self._source, self._symbol, Policies())
        findings("price_spike", 1, [self._shown(row)])
        return None, findings.all()

    def _shown(self, row: BarSeen) -> str:
        prices = " ".join(f"{name} {getattr(row, name):.10g}" for name in (*PRICES, "volume"))
        return f"{iso(row.open_ns)} {prices}"

    def _empty(self, row: BarSeen) -> tuple[Finding, ...]:
        """Return the finding of `Admission` for a bar without volume, unless those are common."""
        findings = Findings(self._source, self._symbol, self._keys.policy)
        findings("zero_volume", 1, [self._shown(row)])
        return findings.all()
