"""Detection of bars that pause every night or weekend although their calendar is 24x7."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from septet._data.bars import Ints
from septet._data.calendars import DAY_NS, Sessions, Stamp, load_calendar
from septet._data.defects import Findings
from septet._data.exchange_hours import utc_of
from septet._data.source import Facts
from septet.errors import InputError
from septet_schemas.data import CandlesConfig
from septet_schemas.units import format_duration

__all__ = ["CALENDAR_SIGN", "DayEnds", "fitting_calendars", "is_calendar_named", "warn_calendar"]

CALENDAR_SIGN: Final = "calendar_sign"
_HOUR_NS: Final = 3_600_000_000_000
_WEEK_NS: Final = 7 * DAY_NS
_WEEKEND_NS: Final = 36 * _HOUR_NS
_NIGHT_NS: Final = 2 * _HOUR_NS
_MIN_WEEKENDS, _MIN_NIGHTS = 2, 4
_OFTEN_SHARE, _NEARLY_ALL_SHARE = 0.8, 0.9
_TRIED_CALENDARS: Final = ("XNYS", "XLON", "XFRA", "XTKS", "XFX")
_MAX_OUTSIDE: Final = 0.02
_MIN_HELD: Final = 0.6
_NEAR_SHARE: Final = 0.25


class DayEnds(msgspec.Struct):
    """The first and the last stamp of each UTC day; the bars may be added in parts."""

    _ends: dict[int, tuple[int, int]] = msgspec.field(default_factory=dict)

    def add(self, stamp_ns: Ints) -> None:
        """Add the stamps that follow the previous ones, in order."""
        if not len(stamp_ns):
            return
        day = stamp_ns // DAY_NS
        begins = np.concatenate(([0], np.flatnonzero(np.diff(day)) + 1))
        lasts = np.concatenate((begins[1:] - 1, [len(day) - 1]))
        for at, end in zip(begins.tolist(), lasts.tolist(), strict=True):
            first, last = int(stamp_ns[at]), int(stamp_ns[end])
            known = self._ends.get(int(day[at]), (first, last))
            self._ends[int(day[at])] = min(first, known[0]), max(last, known[1])

    def arrays(self) -> tuple[Ints, Ints]:
        """Return the first and the last stamps, in order of days."""
        rows = np.array(sorted(self._ends.values()), dtype=np.int64).reshape(-1, 2)
        return rows[:, 0], rows[:, 1]


def is_calendar_named(keys: CandlesConfig, facts: Facts, symbol: str) -> bool:
    """Return whether the file or the source names a calendar for a symbol."""
    calendar = keys.calendar
    named = calendar.get(symbol) if isinstance(calendar, dict) else calendar
    return bool(named or facts.calendar)


def warn_calendar(
    findings: Findings,
    ends: DayEnds,
    bar_ns: int,
    stamp: Stamp,
    reset_after: int,
    *,
    may_be_local: bool = False,
) -> None:
    """Warn of bars without a named calendar that pause every night or every weekend.

    For a symbol that trades around the clock, each pause counts as missing bars. Stamps with a time
    of day that are read as UTC may be local times of the exchange, so its hours are compared as
    well.
    """
    first, last = ends.arrays()
    pauses = first[1:] - last[:-1] - bar_ns
    how, least = _pauses(first, last, pauses, bar_ns)
    if not how:
        return
    long = pauses[pauses >= least]
    restarts = int(np.count_nonzero(long > reset_after * bar_ns))
    text = (
        f"its bars pause every {how}, and nothing names a calendar: {len(long):,} pauses are "
        "read as missing bars"
    )
    if restarts:
        size = f"{reset_after} bars of {format_duration(bar_ns)}"
        text += f", after {restarts:,} of which (longer than {size}) features warm up anew"
    text += "; an order that is decided before one expires unfilled"
    fits = fitting_calendars(first, last, bar_ns, stamp, may_be_local=may_be_local)
    findings.warn(CALENDAR_SIGN, len(long), fits, text)


def _pauses(first: Ints, last: Ints, pauses: Ints, bar_ns: int) -> tuple[str, int]:
    """Return the kind of the regular pauses (night or weekend) and their least length."""
    nights = int(np.count_nonzero(pauses >= _NIGHT_NS))
    if bar_ns < DAY_NS // 2 and nights >= max(_MIN_NIGHTS, _NEARLY_ALL_SHARE * len(pauses)):
        return "night", _NIGHT_NS
    weeks = (int(last[-1]) - int(first[0])) // _WEEK_NS if len(first) else 0
    weekends = int(np.count_nonzero(pauses >= _WEEKEND_NS))
    if bar_ns <= DAY_NS and weekends >= max(_MIN_WEEKENDS, _OFTEN_SHARE * weeks):
        return "weekend", _WEEKEND_NS
    return "", 0


def fitting_calendars(
    first: Ints, last: Ints, bar_ns: int, stamp: Stamp, *, may_be_local: bool = False
) -> tuple[str, ...]:
    """Return the calendars to propose: the bars lie inside their sessions and fill them.

    If stamps may be local times, calendars of exchanges whose sessions they fill in local time are
    included; the best filled comes first.
    """
    plain = {
        f"calendar: {name}": _held(name, first, last, bar_ns, stamp) for name in _TRIED_CALENDARS
    }
    local: dict[str, float] = {}
    for name in _TRIED_CALENDARS if may_be_local and bar_ns < DAY_NS else ():
        zone = _zone_of(name, first, last)
        if zone != "UTC":
            ends = utc_of(first, zone), utc_of(last, zone)
            held = _held(name, *ends, bar_ns, stamp)
            local[f"calendar: {name} with time_zone: {zone}"] = held
    best = [max(each.items(), key=lambda item: item[1]) for each in (plain, local) if each]
    most = max(held for _, held in best)
    near = [
        (held, calendar)
        for calendar, held in best
        if held > _MIN_HELD and held >= most - _NEAR_SHARE
    ]
    return tuple(calendar for _, calendar in sorted(near, reverse=True))


def _zone_of(name: str, first: Ints, last: Ints) -> str:
    try:
        sessions = load_calendar(name, int(first[0]), int(last[-1]))
    except InputError:
        return "UTC"
    return sessions.zone if isinstance(sessions, Sessions) and not sessions.rolls else "UTC"


def _held(name: str, first: Ints, last: Ints, bar_ns: int, stamp: Stamp) -> float:
    """Return the share of a calendar's time that the bars fill, 0 if they lie outside of it."""
    try:
        sessions = load_calendar(name, int(first[0]), int(last[-1]))
    except InputError:  # the calendar does not cover these times, or its library is not installed
        return 0.0
    assert isinstance(sessions, Sessions)
    both = np.concatenate((first, last))
    placed = sessions.place(both, bar_ns, stamp)
    outside = float(np.mean(placed.outside))
    if outside > _MAX_OUTSIDE:
        return 0.0
    if bar_ns == DAY_NS:
        numbers = placed.ordinal[~placed.outside]
        return len(first) / (int(numbers.max() - numbers.min()) + 1) - outside
    start_ns, end_ns = int(first[0]), int(last[-1]) + bar_ns
    opens, closes = np.maximum(sessions.opens_ns, start_ns), np.minimum(sessions.closes_ns, end_ns)
    scheduled = int(np.maximum(closes - opens, 0).sum())
    return min(1.0, float((last - first + bar_ns).sum()) / max(1, scheduled)) - outside
