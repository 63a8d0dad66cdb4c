"""Validation of live rows: one bar at a time, by the same rules as history."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from septet._data.bar_checks import Rows, price_defects, volume_defects
from septet._data.bars import Bar, BarTable, Finding
from septet._data.calendars import Anchor, Calendar, Placed, Stamp, load_calendar
from septet._data.defects import Findings
from septet._data.stamps import iso
from septet_schemas.data import CandlesConfig

if TYPE_CHECKING:
    from septet._data.normalise import Normalised

__all__ = ["Admission"]

_YEAR_NS = 366 * 86_400 * 1_000_000_000


@dataclass
class Admission:
    """Admits the bars of one symbol as they arrive; each bar that is rejected is reported once.

    It continues a normalised history with the same grid, calendar and policies. A bar that is not
    newer than the last admitted one is a repeat, whatever its values: the first seen wins. Bars
    missing before an admitted one are reported as a gap, and never filled in.
    """

    symbol: str
    bar_ns: int
    keys: CandlesConfig
    calendar: str = "24x7"
    stamp: Stamp = "open"
    anchor: Anchor = "utc"
    source: str = "live"
    last: Placed | None = None
    _schedule: tuple[Calendar, int] | None = field(default=None, repr=False)

    @classmethod
    def after(cls, history: Normalised, keys: CandlesConfig, source: str = "live") -> Admission:
        """Return an admission that continues a normalised history."""
        bars: BarTable = history.bars
        admission = cls(
            bars.symbol, bars.bar_ns, keys, history.calendar, history.stamp, history.anchor, source
        )
        stamp_ns = int(bars.open_ns[-1]) + (bars.bar_ns if history.stamp == "close" else 0)
        if history.stamp == "close" and history.calendar != "24x7":
            stamp_ns = int(bars.known_ns[-1])
        admission.last = admission._place(stamp_ns)
        return admission

    def admit(
        self,
        stamp_ns: int,
        open_: float,
        high: float,
        low: float,
        close: float,
        volume: float,
        *,
        now_ns: int,
    ) -> tuple[Bar | None, tuple[Finding, ...]]:
        """Check one row.

        Parameters
        ----------
        stamp_ns
            The source's time stamp of the bar, UTC nanoseconds.
        now_ns
            Local time, UTC nanoseconds: a bar that ends later is unfinished and not admitted.

        Returns
        -------
        bar, findings
            The bar, or None if a policy drops it; all findings about it.

        Raises
        ------
        DataError
            If a policy is `refuse`.
        """
        found = Findings(self.source, self.symbol, self.keys.policy)
        rows = Rows(*(np.array([each]) for each in (open_, high, low, close, volume)))
        shown = [f"{iso(stamp_ns)} {rows.show(0)}"]
        for kind in price_defects(rows):
            policy = found(kind, 1, shown)
            if policy == "drop":
                return None, found.all()
            if policy == "fill":
                rows = rows.with_range(np.array([True]))
        for kind in volume_defects(rows.volume):
            policy = found(kind, 1, shown)
            if policy == "drop":
                return None, found.all()
            if policy == "fill":
                rows = Rows(rows.open, rows.high, rows.low, rows.close, np.zeros(1))
        placed = self._place(stamp_ns)
        kind = self._misplaced(placed, now_ns)
        if kind:
            found(kind, 1, shown)
            return None, found.all()
        if self.last is not None:
            missing = int(placed.ordinal[0] - self.last.ordinal[0]) - 1
            found("gap", missing, [f"{missing} after {iso(int(self.last.open_ns[0]))}"])
        self.last = placed
        bar = Bar(
            self.symbol, int(placed.open_ns[0]), int(placed.known_ns[0]),
            float(rows.open[0]), float(rows.high[0]), float(rows.low[0]), float(rows.close[0]),
            self._base_volume(rows),
        )  # fmt: skip
        return bar, found.all()

    def _base_volume(self, rows: Rows) -> float:
        volume = float(rows.volume[0])
        return volume / float(rows.close[0]) if self.keys.volume_in == "quote" else volume

    def _misplaced(self, placed: Placed, now_ns: int) -> str:
        if placed.outside[0]:
            return "outside_session"
        if placed.off_grid[0]:
            return "off_grid"
        if placed.known_ns[0] > now_ns:
            return "unfinished"
        if self.last is None or placed.open_ns[0] > self.last.open_ns[0]:
            return ""
        return "duplicate" if placed.open_ns[0] == self.last.open_ns[0] else "unordered"

    def _place(self, stamp_ns: int) -> Placed:
        """Place a stamp; the schedule is loaded one year ahead, and ordinals stay comparable."""
        if self._schedule is None or stamp_ns > self._schedule[1]:
            first = stamp_ns if self.last is None else int(self.last.open_ns[0])
            until = stamp_ns + _YEAR_NS
            self._schedule = (load_calendar(self.calendar, first, until), until)
            if self.last is not None:
                last = self._stamp_of(self.last)
                self.last = self._schedule[0].place(last, self.bar_ns, self.stamp, self.anchor)
        stamps = np.array([stamp_ns], dtype=np.int64)
        return self._schedule[0].place(stamps, self.bar_ns, self.stamp, self.anchor)

    def _stamp_of(self, placed: Placed) -> np.ndarray:
        if self.stamp == "open":
            return placed.open_ns
        return placed.known_ns if self.calendar != "24x7" else placed.open_ns + self.bar_ns
