"""The calendars of a universe, and the one by which the days of its returns are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from septet._data.bars import MarketData
from septet._data.calendars import Sessions, lies_inside, load_calendar, sessions_per_year

__all__ = [
    "day_calendar", "ends_inside", "market_day_calendar", "session_close", "written_calendars",
]  # fmt: skip


def day_calendar(names: Iterable[str]) -> str:
    """Return the calendar whose days are used to count the daily returns of a universe.

    It is the calendar with the most days per year: if one symbol trades around the clock, every day
    has a return. Without names it is 24x7.
    """
    return max(names, key=sessions_per_year, default="24x7")


def written_calendars(strategy: Any) -> tuple[str | None, ...]:
    """Return the calendar that the file names for each symbol, in universe order.

    `data.candles.calendar` is one name for all symbols, or a mapping; the result is None for a
    symbol without a name.
    """
    written = strategy.data.candles.extra.get("calendar")
    each = written if isinstance(written, Mapping) else None
    return tuple(
        written if each is None else each.get(symbol) for symbol in strategy.universe.symbols
    )


def market_day_calendar(market: MarketData) -> str:
    """Return the calendar whose days are used to count the daily returns of a run."""
    return day_calendar(market.calendars.values()) if market.calendars else market.calendar


def ends_inside(market: MarketData, time_ns: int) -> bool:
    """Return whether a time (UTC ns) lies inside a session, so that the day's return is incomplete.

    Always False if calendar days are counted.
    """
    names = set(market.calendars.values()) or {market.calendar}
    if market_day_calendar(market) == "24x7":
        return False
    return any(lies_inside(each, time_ns) for each in names)


def session_close(name: str, time_ns: int) -> str:
    """Return the usual closing time of a calendar's sessions, such as ``16:00 America/New_York``.

    `time_ns` (UTC ns) is a time that the calendar covers. The result is empty on ``24x7``.
    """
    calendar = load_calendar(name, time_ns, time_ns)
    if not isinstance(calendar, Sessions):
        return ""
    zone = ZoneInfo(calendar.zone)
    clocks = Counter(
        datetime.fromtimestamp(at // 10**9, UTC).astimezone(zone).strftime("%H:%M")
        for at in calendar.day_closes_ns.tolist()[-260:]
    )
    return f"{clocks.most_common(1)[0][0]} {calendar.zone}"
