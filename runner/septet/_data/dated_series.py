"""Detection of values that are stamped at the start of their period and known before its end."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from septet._data.bars import Finding, SeriesTable
from septet._data.stamps import iso
from septet_schemas.data import SeriesConfig
from septet_schemas.units import format_duration

__all__ = ["KNOWN_EARLY", "KNOWN_PERIOD", "KNOWN_STAMP", "known_early"]

KNOWN_EARLY: Final = "known_early"
KNOWN_PERIOD: Final = "known_before_end"
KNOWN_STAMP: Final = "known_at_stamp"
_MINUTE_NS: Final = 60_000_000_000
_GRID_NS: Final = 15 * _MINUTE_NS
"""Offsets of time zones are multiples of a quarter of an hour."""
_REGULAR_SHARE: Final = 0.9
_DAY_NS: Final = 86_400_000_000_000
_SHORTEST_DELAY_NS: Final = 6 * 3_600_000_000_000
"""The close in Tokyo is six hours after midnight UTC: no daily value is known earlier."""
_UNEVEN_SHARE: Final = 0.15
"""The lengths of months differ from their median by less than this share."""
_MIN_VALUES: Final = 5
_CHECKED_VALUES: Final = 500
_SECONDS: Final = 1_000_000_000


def _is_even(steps: npt.NDArray[np.int64], step_ns: int) -> bool:
    """Return whether stamps are spaced like calendar periods; a few may be missing."""
    low, high = np.quantile(steps, (0.1, 0.9))
    return bool(abs(low - step_ns) <= _UNEVEN_SHARE * step_ns >= abs(high - step_ns))


def _known_at_stamp(
    table: SeriesTable, steps: npt.NDArray[np.int64], step_ns: int, delay_ns: int
) -> tuple[Finding, ...]:
    """Return a finding if values of hours or minutes count as known at the start of the period.

    A delay of at least a sixtieth of the step is taken as deliberate, and times off the grid as
    times of publication.
    """
    on_grid = table.stamp_ns % math.gcd(step_ns, _GRID_NS) == 0
    if (
        step_ns < _MINUTE_NS
        or delay_ns * 60 >= step_ns
        or not bool(on_grid.all())
        or float(np.mean(steps == step_ns)) < _REGULAR_SHARE
    ):
        return ()
    first, span = iso(table.stamp_ns[0]), format_duration(step_ns)
    delay = format_duration(delay_ns) if delay_ns else "0s"
    text = (
        f"the values of {table.name} are stamped {span} apart, and each counts as known {delay} "
        f"after its stamp, as {first}: if they are closes, sums or means of the {span} that "
        "begins there, the run sees them before it has ended"
    )
    return (
        Finding("series", table.name, KNOWN_STAMP, "warn", len(table.stamp_ns), (first,), text),
    )


def known_early(table: SeriesTable, keys: SeriesConfig) -> tuple[Finding, ...]:
    """Return a finding if a series stamped with dates counts as known before its period ends.

    A stamp that is a date, midnight in the zone of the file, marks the start of a day; the value of
    the day is known at its end or later, unless it is stamped with the next day. Publication times
    given by the source itself are accepted. Evenly spaced dates that are days apart are treated as
    the starts of weeks, months or quarters. Stamps on a grid of hours or minutes are treated as
    starts of the period if each value counts as known at its stamp.
    """
    count = len(table.stamp_ns)
    if keys.known_after is None or count < _MIN_VALUES or table.vintage == "published":
        return ()
    steps = np.diff(table.stamp_ns)
    delay_ns = int(np.median(table.known_ns - table.stamp_ns))
    step_ns = int(np.median(steps))
    if step_ns < _DAY_NS:
        return _known_at_stamp(table, steps, step_ns, delay_ns)
    if step_ns < 2 * _DAY_NS:
        if delay_ns >= _SHORTEST_DELAY_NS:
            return ()
    elif delay_ns >= step_ns * (1.0 - _UNEVEN_SHARE) or not _is_even(steps, step_ns):
        return ()
    zone = ZoneInfo(keys.time_zone or "UTC")
    rows = np.unique(np.linspace(0, count - 1, min(count, _CHECKED_VALUES)).astype(np.int64))
    for stamp_ns in table.stamp_ns[rows].tolist():
        local = datetime.fromtimestamp(stamp_ns // _SECONDS, UTC).astimezone(zone)
        if stamp_ns % _SECONDS or (local.hour, local.minute, local.second) != (0, 0, 0):
            return ()
    first, delay = iso(table.stamp_ns[0]), format_duration(delay_ns) if delay_ns else "0s"
    if step_ns >= 2 * _DAY_NS:
        span = format_duration(step_ns)
        text = (
            f"the values of {table.name} are stamped with dates {span} apart, and each counts as "
            f"known {delay} after its date, as {first}: if they are returns, closes or means of "
            f"the {span} that begin there, the run sees them before they have ended"
        )
        return (Finding("series", table.name, KNOWN_PERIOD, "warn", count, (first,), text),)
    text = (
        f"the values of {table.name} are stamped with dates, and each counts as known "
        f"{delay} after its day begins, as {first}: if they are closes or "
        "means of that day, the run sees them up to a day too early"
    )
    return (Finding("series", table.name, KNOWN_EARLY, "warn", count, (first,), text),)
