"""Daily values stamped with their date, and called known as that day begins."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from septet._data.bars import Finding, SeriesTable
from septet._data.stamps import iso
from septet_schemas.data import SeriesConfig
from septet_schemas.units import format_duration

__all__ = ["KNOWN_EARLY", "known_early"]

KNOWN_EARLY: Final = "known_early"
_DAY_NS: Final = 86_400_000_000_000
_SHORTEST_DELAY_NS: Final = 6 * 3_600_000_000_000
"""The close of a session in Tokyo is six hours after midnight UTC: no daily value is earlier."""
_FEWEST: Final = 5
_LOOKED_AT: Final = 500
_SECONDS: Final = 1_000_000_000


def known_early(table: SeriesTable, keys: SeriesConfig) -> tuple[Finding, ...]:
    """Return that a daily series stamped with dates counts as known before its day is over.

    A stamp that is a date, midnight in the zone of the file, is where a day begins; what is said
    of the day is known at its end or later, unless it is stamped with the day after. A source
    that gives the times of publication itself is taken at its word.
    """
    count = len(table.stamp_ns)
    if keys.known_after is None or count < _FEWEST or table.vintage == "published":
        return ()
    steps = np.diff(table.stamp_ns)
    delay_ns = int(np.median(table.known_ns - table.stamp_ns))
    if delay_ns >= _SHORTEST_DELAY_NS or int(np.median(steps)) < _DAY_NS:
        return ()
    zone = ZoneInfo(keys.time_zone or "UTC")
    rows = np.unique(np.linspace(0, count - 1, min(count, _LOOKED_AT)).astype(np.int64))
    for stamp_ns in table.stamp_ns[rows].tolist():
        local = datetime.fromtimestamp(stamp_ns // _SECONDS, UTC).astimezone(zone)
        if stamp_ns % _SECONDS or (local.hour, local.minute, local.second) != (0, 0, 0):
            return ()
    first, delay = iso(table.stamp_ns[0]), format_duration(delay_ns) if delay_ns else "0s"
    text = (
        f"the values of {table.name} are stamped with dates, and each counts as known "
        f"{delay} after its day begins, as {first}: if they are closes or "
        "means of that day, the run sees them up to a day too early"
    )
    return (Finding("series", table.name, KNOWN_EARLY, "warn", count, (first,), text),)
